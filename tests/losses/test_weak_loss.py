"""Weak tuple losses against published numbers, loops and finite differences."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import formula
import numpy as np
import pytest
import torch
from torch import Tensor

from fol.errors import ConfigError
from fol.losses.weak import sare_inbatch, tuple_similarities, weak_loss
from fol.losses.weak_options import WEAK_LOSSES, RegionLossOptions, WeakLossOptions

REFERENCE = Path(__file__).parents[1] / "reference" / "weak_losses.npz"

pytestmark = pytest.mark.usefixtures("one_thread")


def reference_tuples() -> tuple[Tensor, Tensor, Tensor]:
    query = formula.unit("weak/q", (3, 1, 256))
    others = formula.unit("weak/x", (3, 11, 256))
    close = 0.9 - 0.05 * np.arange(11)[None, :, None]
    found = close * query + 0.7 * others
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    tuples = torch.from_numpy(found.astype(np.float32))
    return torch.from_numpy(query[:, 0]), tuples[:, 0], tuples[:, 1:]


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("triplet", WEAK_LOSSES["netvlad_openibl"]),
        ("sare_ind", replace(WEAK_LOSSES["sare_ind"], reduction="mean_pairs")),
        ("sare_joint", replace(WEAK_LOSSES["sare_joint"], reduction="mean_queries")),
        ("cos007_sare_ind", WEAK_LOSSES["sare_ind_openibl"]),
        ("cos007_sare_joint", WEAK_LOSSES["sare_joint_openibl"]),
    ],
)
def test_published_code(key, options):
    with np.load(REFERENCE) as reference:
        expected = float(reference[key])
    assert float(weak_loss(*tuple_similarities(*reference_tuples()), options)) == pytest.approx(expected, abs=1e-6)


def cosines(queries: int, negatives: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    positive = torch.rand(queries, generator=generator, dtype=torch.float64) * 0.5 + 0.3
    similar = torch.rand(queries, negatives, generator=generator, dtype=torch.float64) * 0.9
    present = torch.rand(queries, negatives, generator=generator) < 0.7
    present[0] = False
    return positive, similar, present


def kappa(cosine: float, options: WeakLossOptions) -> float:
    squared = 2 - 2 * cosine
    if options.form == "cos":
        return math.exp(cosine / options.tau)
    return {
        "gauss": math.exp(-squared / options.tau),
        "cauchy": 1 / (1 + squared / options.tau),
        "exp": math.exp(-math.sqrt(squared) / options.tau),
    }[options.kernel]


def by_loops(positive: Tensor, negatives: Tensor, present: Tensor, options: WeakLossOptions) -> float:
    terms, pairs, queries = [], 0, 0
    for p, row, mask in zip(positive.tolist(), negatives.tolist(), present.tolist(), strict=True):
        others = [n for n, there in zip(row, mask, strict=True) if there]
        pairs, queries = pairs + len(others), queries + bool(others)
        if options.name == "triplet":
            power = 1 if options.squared else 0.5
            terms += [max(0, (2 - 2 * p) ** power + options.margin - (2 - 2 * n) ** power) for n in others]
        elif options.name == "sare_ind":
            terms += [-math.log(kappa(p, options) / (kappa(p, options) + kappa(n, options))) for n in others]
        elif others:
            whole = kappa(p, options) + sum(kappa(n, options) for n in others)
            terms.append(-math.log(kappa(p, options) / whole))
    violating = sum(term > 0 for term in terms)
    counts = {"mean_pairs": pairs, "mean_queries": queries, "matlab": present.numel(), "violating": violating}
    return sum(terms) / counts[options.reduction]


ALL = [
    *(
        WeakLossOptions("triplet", form="d2", squared=squared, margin=0.2, reduction=reduction)
        for squared in (True, False)
        for reduction in ("violating", "mean_pairs", "mean_queries", "matlab")
    ),
    *(
        WeakLossOptions(name, form=form, kernel=kernel, tau=tau, reduction=reduction)
        for name in ("sare_ind", "sare_joint")
        for form, kernel, tau in (("d2", "gauss", 1), ("d2", "cauchy", 0.7), ("d2", "exp", 1.3), ("cos", "gauss", 0.07))
        for reduction in ("mean_pairs", "mean_queries", "matlab")
    ),
]


@pytest.mark.parametrize("options", ALL, ids=str)
def test_definition_and_gradient(options):
    positive, negatives, present = cosines(4, 5)
    options.check()
    assert float(weak_loss(positive, negatives, options, present)) == pytest.approx(
        by_loops(positive, negatives, present, options), rel=1e-12
    )
    positive.requires_grad_(), negatives.requires_grad_()
    assert torch.autograd.gradcheck(lambda p, n: weak_loss(p, n, options, present), (positive, negatives))


def test_the_two_forms_of_the_gaussian_kernel_are_one():
    positive, negatives, present = cosines(5, 7, seed=3)
    for name in ("sare_ind", "sare_joint"):
        for distance, cosine in ((1.0, 0.5), (0.14, 0.07)):
            by_distance = WeakLossOptions(name, form="d2", tau=distance)
            by_cosine = WeakLossOptions(name, form="cos", tau=cosine)
            assert float(weak_loss(positive, negatives, by_distance, present)) == pytest.approx(
                float(weak_loss(positive, negatives, by_cosine, present)), rel=1e-12
            )


@pytest.mark.parametrize("options", ALL, ids=str)
def test_what_is_missing_is_never_looked_at(options):
    positive, negatives, present = cosines(4, 5, seed=1)
    expected = weak_loss(positive, negatives, options, present)
    spoilt = negatives.masked_fill(~present, torch.nan).requires_grad_()
    loss = weak_loss(positive, spoilt, options, present)
    loss.backward()
    assert torch.equal(loss, expected)
    assert torch.isfinite(spoilt.grad).all()
    assert (spoilt.grad[~present] == 0).all()


@pytest.mark.parametrize("options", WEAK_LOSSES.values(), ids=WEAK_LOSSES)
def test_no_negative_at_all_gives_zero_with_a_gradient(options):
    positive = torch.tensor([0.5], requires_grad=True)
    loss = weak_loss(positive, torch.tensor([[0.7]]), options, torch.tensor([[False]]))
    loss.backward()
    assert loss.item() == 0
    assert positive.grad.item() == 0


@pytest.mark.parametrize("options", WEAK_LOSSES.values(), ids=WEAK_LOSSES)
@pytest.mark.parametrize(("near", "far"), [(1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)])
def test_extremes_stay_finite(options, near, far):
    positive = torch.tensor([near], requires_grad=True)
    negatives = torch.tensor([[far, far]], requires_grad=True)
    options = options if options.form == "d2" else replace(options, tau=1e-3)
    loss = weak_loss(positive, negatives, options)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(positive.grad).all() and torch.isfinite(negatives.grad).all()
    if (near, far) == (-1.0, 1.0) and options.form == "cos":  # 2 / 0.001 each, the joint one log 2 more
        assert loss.item() == pytest.approx(2000 + (math.log(2) if options.name == "sare_joint" else 0), rel=1e-6)


def test_matlab_counts_joint_as_many_times_less_than_openibl():
    positive, negatives, _ = cosines(3, 10)
    openibl = WEAK_LOSSES["sare_joint_openibl"]
    matlab = replace(openibl, reduction="matlab")
    assert float(weak_loss(positive, negatives, openibl)) == pytest.approx(
        10 * float(weak_loss(positive, negatives, matlab))
    )


def test_float32_whatever_the_network_runs_in():
    query, positive, negatives = reference_tuples()
    options = WEAK_LOSSES["sare_joint_openibl"]
    exact = weak_loss(*tuple_similarities(query, positive, negatives), options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = weak_loss(*tuple_similarities(query, positive, negatives), options)
        narrow = tuple_similarities(query.bfloat16(), positive.bfloat16(), negatives.bfloat16())
    assert torch.equal(again, exact)
    assert {x.dtype for x in narrow} == {torch.float32}


@pytest.mark.parametrize(
    "options", [WEAK_LOSSES["sare_ind"], WEAK_LOSSES["sare_joint_openibl"], WEAK_LOSSES["netvlad"]]
)
def test_in_batch_is_the_same_loss_over_all_pairs(options):
    generator = torch.Generator().manual_seed(5)
    descriptors = torch.nn.functional.normalize(torch.randn(7, 6, generator=generator, dtype=torch.float64), dim=1)
    labels = [3, 3, 3, 8, 8, 1, 2]
    never = torch.zeros(7, 7, dtype=torch.bool)
    never[0, 3] = never[3, 0] = True
    similarity = descriptors @ descriptors.T
    queries, positives, masks = [], [], []
    for i in range(7):
        for j in range(7):
            if i != j and labels[i] == labels[j]:
                queries.append(similarity[i])
                positives.append(similarity[i, j])
                masks.append([labels[k] != labels[i] and not never[i, k] for k in range(7)])
    expected = by_loops(torch.stack(positives), torch.stack(queries), torch.tensor(masks), options)
    assert len(positives) == 8
    assert float(sare_inbatch(descriptors, torch.tensor(labels), options, never)) == pytest.approx(expected, rel=1e-12)
    alone = descriptors[:2].clone().requires_grad_()
    loss = sare_inbatch(alone, torch.tensor([0, 1]), options)
    loss.backward()
    assert loss.item() == 0 and (alone.grad == 0).all()


@pytest.mark.parametrize(
    "options",
    [
        WeakLossOptions(name="quadruplet"),
        WeakLossOptions(tau=0),
        WeakLossOptions(margin=float("nan")),
        WeakLossOptions("triplet"),
        WeakLossOptions(reduction="violating"),
        WeakLossOptions(kernel="cauchy"),
        WeakLossOptions(reduction="sum"),
    ],
)
def test_senseless_options_are_refused(options):
    with pytest.raises(ConfigError, match=r"loss\."):
        options.check()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("netvlad", {"name": "triplet", "form": "d2", "squared": True, "margin": 0.1, "reduction": "violating"}),
        (
            "netvlad_openibl",
            {"name": "triplet", "form": "d2", "squared": False, "margin": 0.1**0.5, "reduction": "mean_pairs"},
        ),
        ("sare_ind", {"name": "sare_ind", "form": "d2", "kernel": "gauss", "tau": 1, "reduction": "matlab"}),
        ("sare_joint", {"name": "sare_joint", "form": "d2", "kernel": "gauss", "tau": 1, "reduction": "matlab"}),
        (
            "sare_ind_openibl",
            {"name": "sare_ind", "form": "cos", "kernel": "gauss", "tau": 0.07, "reduction": "mean_pairs"},
        ),
        (
            "sare_joint_openibl",
            {"name": "sare_joint", "form": "cos", "kernel": "gauss", "tau": 0.07, "reduction": "mean_queries"},
        ),
    ],
)
def test_published_constants(name, expected):
    options = WEAK_LOSSES[name]
    assert {key: getattr(options, key) for key in expected} == expected


def test_published_constants_of_sfrs():
    options = RegionLossOptions()
    assert options.teacher_temperatures == (0.07, 0.07, 0.06, 0.05)
    assert (options.temperature, options.soft_weight) == (0.07, 0.5)
    assert options.hard == WEAK_LOSSES["sare_ind_openibl"]


def test_published_settings_are_valid():
    for options in WEAK_LOSSES.values():
        options.check()
