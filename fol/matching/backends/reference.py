"""The definition, one candidate after the other: for tests and for doubts, not for speed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fol.matching.inputs import TokenSet
from fol.matching.mutual_nearest import BatchMatches, reference_partners
from fol.matching.precision import exact_float32


class ReferenceBackend:
    """Materialises the matrix of one pair at a time: ``4 Lq Lc`` bytes and a few copies of it."""

    name = "reference"

    def match(self, query: TokenSet, candidates: Sequence[TokenSet], threshold: float | None) -> BatchMatches:
        """See ``Backend.match``."""
        with exact_float32(query.descriptors.device):
            rows = [reference_partners(query, candidate, threshold) for candidate in candidates]
        return BatchMatches(torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows]))


def create(device: torch.device) -> ReferenceBackend:
    """For any device."""
    return ReferenceBackend()
