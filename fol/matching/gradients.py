"""Similarities of mutual nearest neighbours with gradients, without a similarity matrix in memory.

Which tokens match does not change with an infinitesimal step, so the gradient flows through the matched pairs alone.
They are found by any backend; the backward pass computes their products again instead of keeping them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fol.matching.backends import get_backend
from fol.matching.inputs import check_sets
from fol.matching.mutual_nearest import BatchMatches


def differentiable_matches(
    query: Tensor, candidates: Sequence[Tensor], threshold: float | None, backend: str = "auto"
) -> BatchMatches:
    """Matches of ``query [Lq, D]`` with each of ``candidates`` (N times ``[Lc, D]``) by ``mutual_nearest``'s rules.

    ``similarity [N, Lq]`` carries gradients to the descriptors of both sides; the memory kept for them is the
    descriptors and the answer. Raises ``MatchingError`` as ``check_sets`` does.
    """
    checked_query, checked = check_sets(query, list(candidates))
    if not checked:
        return BatchMatches.none(0, len(query), query.device)
    with torch.no_grad():
        matches = get_backend(backend, query.device).match(checked_query, checked, threshold)
    lengths = torch.tensor([0, *(len(candidate) for candidate in candidates[:-1])], device=query.device)
    rows = matches.partner + lengths.cumsum(0)[:, None]
    similarity = _PairProducts.apply(query, torch.cat(list(candidates)), rows, matches.partner >= 0)
    return BatchMatches(matches.partner, similarity)


class _PairProducts(torch.autograd.Function):
    """``out[n, i] = query[i] . packed[rows[n, i]]`` where ``matched[n, i]``, else 0; float32."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, packed: Tensor, rows: Tensor, matched: Tensor) -> Tensor:
        ctx.save_for_backward(query, packed, rows, matched)
        out = torch.zeros(rows.shape, device=query.device, dtype=torch.promote_types(query.dtype, torch.float32))
        for n in range(len(rows)):
            mine = matched[n].nonzero().squeeze(1)
            out[n, mine] = (query[mine].to(out.dtype) * packed[rows[n, mine]]).sum(dim=1)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        query, packed, rows, matched = ctx.saved_tensors
        to_query = torch.zeros(query.shape, device=query.device, dtype=gradient.dtype)
        to_packed = torch.zeros(packed.shape, device=query.device, dtype=gradient.dtype)
        for n in range(len(rows)):
            mine = matched[n].nonzero().squeeze(1)
            theirs, factor = rows[n, mine], gradient[n, mine, None]
            to_query[mine] += factor * packed[theirs]
            to_packed[theirs] += factor * query[mine]  # one to one: no row twice
        return to_query.to(query.dtype), to_packed.to(packed.dtype), None, None
