"""The definition of every precision, one candidate after the other: for tests and for doubts, not for speed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fol.matching.backends.coded import binary_similarity, int8_similarity, signs, whole_bias
from fol.matching.inputs import TokenSet, quantisers
from fol.matching.mutual_nearest import BatchMatches, reference_partners
from fol.matching.precision import Precision, exact_float32
from fol.matching.quantisation import Quantiser

_Codes = tuple[Tensor, Tensor]


class ReferenceBackend:
    """Materialises the matrix of one pair at a time: ``4 Lq Lc`` bytes (8 for integers) and a few copies of it."""

    name = "reference"

    def __init__(self, precision: Precision) -> None:
        self.precision = precision

    def match(self, query: TokenSet, candidates: Sequence[TokenSet], threshold: float | None) -> BatchMatches:
        """See ``Backend.match``."""
        least = -math.inf if threshold is None else threshold
        matches = BatchMatches.none(len(candidates), len(query), query.device)
        partner, similarity = matches.partner, matches.similarity
        with torch.no_grad():
            if self.precision == "exact":
                with exact_float32(query.device):
                    for k, candidate in enumerate(candidates):
                        partner[k], similarity[k] = reference_partners(query, candidate, threshold)
                return matches
            partners = int8_partners if self.precision == "int8" else binary_partners
            for quantiser, members in quantisers(query, candidates):
                ours = query.encoded(quantiser)
                for k in members:
                    found, value = partners(ours, candidates[k].encoded(quantiser), quantiser, least)
                    rows = _rows(query)
                    partner[k, rows] = torch.where(found >= 0, _rows(candidates[k])[found], -1)
                    similarity[k, rows] = value
        return matches


def create(device: torch.device, precision: Precision) -> ReferenceBackend:
    """For any device."""
    return ReferenceBackend(precision)


def int8_partners(query: _Codes, candidate: _Codes, quantiser: Quantiser, least: float) -> tuple[Tensor, Tensor]:
    """Partner ``[Lq]`` int64 (-1 for none) and cosine ``[Lq]`` of two sets of (codes, bias); ``cosine > least``."""
    # Whole numbers below 2^53 are exact in float64, whatever the order of the sums.
    products = query[0].double() @ candidate[0].double().T
    keys = products + whole_bias(query[1], quantiser)[:, None] + whole_bias(candidate[1], quantiser)
    cosines = int8_similarity(products, query[1][:, None], candidate[1], quantiser)
    return _mutual(keys, cosines, least)


def binary_partners(query: _Codes, candidate: _Codes, quantiser: Quantiser, least: float) -> tuple[Tensor, Tensor]:
    """As ``int8_partners``, by the least Hamming distance and with the centred cosine it stands for."""
    distances = torch.stack([(row != signs(candidate[0])).sum(dim=1) for row in signs(query[0])])
    return _mutual(-distances, binary_similarity(distances, quantiser.dim), least)


def _mutual(keys: Tensor, cosines: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Cells of ``keys [Lq, Lc]`` that are the first largest of their row and of their column."""
    here = torch.arange(len(keys), device=keys.device)
    nearest = keys.max(dim=1).indices
    cosine = cosines[here, nearest]
    matched = (keys.max(dim=0).indices[nearest] == here) & (cosine > least)
    return torch.where(matched, nearest, -1), torch.where(matched, cosine, 0.0)


def _rows(tokens: TokenSet) -> Tensor:
    return tokens.valid.nonzero().squeeze(1)
