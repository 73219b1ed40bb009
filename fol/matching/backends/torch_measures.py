"""Every precision as a product of floating-point rows, so that plain torch needs one search for all of them.

Integers are exact in floating point as long as they are small enough, so their order, and ties, survive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fol.matching.backends.coded import binary_similarity, int8_similarity, signs, whole_bias
from fol.matching.inputs import TokenSet, quantisers, with_tokens
from fol.matching.precision import Precision
from fol.matching.quantisation import Quantiser


@dataclass(frozen=True, eq=False)
class Side:
    """One set: ``rows [count, D']`` whose products are searched; ``bias`` of int8 codes, and the same as integers."""

    rows: Tensor
    bias: Tensor | None = None
    whole: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Measure:
    """How two sets are compared in one precision; ``quantiser`` None for ``"exact"``."""

    precision: Precision
    quantiser: Quantiser | None = None

    def rows(self, tokens: TokenSet, candidate: bool) -> Side:
        """What the search multiplies; the product of a query's and a candidate's rows grows with the similarity."""
        if self.quantiser is None:
            return Side(tokens.compact()[0].float())
        codes, bias = tokens.encoded(self.quantiser)
        if self.precision == "binary":
            return Side(signs(codes).float() * 2 - 1)
        whole = whole_bias(bias, self.quantiser)
        ones = torch.ones_like(bias, dtype=torch.float64)
        extra = (ones, whole) if candidate else (whole, ones)  # adds both biases to the product
        return Side(torch.cat([codes.double(), torch.stack(extra, dim=1)], dim=1), bias, whole)

    def least(self, threshold: float) -> float:
        """A bound for the search: what does not exceed it need not be found."""
        return threshold if self.quantiser is None else -math.inf

    def finish(
        self, found: Tensor, value: Tensor, query: Side, candidate: Side, rows: Tensor | None, threshold: float
    ) -> tuple[Tensor, Tensor]:
        """Partners in the candidate's own numbering (``rows`` of the searched ones) and float32 similarities."""
        matched = found >= 0
        at = found.clamp(min=0)
        if self.quantiser is not None:
            if query.bias is None or candidate.bias is None or query.whole is None or candidate.whole is None:
                dim = self.quantiser.dim
                value = binary_similarity(((dim - value) / 2).long() * matched, dim)
            else:
                products = value.double() - query.whole - candidate.whole[at]
                value = int8_similarity(products, query.bias, candidate.bias[at], self.quantiser)
            matched = matched & (value > threshold)
        partner = torch.where(matched, at if rows is None else rows[at], -1)
        return partner, torch.where(matched, value, 0.0).float()


def measures(precision: Precision, query: TokenSet, candidates: Sequence[TokenSet]) -> list[tuple[Measure, list[int]]]:
    """Which candidates are compared how; sets without tokens are in no list."""
    if precision != "exact":
        return [(Measure(precision, quantiser), members) for quantiser, members in quantisers(query, candidates)]
    members = with_tokens(query, candidates)
    return [(Measure(precision), members)] if members else []
