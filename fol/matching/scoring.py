"""Matches to scores: pure functions, no options.

Sums run over fixed-point integers: they are the same in any order, so a score does not depend on how many candidates
were scored together, nor on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fol.matching.mutual_nearest import BatchMatches

_FIXED_POINT = 2.0**32  # 2^-32 per term is far below float32, and 2^31 terms of at most 1 fit into int64


def count_matches(matches: BatchMatches) -> Tensor:
    """Number of matches ``[N]`` int64: the score of the published code (official: test_FoL.py:84-92)."""
    return (matches.partner >= 0).sum(dim=1)


def weighted_score(
    matches: BatchMatches, query_weights: Tensor, candidate_weights: Sequence[Tensor], normalise: bool = True
) -> Tensor:
    """Sum over the matches of ``sqrt(w_q w_c)`` ``[N]`` float32, the bilateral weights of FoL++.

    ``query_weights [Lq]`` and N times ``candidate_weights [Lc]``, in [0, 1]. With ``normalise`` the sum is divided by
    ``sqrt(sum(w_q) sum(w_c))`` over all tokens: as matches are one to one, the Cauchy-Schwarz inequality bounds the
    result by 1, which an image reaches with itself, whatever its number of tokens. Zero where all weights are zero.
    """
    if not len(matches):
        return torch.zeros(0, device=query_weights.device)
    lengths = torch.tensor([0, *(len(w) for w in candidate_weights[:-1])])
    starts = lengths.cumsum(0).to(query_weights.device, non_blocking=True)
    packed = torch.cat([*candidate_weights, query_weights.new_zeros(1)])  # the last for candidates without tokens
    partner_weights = packed[matches.partner.clamp(min=0) + starts[:, None]]
    terms = torch.sqrt(query_weights * partner_weights).masked_fill(matches.partner < 0, 0.0)
    total = _sum(terms)
    if normalise:
        scale = torch.sqrt(_sum(query_weights) * torch.stack([_sum(w) for w in candidate_weights]))
        total = torch.where(scale > 0, total / scale, 0.0)
    return total.float()


def fuse(local_score: Tensor, global_similarity: Tensor | None, weight: float) -> Tensor:
    """``weight * S_g + S_l`` ``[N]`` float32; the local score alone without a global similarity."""
    if global_similarity is None or weight == 0:
        return local_score
    return (local_score.double() + weight * global_similarity.double()).float()


def _sum(terms: Tensor) -> Tensor:
    """Sum over the last dimension, float64."""
    return (terms.double() * _FIXED_POINT).round().long().sum(dim=-1).double() / _FIXED_POINT
