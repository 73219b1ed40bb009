"""Mutual nearest neighbours in plain torch, tile by tile, on any device.

The similarity matrix of a pair streams by in tiles of query rows; only the running maxima stay. Two ways:

* CPU, one candidate at a time: of each tile only the two vectors of maxima are computed (a vectorised reduction that
  takes a fraction of the product's time, whereas maxima with indices cost as much as the product). A match is a cell
  that is both its row's and its column's maximum, and above the threshold, so positions are looked up in the rows above
  it alone.
* Other devices, several candidates at a time and without waiting for the device: maxima with their indices.

Shapes of the products follow from the lengths of one pair, never from the batch: a library picks its kernel, and with
it the order of the sums, by shape. So a candidate has the same result, bit for bit, in any company.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fol.matching.inputs import TokenSet
from fol.matching.mutual_nearest import BatchMatches
from fol.matching.precision import exact_float32
from fol.matching.threads import map_single_threaded

_TILE_ROWS = 256
_TILE_CELLS = 2**21  # 8 MiB of float32: long candidates get fewer rows per tile
# CPU products of fewer than about 16 rows, and the last odd rows of others, take kernels that add in another order;
# with every side a multiple of 32, equal descriptors have equal similarities wherever they stand, so ties are ties.
_ALIGN = 32
_GROUP_CELLS = 2**24  # 64 MiB per product of a group, on devices that need large ones
_GROUP_SIZE = 32


class TorchTiledBackend:
    """Float32, exact. Above the features it needs about ``12 N Lq`` bytes for the answer and 15 MB (CPU) of scratch."""

    name = "torch"

    def __init__(self, grouped: bool) -> None:
        self._grouped = grouped

    def match(self, query: TokenSet, candidates: Sequence[TokenSet], threshold: float | None) -> BatchMatches:
        """See ``Backend.match``."""
        device = query.descriptors.device
        partner = torch.full((len(candidates), len(query)), -1, device=device)
        similarity = torch.zeros(len(candidates), len(query), device=device)
        least = -math.inf if threshold is None else threshold
        if query.count:
            with torch.no_grad(), exact_float32(device):
                (_match_grouped if self._grouped else _match_each)(query, candidates, least, partner, similarity)
        return BatchMatches(partner, similarity)


def create(device: torch.device) -> TorchTiledBackend:
    """Candidates one by one on the CPU, in groups elsewhere."""
    return TorchTiledBackend(grouped=device.type != "cpu")


def _aligned(descriptors: Tensor, rows: int) -> Tensor:
    """Float32 rows, contiguous, filled up with zero rows to ``rows``; the input itself where it is that already."""
    if descriptors.dtype == torch.float32 and descriptors.shape[0] == rows and descriptors.is_contiguous():
        return descriptors
    out = torch.zeros(rows, descriptors.shape[1], device=descriptors.device)
    out[: descriptors.shape[0]] = descriptors
    return out


def _up(length: int) -> int:
    return -(-length // _ALIGN) * _ALIGN


def _match_each(
    query: TokenSet, candidates: Sequence[TokenSet], least: float, partner: Tensor, similarity: Tensor
) -> None:
    """Fill rows of the answer in place, one candidate per thread at a time."""
    tokens, query_rows = query.compact()
    tokens = _aligned(tokens, _up(query.count))

    def match(candidate: TokenSet) -> tuple[Tensor, Tensor] | None:
        if candidate.count == 0:
            return None
        columns, candidate_rows = candidate.compact()
        found, cosine = _match_pair(
            tokens, query.count, _aligned(columns, _up(candidate.count)), candidate.count, least
        )
        return found if candidate_rows is None else torch.where(found >= 0, candidate_rows[found], -1), cosine

    for k, answer in enumerate(map_single_threaded(match, candidates)):
        if answer is None:
            continue
        found, cosine = answer
        if query_rows is None:
            partner[k], similarity[k] = found, cosine
        else:
            partner[k, query_rows], similarity[k, query_rows] = found, cosine


def _match_pair(query: Tensor, rows: int, candidate: Tensor, columns: int, least: float) -> tuple[Tensor, Tensor]:
    """Partner and similarity ``[rows]`` of one pair; both sets are filled up with zero rows that are not looked at."""
    height = min(_TILE_ROWS, max(_ALIGN, _TILE_CELLS // candidate.shape[0] // _ALIGN * _ALIGN), query.shape[0])
    scratch = torch.empty(height * candidate.shape[0])
    column_best = torch.full((columns,), -math.inf)
    column_owner = torch.full((columns,), -1)
    partner = torch.full((rows,), -1)
    for start in range(0, query.shape[0], height):
        block = query[start : start + height]
        product = torch.mm(block, candidate.T, out=scratch[: len(block) * len(candidate)].view(len(block), -1))
        tile = product[: rows - start, :columns]
        row_best, tile_best = tile.amax(dim=1), tile.amax(dim=0)
        better = tile_best > column_best  # strictly: among equals the earlier tile holds the lower rows
        column_best = torch.maximum(column_best, tile_best)
        column_owner.masked_fill_(better, -1)
        above = (row_best > least).nonzero().squeeze(1)
        if not len(above):
            continue
        candidates_of_tile = tile if len(above) == len(tile) else tile.index_select(0, above)
        nearest = candidates_of_tile.max(dim=1).indices
        # Rows that reach the column's maximum; of several, the first owns it. Any such row is among those above.
        reach = (better[nearest] & (row_best[above] == column_best[nearest])).nonzero().squeeze(1)
        nearest = nearest[reach]
        owns = candidates_of_tile[:, nearest].max(dim=0).indices == reach
        nearest, owners = nearest[owns], above[reach[owns]] + start
        column_owner[nearest] = owners
        partner[owners] = nearest
    lost = column_owner[partner] != torch.arange(rows)  # outdone by a later tile (or never found: -1 reads the last)
    partner.masked_fill_(lost, -1)
    return partner, torch.where(partner >= 0, column_best[partner], 0.0)


def _match_grouped(
    query: TokenSet, candidates: Sequence[TokenSet], least: float, partner: Tensor, similarity: Tensor
) -> None:
    """Fill rows of the answer in place, equally long candidates together; no step waits for the device."""
    tokens, query_rows = query.compact()
    tokens = tokens.float().contiguous()
    device = tokens.device
    by_width: dict[int, list[int]] = {}
    for k, candidate in enumerate(candidates):
        if candidate.count:
            by_width.setdefault(-(-candidate.count // 256) * 256, []).append(k)
    for width, members in by_width.items():
        height = min(_TILE_ROWS, len(tokens))
        size = max(1, min(_GROUP_SIZE, _GROUP_CELLS // (height * width)))
        for first in range(0, len(members), size):
            group = members[first : first + size]
            # Always `size` candidates, empty ones at the end: a shorter last group would be another shape.
            block = torch.zeros(size, width, tokens.shape[1], device=device)
            rows = torch.zeros(size, width, dtype=torch.long, device=device)
            absent = torch.ones(size, width, dtype=torch.bool, device=device)
            for slot, k in enumerate(group):
                columns, candidate_rows = candidates[k].compact()
                block[slot, : len(columns)] = columns
                absent[slot, : len(columns)] = False
                rows[slot, : len(columns)] = (
                    torch.arange(len(columns), device=device) if candidate_rows is None else candidate_rows
                )
            found, cosine = _match_block(tokens, block, absent, least)
            matched = found >= 0
            found = torch.where(matched, rows.gather(1, found.clamp(min=0)), -1)[: len(group)]
            cosine = torch.where(matched, cosine, 0.0)[: len(group)]
            for slot, k in enumerate(group):
                if query_rows is None:
                    partner[k], similarity[k] = found[slot], cosine[slot]
                else:
                    partner[k, query_rows], similarity[k, query_rows] = found[slot], cosine[slot]


def _match_block(query: Tensor, block: Tensor, absent: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Partner (-1 for none) and similarity ``[B, Lq]`` of a block ``[B, Lc, D]`` with padding ``absent [B, Lc]``."""
    size, width, _ = block.shape
    length = len(query)
    column_best = torch.full((size, width), -math.inf, device=query.device)
    column_owner = torch.zeros(size, width, dtype=torch.long, device=query.device)
    best, nearest = [], []
    for start in range(0, length, _TILE_ROWS):
        rows = query[start : start + _TILE_ROWS]
        tile = torch.bmm(rows.expand(size, -1, -1), block.transpose(1, 2))
        if least < 0:  # otherwise a padded column's zeros can be no match, and hide none
            tile.masked_fill_(absent[:, None], -math.inf)
        row_best = tile.max(dim=2)
        tile_best = tile.max(dim=1)
        best.append(row_best.values)
        nearest.append(row_best.indices)
        better = tile_best.values > column_best  # strictly: among equals the earlier tile holds the lower rows
        column_best = torch.where(better, tile_best.values, column_best)
        column_owner = torch.where(better, tile_best.indices + start, column_owner)
    similarity, partner = torch.cat(best, dim=1), torch.cat(nearest, dim=1)
    mutual = column_owner.gather(1, partner) == torch.arange(length, device=query.device)
    return torch.where(mutual & (similarity > least), partner, -1), similarity
