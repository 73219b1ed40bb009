"""Gradients of matched similarities against autograd through the whole matrix."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from fol.matching import differentiable_matches, mutual_nearest


def sets(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    query = normalize(torch.randn(12, 8, generator=generator, dtype=dtype), dim=1)
    others = [torch.randn(n, 8, generator=generator, dtype=dtype) for n in (9, 0, 15)]
    candidates = [normalize(query[: len(o)].repeat(2, 1)[: len(o)] + 0.5 * o, dim=1) for o in others]
    return query.requires_grad_(), [c.requires_grad_() for c in candidates]


@pytest.mark.parametrize("threshold", [None, 0.0, 0.7])
def test_same_as_autograd_through_the_matrix(threshold):
    query, candidates = sets()
    matches = differentiable_matches(query, candidates, threshold)
    (matches.similarity**2).sum().backward()
    found = [query.grad, *(c.grad for c in candidates)]
    again, copies = sets()
    total = sum((mutual_nearest(again, c, threshold).similarity ** 2).sum() for c in copies)
    total.backward()
    for got, expected in zip(found, [again.grad, *(c.grad for c in copies)], strict=True):
        torch.testing.assert_close(got, torch.zeros_like(got) if expected is None else expected)
    for k, c in enumerate(copies):
        assert torch.equal(matches[k].pairs, mutual_nearest(again, c, threshold).pairs)


def test_gradcheck_in_float64():
    query, candidates = sets(torch.float64)
    assert torch.autograd.gradcheck(
        lambda q, first, last: differentiable_matches(q, [first, last], 0.2, "reference").similarity,
        (query, candidates[0], candidates[2]),
        eps=1e-6,
    )


def test_no_matrix_is_kept_for_the_backward_pass():
    query, candidates = sets()
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        differentiable_matches(query, candidates, None)
    # Descriptors of both sides, and two answers of [N, Lq].
    assert sum(kept) <= query.numel() + sum(c.numel() for c in candidates) + 2 * 3 * len(query)


def test_without_candidates():
    matches = differentiable_matches(torch.eye(3), [], 0.7)
    assert tuple(matches.similarity.shape) == (0, 3)
