"""Matches to scores: pure functions, no options.

Sums run over fixed-point integers: they are the same in any order, so a score does not depend on how many candidates
were scored together, nor on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from fol.matching.mutual_nearest import BatchMatches

#: What the similarity of a match adds to its weight: g in ``sum sqrt(w_q w_c) g(cos)``.
SimilarityWeight = Literal["one", "cosine", "margin"]
SIMILARITY_WEIGHTS: tuple[SimilarityWeight, ...] = get_args(SimilarityWeight)

_FIXED_POINT = 2.0**32  # 2^-32 per term is far below float32, and 2^31 terms of at most 1 fit into int64
_CELLS = 2**15  # terms at a time: a megabyte in all the types that they pass through


def count_matches(matches: BatchMatches) -> Tensor:
    """Number of matches ``[N]`` int64: the score of the published code (official: test_FoL.py:84-92)."""
    return (matches.partner >= 0).sum(dim=1)


def weighted_score(
    matches: BatchMatches,
    query_weights: Tensor,
    candidate_weights: Sequence[Tensor],
    normalise: bool = True,
    similarity_weight: SimilarityWeight = "one",
    threshold: float | None = None,
) -> Tensor:
    """Sum over the matches of ``sqrt(w_q w_c) g(cos)`` ``[N]`` float32; the root is the bilateral weight of FoL++.

    ``query_weights [Lq]`` and N times ``candidate_weights [Lc]``, in [0, 1]. g is 1 (``"one"``), the cosine, or
    ``(cos - threshold) / (1 - threshold)`` (``"margin"``, which needs the ``threshold`` of the matches), cut to
    [0, 1]. With ``normalise`` the sum is divided by ``sqrt(sum(w_q) sum(w_c))`` over all tokens: as matches are one to
    one, the Cauchy-Schwarz inequality bounds the result by 1, which an image reaches with itself (with g = 1 there,
    for distinct tokens), whatever its number of tokens. Zero where all weights are zero.
    """
    count, length = matches.partner.shape
    if not count:
        return torch.zeros(0, device=query_weights.device)
    step = max(1, _CELLS // max(1, length))
    sums, own = [], []
    for rows in (slice(first, first + step) for first in range(0, count, step)):
        weights = candidate_weights[rows]
        bounds = torch.tensor([0, *accumulate(map(len, weights))]).to(query_weights.device, non_blocking=True)
        packed = torch.cat([*weights, query_weights.new_zeros(1)])  # the last for candidates without tokens
        partner = matches.partner[rows]
        terms = torch.sqrt(query_weights * packed[partner.clamp(min=0) + bounds[:-1, None]])
        if similarity_weight != "one":
            terms = terms * _gain(matches.similarity[rows], similarity_weight, threshold)
        sums.append(_fixed(terms.masked_fill_(partner < 0, 0.0)).sum(dim=1))
        if normalise:
            running = functional.pad(_fixed(packed).cumsum(0), (1, 0))
            own.append(running[bounds[1:]] - running[bounds[:-1]])
    total = torch.cat(sums).double() / _FIXED_POINT
    if normalise:
        whole = _fixed(query_weights).sum().double() / _FIXED_POINT
        scale = torch.sqrt(whole * (torch.cat(own).double() / _FIXED_POINT))
        total = torch.where(scale > 0, total / scale, 0.0)
    return total.float()


def fuse(local_score: Tensor, global_similarity: Tensor | None, weight: float) -> Tensor:
    """``weight * S_g + S_l`` ``[N]`` float32; the local score alone without a global similarity."""
    if global_similarity is None or weight == 0:
        return local_score
    return (local_score.double() + weight * global_similarity.double()).float()


def _gain(similarity: Tensor, kind: SimilarityWeight, threshold: float | None) -> Tensor:
    if kind == "margin":
        if threshold is None:
            raise ValueError('similarity_weight "margin" needs the threshold of the matches')
        similarity = (similarity - threshold) / (1 - threshold)
    return similarity.clamp(0.0, 1.0)


def _fixed(terms: Tensor) -> Tensor:
    return terms.double().mul_(_FIXED_POINT).round_().long()
