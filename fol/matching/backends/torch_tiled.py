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
import threading
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from fol.matching.backends.torch_measures import Measure, measures
from fol.matching.inputs import TokenSet
from fol.matching.mutual_nearest import BatchMatches
from fol.matching.precision import Precision, exact_float32
from fol.matching.threads import map_single_threaded

_TILE_ROWS = 256
_TILE_CELLS = 2**18  # 1 MiB of float32, twice per thread: long candidates get fewer rows per tile
# CPU products of fewer than about 16 rows, and the last odd rows of others, take kernels that add in another order;
# with every side a multiple of 32, equal descriptors have equal similarities wherever they stand, so ties are ties.
_ALIGN = 32
_GROUP_CELLS = 2**24  # 64 MiB per product of a group, on devices that need large ones
_GROUP_SIZE = 32

_Put = Callable[[int, Tensor, Tensor], None]  # candidate, its row of partners, its row of similarities


class TorchTiledBackend:
    """Above the features it needs about ``12 N Lq`` bytes for the answer and 15 MB (CPU) of scratch; integers twice."""

    name = "torch"

    def __init__(self, grouped: bool, precision: Precision = "exact") -> None:
        self._grouped = grouped
        self.precision = precision

    def match(self, query: TokenSet, candidates: Sequence[TokenSet], threshold: float | None) -> BatchMatches:
        """See ``Backend.match``."""
        least = -math.inf if threshold is None else threshold
        matches = BatchMatches.none(len(candidates), len(query), query.device)
        rows = query.valid_rows()

        def put(k: int, found: Tensor, value: Tensor) -> None:
            if rows is None:
                matches.partner[k], matches.similarity[k] = found, value
            else:
                matches.partner[k, rows], matches.similarity[k, rows] = found, value

        match_all = _match_grouped if self._grouped else _match_each
        with torch.no_grad(), exact_float32(query.device):
            for measure, members in measures(self.precision, query, candidates):
                match_all(measure, query, {k: candidates[k] for k in members}, least, put)
        return matches


def create(device: torch.device, precision: Precision = "exact") -> TorchTiledBackend:
    """Candidates one by one on the CPU, in groups elsewhere."""
    return TorchTiledBackend(device.type != "cpu", precision)


def _aligned(rows: Tensor, length: int) -> Tensor:
    """Contiguous rows, filled up with zero rows to ``length``; the input itself where it is that already."""
    if rows.shape[0] == length and rows.is_contiguous():
        return rows
    out = rows.new_zeros(length, rows.shape[1])
    out[: rows.shape[0]] = rows
    return out


def _up(length: int) -> int:
    return -(-length // _ALIGN) * _ALIGN


def _match_each(measure: Measure, query: TokenSet, candidates: Mapping[int, TokenSet], least: float, put: _Put) -> None:
    """``put`` partner and similarity of the query's valid rows for every candidate, one per thread at a time."""
    ours = measure.rows(query, False)
    rows = _aligned(ours.rows, _up(query.count))

    def match(k: int) -> None:
        theirs = measure.rows(candidates[k], True)
        count = candidates[k].count
        columns = _aligned(theirs.rows, _up(count))
        found, value = _match_pair(rows, query.count, columns, count, measure.least(least), memory)
        put(k, *measure.finish(found, value, ours, theirs, candidates[k].valid_rows(), least))

    memory = threading.local()
    map_single_threaded(match, list(candidates))


def _scratch(memory: threading.local, name: str, like: Tensor, cells: int) -> Tensor:
    """Uninitialised ``[cells]``, the same memory for every pair of a thread: what is freed is not always given back."""
    held: dict[str, Tensor] = memory.__dict__
    if name not in held or len(held[name]) < cells:
        held[name] = like.new_empty(cells)
    return held[name][:cells]


def _match_pair(
    query: Tensor, rows: int, candidate: Tensor, columns: int, least: float, memory: threading.local
) -> tuple[Tensor, Tensor]:
    """Partner and similarity ``[rows]`` of one pair; both sets are filled up with zero rows that are not looked at."""
    height = min(_TILE_ROWS, max(_ALIGN, _TILE_CELLS // candidate.shape[0] // _ALIGN * _ALIGN), query.shape[0])
    scratch = _scratch(memory, "tile", query, height * candidate.shape[0])
    column_best = query.new_full((columns,), -math.inf)
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
        candidates_of_tile = tile
        if len(above) < len(tile):
            chosen = _scratch(memory, "chosen", query, len(above) * columns).view(len(above), columns)
            candidates_of_tile = torch.index_select(tile, 0, above, out=chosen)
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
    measure: Measure, query: TokenSet, candidates: Mapping[int, TokenSet], least: float, put: _Put
) -> None:
    """As ``_match_each``, equally long candidates together; no step waits for the device."""
    ours = measure.rows(query, False)
    tokens = ours.rows.contiguous()
    by_width: dict[int, list[int]] = {}
    for k, candidate in candidates.items():
        by_width.setdefault(-(-candidate.count // 256) * 256, []).append(k)
    for width, members in by_width.items():
        height = min(_TILE_ROWS, len(tokens))
        size = max(1, min(_GROUP_SIZE, _GROUP_CELLS // (height * width)))
        for first in range(0, len(members), size):
            group = members[first : first + size]
            theirs = [measure.rows(candidates[k], True) for k in group]
            # Always `size` candidates, empty ones at the end: a shorter last group would be another shape.
            block = tokens.new_zeros(size, width, tokens.shape[1])
            absent = torch.ones(size, width, dtype=torch.bool, device=tokens.device)
            for slot, side in enumerate(theirs):
                block[slot, : len(side.rows)] = side.rows
                absent[slot, : len(side.rows)] = False
            found, value = _match_block(tokens, block, absent, measure.least(least))
            for slot, (k, side) in enumerate(zip(group, theirs, strict=True)):
                put(k, *measure.finish(found[slot], value[slot], ours, side, candidates[k].valid_rows(), least))


def _match_block(query: Tensor, block: Tensor, absent: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Partner (-1 for none) and similarity ``[B, Lq]`` of a block ``[B, Lc, D]`` with padding ``absent [B, Lc]``."""
    size, width, _ = block.shape
    length = len(query)
    column_best = query.new_full((size, width), -math.inf)
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
