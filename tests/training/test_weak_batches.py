"""Rounds and batches of tuples: what comes when, on which rank, and from which descriptors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fol.errors import ConfigError
from fol.models.whitening import PcaWhitening
from fol.training import TrainingSetup, train
from fol.training.batches import Slot
from fol.training.setup import assemble
from fol.training.weak_batches import DIFFICULT, NEGATIVE, POSITIVE, QUERY, ROLES, WeakBatches

MakeSetup = Callable[..., TrainingSetup]
QUERIES, DIM = 12, 5


class Drawn:
    """Batches of the drawn places from descriptors that are given, and how often they were asked for."""

    def __init__(
        self,
        setup: TrainingSetup,
        folder: Path,
        rows: NDArray[np.float32] | None = None,
        world: int = 1,
        first_epoch: Callable[[int], int] = lambda epoch: 0,
    ):
        count = len(setup.sampler.places.images)
        drawn = np.random.default_rng(5).normal(size=(count, DIM)).astype(np.float32)
        self.rows = drawn / np.linalg.norm(drawn, axis=1, keepdims=True) if rows is None else rows
        self.described, self.taught = 0, False
        self.batches = WeakBatches(
            setup.sampler, DIM, self.describe, lambda epoch: self.taught, folder / "f32", "cpu", world, first_epoch
        )

    def describe(self, rows: NDArray[np.float32], numbers: Sequence[int]) -> None:
        self.described += 1
        for number in numbers:
            rows[number] = self.rows[number]


def queries_of(slots: list[Slot]) -> list[int]:
    return [image for image, role in slots if role % ROLES == QUERY]


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("tuples", [1, 2, 4])
def test_every_query_comes_once_an_epoch_on_one_rank(
    make_weak: MakeSetup, tmp_path: Path, world: int, tuples: int
) -> None:
    setup = make_weak(sampling={"tuples": tuples})
    orders = []
    for epoch in range(2):
        seen: list[int] = []
        for rank in range(world):
            source = Drawn(setup, tmp_path, world=world)
            found = list(source.batches.batches(epoch, 0, rank, world))
            assert len(found) == len(source.batches) == sum(-(-n // (tuples * world)) for n in (5, 5, 2))
            assert source.described == 3  # rounds of 5, 5 and 2 queries
            assert all(1 <= len(queries_of(slots)) <= tuples for slots in found)
            seen += [query for slots in found for query in queries_of(slots)]
        # A batch needs a tuple on every rank: where a round has too few, some come again, and never from another round.
        again = sum(max(0, -(-n // (tuples * world)) * world - n) for n in (5, 5, 2))
        assert len(seen) == QUERIES + again
        assert set(seen) == set(setup.sampler.places.queries.tolist())
        orders.append(seen)
    assert orders[0] != orders[1]


@pytest.mark.parametrize(
    ("first_epoch", "rounds"),
    [
        # of 5, 5 and 2 queries, 10 and 2, 12; then there is nothing to double
        (lambda epoch: 0, [[5, 5, 2], [5, 5, 2], [10, 2], [10, 2], [12], [12], [12], [12]]),
        # generations of 1, 3 and 4 epochs
        (lambda epoch: [0, 1, 1, 1, 4, 4, 4, 4][epoch], [*[[5, 5, 2]] * 3, [10, 2], *[[5, 5, 2]] * 2, *[[10, 2]] * 2]),
    ],
)
def test_rounds_double_with_the_epochs_of_a_generation(
    make_weak: MakeSetup, tmp_path: Path, first_epoch: Callable[[int], int], rounds: list[list[int]]
) -> None:
    setup = make_weak(sampling={"round_doubles_every": 2})
    source = Drawn(setup, tmp_path, first_epoch=first_epoch)
    for epoch, sizes in enumerate(rounds):
        found: list[list[int]] = []  # queries since the last description
        described = source.described
        count = 0
        for slots in source.batches.batches(epoch, 0, 0, 1):
            count += 1
            if source.described > described:
                found.append([])
                described = source.described
            found[-1] += queries_of(slots)
        assert [len(queries) for queries in found] == sizes, epoch
        assert count == len(source.batches) == 7
        assert sorted(query for queries in found for query in queries) == setup.sampler.places.queries.tolist()


@pytest.mark.parametrize(("doubles", "described"), [(None, 6), (1, 5)])
def test_batches_go_on_from_a_state_anywhere(
    make_weak: MakeSetup, tmp_path: Path, doubles: int | None, described: int
) -> None:
    setup = make_weak(mining={"neg_pool": 3}, sampling={"round_doubles_every": doubles})
    source = Drawn(setup, tmp_path)
    whole = [slots for epoch in range(2) for slots in source.batches.batches(epoch, 0, 0, 1)]
    assert len(whole) == 14
    for done in range(1, 14):
        first, second = Drawn(setup, tmp_path), Drawn(setup, tmp_path)
        running = (slots for epoch in range(2) for slots in first.batches.batches(epoch, 0, 0, 1))
        before = [next(running) for _ in range(done)]
        second.batches.load_state_dict(first.batches.state_dict())
        epoch, position = divmod(done, 7)
        after = [*second.batches.batches(epoch, position, 0, 1)]
        after += [] if epoch else second.batches.batches(1, 0, 0, 1)
        assert before + after == whole
        # inside a round nothing is described: the network that mined it is not there any more
        assert first.described + second.described == described, done


def test_a_state_of_other_photos_is_refused(make_weak: MakeSetup, tmp_path: Path) -> None:
    setup = make_weak()
    source = Drawn(setup, tmp_path)
    next(source.batches.batches(0, 0, 0, 1))
    state, places = source.batches.state_dict(), setup.sampler.places

    def with_photos(images: tuple[Path, ...]) -> WeakBatches:
        changed = replace(setup, sampler=replace(setup.sampler, places=replace(places, images=images)))
        return Drawn(changed, tmp_path).batches

    with_photos(tuple(Path("/moved") / image.relative_to("/") for image in places.images)).load_state_dict(state)
    for other in ((*places.images[:-1], places.images[-1].with_name("other.png")), places.images[::-1]):
        with pytest.raises(ConfigError, match=r"from other photos than .*weak\.folders"):
            with_photos(other).load_state_dict(state)


@pytest.mark.parametrize("taught", [False, True])
def test_slots_say_what_an_image_is_for(make_weak: MakeSetup, tmp_path: Path, taught: bool) -> None:
    setup = make_weak(mining={"pos_num": 2, "pos_pool": 6})
    places = setup.sampler.places
    near = {q: set(p.tolist()) for q, p in zip(places.queries.tolist(), places.positives(places.queries), strict=True)}
    source = Drawn(setup, tmp_path)
    source.taught = taught
    for slots in source.batches.batches(0, 0, 0, 1):
        for number in range(len(queries_of(slots))):
            own = [(image, role % ROLES) for image, role in slots if role // ROLES == number]
            (query,) = [image for image, kind in own if kind == QUERY]
            counts = Counter(kind for _, kind in own)
            assert 1 <= counts.pop(DIFFICULT) <= 2 if taught else DIFFICULT not in counts
            assert counts == {QUERY: 1, POSITIVE: 1, NEGATIVE: 3}
            similar = source.rows @ source.rows[query]
            (positive,) = [image for image, kind in own if kind == POSITIVE]
            assert positive == max(near[query], key=lambda image: similar[image])
            assert {image for image, kind in own if kind == NEGATIVE} <= set(range(places.database)) - near[query]
            assert {image for image, kind in own if kind == DIFFICULT} <= near[query]


def test_negatives_of_last_time_are_asked_again(make_weak: MakeSetup, tmp_path: Path) -> None:
    """Descriptors that stay: with memory, the negatives of a query can only become harder."""
    source = Drawn(make_weak(mining={"neg_pool": 3}), tmp_path)
    hardness: list[dict[int, list[float]]] = []
    for epoch in range(4):
        found: dict[int, list[float]] = {}
        for slots in source.batches.batches(epoch, 0, 0, 1):
            for number, query in enumerate(queries_of(slots)):
                negatives = [image for image, role in slots if role == number * ROLES + NEGATIVE]
                found[query] = sorted((source.rows[negatives] @ source.rows[query]).tolist(), reverse=True)
        hardness.append(found)
    changed = 0
    for before, after in pairwise(hardness):
        for query, old in before.items():
            assert all(new >= was for was, new in zip(old, after[query], strict=True))
            changed += after[query] != old
    assert changed > QUERIES


def test_a_round_with_fewer_tuples_than_batches_gives_them_again(make_weak: MakeSetup, tmp_path: Path) -> None:
    setup = make_weak(mining={"violating_only": True, "margin": 0.1, "neg_pool": 100})
    places = setup.sampler.places
    # Every photo is where its group of places is, but the first query lies among another group.
    rows = np.zeros((len(places.images), DIM), np.float32)
    rows[np.arange(len(rows)), places.points[:, 0].astype(int) // 100] = 1
    lost = int(places.queries[0])
    rows[lost] = np.roll(rows[lost], 1)
    for rank in range(2):
        source = Drawn(setup, tmp_path, rows, world=2)
        rounds = [[], [], []]
        for batch, slots in enumerate(source.batches.batches(0, 0, rank, 2)):
            rounds[[0, 0, 1, 1, 2][batch]].append(queries_of(slots))
        (of_lost,) = [number for number, batches in enumerate(rounds) if [lost] in batches]
        assert rounds[of_lost] == [[lost]] * len(rounds[of_lost])
        # Nothing to learn in the others: they have their queries with negatives that violate nothing.
        assert {query for batches in rounds for batch in batches for query in batch} - {lost}


def test_without_any_negative_there_is_nothing_to_learn(make_weak: MakeSetup, tmp_path: Path) -> None:
    setup = make_weak()
    places = replace(setup.sampler.places, radii=replace(setup.sampler.places.radii, exclusion_radius=1e6))
    source = Drawn(replace(setup, sampler=replace(setup.sampler, places=places)), tmp_path)
    with pytest.raises(ConfigError, match="exclusion_radius=1e\\+06"):
        list(source.batches.batches(0, 0, 0, 1))


@pytest.mark.parametrize("backbone", ["transformer", "vgg"])
def test_descriptors_of_a_round_are_the_extracted_ones_before_whitening(
    make_weak: MakeSetup, tmp_path: Path, backbone: str
) -> None:
    setup = make_weak(backbone=backbone)
    module, source, _ = assemble(setup, tmp_path)
    module.train()
    next(source.batches(0, 0, 0, 1))
    assert module.network.training
    photos = torch.stack([setup.images[number] for number in range(len(setup.images))])
    expected = torch.stack([features.descriptor for features in setup.model.extract(photos)]).numpy()
    written = np.fromfile(tmp_path / "mining.f32", np.float32).reshape(expected.shape)
    np.testing.assert_allclose(written, expected, atol=1e-6)
    # what is extracted is whitened, what is trained is not, and such a model is not trained by mistake
    whitened = setup.model.with_whitening(PcaWhitening.blank(expected.shape[1], 3))
    assert whitened.extract(photos[:1])[0].descriptor.shape == (3,)
    with pytest.raises(ConfigError, match=r"the whitening of small_netvlad is fitted to the weights that would change"):
        train(make_weak(backbone=backbone, setup={"model": whitened}), tmp_path / "run")
