"""Region losses of SFRS against published numbers, loops and finite differences."""

from __future__ import annotations

import math
from pathlib import Path

import formula
import numpy as np
import pytest
import torch
from torch import Tensor

from fol.errors import ConfigError
from fol.losses.regions import most_similar_region, region_hard_loss, region_similarities, region_soft_loss
from fol.losses.weak_options import RegionLossOptions, WeakLossOptions

REFERENCE = Path(__file__).parents[1] / "reference" / "weak_losses.npz"

pytestmark = pytest.mark.usefixtures("one_thread")


def regions(tag: str, images: int) -> Tensor:
    towards = formula.unit("weak/q", (3, 1, 256))[0]
    found = 0.7 * formula.unit(f"{tag}/r", (images, 9, 256)) + 0.5 * towards
    return torch.from_numpy((found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32))[None]


@pytest.fixture(scope="module")
def published():
    with np.load(REFERENCE) as file:
        return {key: float(file[key]) for key in file}


def test_published_hard_loss(published):
    query = regions("sfrs/anchor", 1)[:, 0, 0]
    positive = region_similarities(query, regions("sfrs/pos", 1))[:, 0, 0]
    negatives = region_similarities(query, regions("sfrs/neg", 10))
    loss = region_hard_loss(positive, negatives, RegionLossOptions().hard)
    assert loss.item() == pytest.approx(published["sfrs_hard"], abs=1e-6)


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_published_soft_loss(published, generation):
    query = regions("sfrs/anchor", 1)[:, 0, 0]
    options = RegionLossOptions()
    loss = region_soft_loss(
        region_similarities(query, regions("sfrs/diff", 6)),
        region_similarities(query, regions("sfrs/diff_teacher", 6)),
        options.teacher_temperatures[generation],
        options.temperature,
    )
    assert loss.item() == pytest.approx(published[f"sfrs_soft_gen{generation}"], abs=1e-6)


def scores(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_region_similarities_by_loops():
    query, others = scores(2, 5), scores(2, 3, 4, 5, seed=1)
    found = region_similarities(query, others)
    for b in range(2):
        for m in range(3):
            for r in range(4):
                assert float(found[b, m, r]) == pytest.approx(float((query[b] * others[b, m, r]).sum()), rel=1e-12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        exact = region_similarities(query.float(), others.float())
    assert torch.allclose(exact.double(), found, rtol=1e-6)


def test_gradient_reaches_the_most_similar_region_alone():
    similar = torch.tensor([[[0.1, 0.9, 0.3], [0.4, 0.4, 0.2]]], dtype=torch.float64, requires_grad=True)
    chosen = most_similar_region(similar)
    chosen.sum().backward()
    assert chosen.tolist() == [[0.9, 0.4]]
    assert similar.grad.tolist() == [[[0, 1, 0], [1, 0, 0]]]


@pytest.mark.parametrize("name", ["sare_ind", "sare_joint", "triplet"])
def test_hard_loss_by_loops_and_its_gradient(name):
    options = WeakLossOptions(name, form="d2" if name == "triplet" else "cos", reduction="mean_queries", margin=0.4)
    positive, negatives = scores(3), scores(3, 4, 9, seed=2)
    present = torch.tensor([[True] * 4, [True, False, True, False], [False] * 4])
    total = 0.0
    for b in (0, 1):
        p = float(positive[b])
        best = [float(negatives[b, n].max()) for n in range(4) if present[b, n]]
        if name == "triplet":
            total += sum(max(0, 2 * n - 2 * p + 0.4) for n in best)
        elif name == "sare_ind":
            total += sum(math.log1p(math.exp((n - p) / 0.07)) for n in best)
        else:
            total += math.log1p(sum(math.exp((n - p) / 0.07) for n in best))
    assert float(region_hard_loss(positive, negatives, options, present)) == pytest.approx(total / 2, rel=1e-12)
    positive.requires_grad_(), negatives.requires_grad_()
    assert torch.autograd.gradcheck(lambda p, n: region_hard_loss(p, n, options, present), (positive, negatives))


def test_soft_loss_by_loops_and_its_gradient():
    student, teacher = scores(3, 4, 9), scores(3, 4, 9, seed=1)
    present = torch.tensor([[True] * 4, [True, False, False, True], [False] * 4])
    total = 0.0
    for b in (0, 1):
        ours = [s / 0.07 for k in range(4) if present[b, k] for s in student[b, k].tolist()]
        theirs = [s / 0.05 for k in range(4) if present[b, k] for s in teacher[b, k].tolist()]
        log_sum = math.log(sum(map(math.exp, ours)))
        norm = sum(map(math.exp, theirs))
        total -= sum(math.exp(y) / norm * (s - log_sum) for s, y in zip(ours, theirs, strict=True))
    assert float(region_soft_loss(student, teacher, 0.05, 0.07, present)) == pytest.approx(total / 2, rel=1e-12)
    student.requires_grad_(), teacher.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: region_soft_loss(s, teacher.detach(), 0.05, 0.07, present), (student,))
    hidden = student.detach().masked_fill(~present.unsqueeze(2), torch.nan).requires_grad_()
    region_soft_loss(hidden, teacher, 0.05, 0.07, present).backward()
    assert torch.isfinite(hidden.grad).all()
    assert teacher.grad is None


def test_soft_loss_is_at_most_the_logarithm_of_all_regions_where_both_are_flat():
    flat = torch.full((2, 10, 9), 0.3)
    assert float(region_soft_loss(flat, flat, 0.05)) == pytest.approx(math.log(90), rel=1e-6)


def test_no_difficult_positive_at_all():
    student = torch.full((1, 2, 9), torch.nan, requires_grad=True)
    loss = region_soft_loss(student, student.detach(), 0.07, present=torch.zeros(1, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and (student.grad == 0).all()


@pytest.mark.parametrize(
    "options",
    [
        RegionLossOptions(temperature=0),
        RegionLossOptions(teacher_temperatures=()),
        RegionLossOptions(teacher_temperatures=(0.07, -1)),
        RegionLossOptions(soft_weight=float("inf")),
        RegionLossOptions(hard=WeakLossOptions(tau=-1)),
    ],
)
def test_senseless_options_are_refused(options):
    with pytest.raises(ConfigError):
        options.check()
