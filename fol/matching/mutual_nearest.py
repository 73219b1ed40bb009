"""Mutual nearest neighbours of two sets of local descriptors: the operation that re-ranking is made of.

A query token and a candidate token match when each is the other's most similar token and their cosine is above the
threshold. The functions here are the plain definition and materialise the matrix of one pair; the backends compute the
same for many candidates without it, and are tested against this file.

Rules that every backend keeps (official: test_FoL.py:53-122, except where said):

* similarities are float32 products of the descriptors as given, which must have unit rows;
* equal similarities resolve to the lowest index, on both sides (the official code leaves it to the device);
* ``cosine > threshold`` is strict; a threshold of None keeps every mutual pair;
* zero rows are padding: they never match and are nobody's neighbour (official: the same for thresholds >= 0);
* exactly one match counts 1 (the official code gives 0, because of a ``squeeze``); an empty set gives none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fol.matching.inputs import TokenSet, check_sets
from fol.matching.precision import exact_float32
from fol.types import LocalFeatures


@dataclass(frozen=True, eq=False)
class MutualMatches:
    """Matches of one pair of images, by ascending query token.

    ``query_index [M]`` and ``candidate_index [M]`` int64; ``similarity [M]`` float32 cosines.
    """

    query_index: Tensor
    candidate_index: Tensor
    similarity: Tensor

    def __len__(self) -> int:
        return int(self.query_index.shape[0])

    @property
    def pairs(self) -> Tensor:
        """``[M, 2]`` int64 rows (query token, candidate token)."""
        return torch.stack([self.query_index, self.candidate_index], dim=1)


@dataclass(frozen=True, eq=False)
class BatchMatches:
    """Matches of one query with N candidates, as backends give them: fixed shapes, so that no device has to wait.

    ``partner [N, Lq]`` int64: the candidate token matched with each query token, -1 for none; ``similarity [N, Lq]``
    float32: its cosine, 0 for none.
    """

    partner: Tensor
    similarity: Tensor

    @staticmethod
    def none(candidates: int, tokens: int, device: torch.device) -> BatchMatches:
        """No matches of ``tokens`` query tokens with ``candidates`` sets: where backends write what they find."""
        partner = torch.full((candidates, tokens), -1, device=device)
        return BatchMatches(partner, torch.zeros(candidates, tokens, device=device))

    def __len__(self) -> int:
        return int(self.partner.shape[0])

    def __getitem__(self, candidate: int) -> MutualMatches:
        """Matches of one candidate."""
        rows = (self.partner[candidate] >= 0).nonzero().squeeze(1)
        return MutualMatches(rows, self.partner[candidate, rows], self.similarity[candidate, rows])


def mutual_nearest(
    query: LocalFeatures | Tensor, candidate: LocalFeatures | Tensor, threshold: float | None
) -> MutualMatches:
    """Mutual nearest neighbours of ``query [Lq, D]`` and ``candidate [Lc, D]`` with ``cosine > threshold``.

    The reference: needs ``4 Lq Lc`` bytes. ``similarity`` carries gradients when the descriptors do. Raises
    ``MatchingError`` as ``check_sets`` does. Official: ``test_FoL.py:53-92``, with the differences above.
    """
    checked_query, (checked_candidate,) = check_sets(query, [candidate])
    with exact_float32(checked_query.descriptors.device):
        partner, similarity = reference_partners(checked_query, checked_candidate, threshold)
    return BatchMatches(partner[None], similarity[None])[0]


def reference_partners(query: TokenSet, candidate: TokenSet, threshold: float | None) -> tuple[Tensor, Tensor]:
    """One row of ``BatchMatches``: partner ``[Lq]`` int64 (-1 for none) and similarity ``[Lq]`` float32."""
    nobody = torch.full((len(query),), -1, device=query.descriptors.device)
    if query.count == 0 or candidate.count == 0:
        return nobody, torch.zeros(len(query), device=nobody.device)
    similarity = query.descriptors.float() @ candidate.descriptors.float().T
    similarity = similarity.masked_fill(~(query.valid[:, None] & candidate.valid[None, :]), -math.inf)
    best_similarity, best_candidate = similarity.max(dim=1)
    best_query = similarity.argmax(dim=0)
    mutual = best_query[best_candidate] == torch.arange(len(query), device=nobody.device)
    matched = mutual & (best_similarity > (-math.inf if threshold is None else threshold))
    return torch.where(matched, best_candidate, nobody), torch.where(matched, best_similarity, 0.0)
