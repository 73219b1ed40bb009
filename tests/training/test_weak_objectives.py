"""Objectives over tuples against loops over a network of one matrix for each region."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fol.data.training.weak_places import WeakPlaces
from fol.errors import ConfigError
from fol.losses.weak_options import WEAK_LOSSES, RegionLossOptions, WeakLossOptions
from fol.training import TrainingSetup, train
from fol.training.batches import Slot, TrainingBatch
from fol.training.generations import Generations, frozen_copy
from fol.training.mining import MiningOptions, NegativeMemory
from fol.training.weak_batches import DIFFICULT, NEGATIVE, POSITIVE, QUERY, ROLES, WeakBatches, WeakSampling
from fol.training.weak_objectives import RegionObjective, TupleLayout, WeakObjective

REGIONS = 9

RAGGED = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=6)


def slots_of(rows: list[tuple[int, int]], folder: Path, places: WeakPlaces) -> tuple[list[Slot], list[dict[int, Any]]]:
    """The batch of tuples with so many negatives and difficult positives, and the images by role of each tuple."""
    rng = np.random.default_rng(len(rows))
    padded = {kind: np.full((len(rows), 6), -1) for kind in (NEGATIVE, DIFFICULT)}
    query, positive = rng.integers(100, 200, len(rows)), rng.integers(0, 100, len(rows))
    for row, (negatives, difficult) in enumerate(rows):
        padded[NEGATIVE][row, :negatives] = rng.integers(0, 100, negatives)
        padded[DIFFICULT][row, :difficult] = rng.integers(0, 100, difficult)
    sampling = WeakSampling(places, MiningOptions(), tuples=len(rows), round=len(places.queries))
    batches = WeakBatches(sampling, 1, lambda rows, numbers: None, lambda epoch: False, folder / "f32", "cpu")
    tuples = [torch.from_numpy(part) for part in (query, positive, padded[NEGATIVE], padded[DIFFICULT])]
    memory = NegativeMemory.empty(places, MiningOptions()).state_dict()
    batches.load_state_dict({"round": [0, 0], "tuples": tuples, "memory": memory})
    # As many batches as the queries of the round need: their tuples are those that were given, in some order.
    found = next(iter(batches.batches(0, 0, 0, 1)))
    expected = [
        {
            QUERY: [int(query[row])],
            POSITIVE: [int(positive[row])],
            NEGATIVE: padded[NEGATIVE][row, : rows[row][0]].tolist(),
            DIFFICULT: padded[DIFFICULT][row, : rows[row][1]].tolist(),
        }
        for row in range(len(rows))
    ]
    return found, expected


@settings(max_examples=60, deadline=None)
@given(RAGGED)
def test_layout_finds_the_images_of_each_tuple(rows: list[tuple[int, int]]) -> None:
    places: Any = SimpleNamespace(queries=np.arange(100, 100 + len(rows)), database=100, images=range(200))
    slots, expected = slots_of(rows, Path("unused"), places)
    images = torch.tensor([image for image, _ in slots])
    layout = TupleLayout.of(torch.tensor([role for _, role in slots]))
    assert len(layout.query) == len(rows)
    left = list(expected)
    for t in range(len(rows)):
        found = {
            QUERY: [int(images[layout.query[t]])],
            POSITIVE: [int(images[layout.positive[t]])],
            NEGATIVE: images[layout.negatives[t][layout.negative_present[t]]].tolist(),
            DIFFICULT: images[layout.difficult[t][layout.difficult_present[t]]].tolist(),
        }
        left.remove(found)
        # what is there stands before what is missing
        for present in (layout.negative_present[t], layout.difficult_present[t]):
            assert present.tolist() == sorted(present.tolist(), reverse=True)
    assert left == []


class Regional(nn.Module):
    """Descriptors of region r are the photo's values times matrix r, as unit vectors."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterList(torch.randn(4, 12, generator=generator) for _ in range(REGIONS))

    def forward(self, photos: Tensor) -> Any:
        return SimpleNamespace(descriptor=self.regions(photos)[:, 0])

    def regions(self, photos: Tensor) -> Tensor:
        values = torch.stack([photos.flatten(1) @ weight.T for weight in self.weights], 1)
        return values / values.norm(dim=2, keepdim=True)


#: Two tuples: one negative and no difficult positive, and two of each.
ROLES_OF_BATCH = [
    *(QUERY, POSITIVE, NEGATIVE),
    *(ROLES + kind for kind in (QUERY, POSITIVE, NEGATIVE, NEGATIVE, DIFFICULT, DIFFICULT)),
]
TUPLES = [(0, 1, [2], []), (3, 4, [5, 6], [7, 8])]


@pytest.fixture
def batch() -> TrainingBatch:
    photos = torch.randn(9, 3, 2, 2, generator=torch.Generator().manual_seed(4))
    return TrainingBatch(photos, torch.arange(9), torch.tensor(ROLES_OF_BATCH))


def pairs_loss(terms: list[Tensor]) -> Tensor:
    return torch.stack([torch.log(1 + torch.exp(term)) for term in terms]).mean()


@pytest.mark.parametrize("name", ["sare_ind_openibl", "sare_joint_openibl", "netvlad", "netvlad_openibl"])
def test_weak_objective_is_the_loop_over_tuples(batch: TrainingBatch, name: str) -> None:
    options, network = WEAK_LOSSES[name], Regional(1)
    photos = batch.images.clone().requires_grad_()
    step = WeakObjective(options)(network, photos, batch, 0)
    whole = network.regions(photos)[:, 0]
    terms: list[Tensor] = []
    for query, positive, negatives, _ in TUPLES:
        similar = [whole[query] @ whole[image] for image in (positive, *negatives)]
        if name.startswith("netvlad"):
            power = 1.0 if options.squared else 0.5
            away = [(2 - 2 * cosine) ** power for cosine in similar]
            terms += [(away[0] + options.margin - far).clamp_min(0) for far in away[1:]]
        elif name.startswith("sare_joint"):
            odds = [torch.exp((cosine - similar[0]) / 0.07) for cosine in similar[1:]]
            terms.append(torch.log(1 + torch.stack(odds).sum()))
        else:
            terms += [torch.log(1 + torch.exp((cosine - similar[0]) / 0.07)) for cosine in similar[1:]]
    count = sum(1 for term in terms if term > 0) if name == "netvlad" else len(terms)
    expected = torch.stack(terms).sum() / count
    torch.testing.assert_close(step.losses.total, expected)
    nearer = sum(int(whole[q] @ whole[n] > whole[q] @ whole[p]) for q, p, negatives, _ in TUPLES for n in negatives)
    assert int(step.losses.statistics["negatives_nearer"]) == nearer
    found = torch.autograd.grad(step.losses.total, photos)[0]
    wanted = torch.autograd.grad(expected, photos)[0]
    torch.testing.assert_close(found, wanted)
    assert (found[7:] == 0).all()  # difficult positives take no part


def test_first_generation_of_sfrs_compares_whole_images(batch: TrainingBatch) -> None:
    network = Regional(1)
    step = RegionObjective(RegionLossOptions(), Generations([1, 1]))(network, batch.images, batch, 0)
    hard = WeakObjective(WeakLossOptions())(network, batch.images, batch, 0)
    torch.testing.assert_close(step.losses.total, hard.losses.total)
    assert set(step.losses.terms) == {"hard"}
    step.losses.total.backward()
    assert network.weights[0].grad is not None
    assert all(weight.grad is None or not weight.grad.any() for weight in network.weights[1:])


def test_later_generations_are_the_loops_of_the_paper(batch: TrainingBatch) -> None:
    network, teacher = Regional(1), frozen_copy(Regional(2))
    generations = Generations([1, 1, 1], number=2, teacher=teacher)
    options = RegionLossOptions(teacher_temperatures=(0.07, 0.06, 0.05), soft_weight=0.5)
    photos = batch.images.clone().requires_grad_()
    step = RegionObjective(options, generations)(network, photos, batch, 0)

    regions, taught = network.regions(photos), teacher.regions(photos).detach()  # type: ignore[operator]
    hard, soft, used = [], [], {0}
    for query, positive, negatives, difficult in TUPLES:
        own = regions[query, 0]
        for negative in negatives:
            best = max(range(REGIONS), key=lambda r: float((own @ regions[negative, r]).detach()))
            used.add(best)
            hard.append((own @ regions[negative, best] - own @ regions[positive, 0]) / 0.07)
        if difficult:
            student = torch.stack([own @ regions[i, r] for i in difficult for r in range(REGIONS)]) / 0.07
            of_teacher = [math.exp(float(taught[query, 0] @ taught[i, r]) / 0.05) for i in difficult for r in range(9)]
            shares = [value / sum(of_teacher) for value in of_teacher]
            log_total = torch.log(torch.exp(student).sum())
            soft.append(-sum(share * (value - log_total) for share, value in zip(shares, student, strict=True)))
    assert len(used) > 1  # regions other than the whole matter here
    expected_hard, expected_soft = pairs_loss(hard), torch.stack(soft).mean()
    torch.testing.assert_close(step.losses.terms["hard"], expected_hard)
    torch.testing.assert_close(step.losses.terms["soft"], expected_soft)
    torch.testing.assert_close(step.losses.total, expected_hard + 0.5 * expected_soft)
    assert int(step.losses.statistics["difficult_positives"]) == 2
    found = torch.autograd.grad(step.losses.total, [photos, *network.weights], retain_graph=True)
    wanted = torch.autograd.grad(expected_hard + 0.5 * expected_soft, [photos, *network.weights])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
    step.losses.total.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_teacher_sees_queries_and_difficult_positives_alone(batch: TrainingBatch) -> None:
    seen: list[Tensor] = []

    class Watched(Regional):
        def regions(self, photos: Tensor) -> Tensor:
            seen.append(photos)
            return super().regions(photos)

    generations = Generations([1, 1], number=1, teacher=frozen_copy(Watched(2)))
    RegionObjective(RegionLossOptions(), generations)(Regional(1), batch.images, batch, 0)
    assert len(seen) == 1 and torch.equal(seen[0], batch.images[[0, 3, 7, 8]])


@pytest.mark.parametrize("name", sorted(WEAK_LOSSES))
def test_two_steps_by_each_loss(make_weak: Callable[..., TrainingSetup], tmp_path: Path, name: str) -> None:
    setup = make_weak(setup={"losses": WEAK_LOSSES[name], "validation": []}, steps=2)
    before = {key: tensor.clone() for key, tensor in setup.model.network.state_dict().items()}
    assert train(setup, tmp_path / "run").done == 2
    after = setup.model.network.state_dict()
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert not torch.equal(after["aggregation.centroids"], before["aggregation.centroids"])


def test_parts_of_sfrs_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="teacher_temperatures has 1 values for 2 generations"):
        RegionObjective(RegionLossOptions(teacher_temperatures=(0.07,)), Generations([1, 1])).check(Regional(0), "x")
    with pytest.raises(ConfigError, match="x has no descriptors of regions"):
        RegionObjective(RegionLossOptions(), Generations([1])).check(nn.Linear(1, 1), "x")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"generations": ()}, r"weak\.generations=\[\]: give the epochs of each generation"),
        ({"generations": (1, 0)}, r"weak\.generations=\[1, 0\]"),
        ({"generations": (1, 1, 1, 1)}, "teacher_temperatures has 3 values for 4 generations"),
        ({"workers": 1}, r"set batch\.workers=0"),
        ({"losses": WEAK_LOSSES["netvlad"]}, "only SFRS has generations"),
    ],
)
def test_setups_that_cannot_be_trained(
    make_sfrs: Callable[..., TrainingSetup], tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(make_sfrs(setup=parts), tmp_path)
