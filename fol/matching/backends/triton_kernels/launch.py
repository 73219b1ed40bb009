"""From packed sets to matches: four kernels for all pairs (six for codes), none of which waits for the device.

1. every query token's nearest candidate token (of all), which marks those above the threshold;
2. the marked candidate tokens, listed: only they can be in a match, so only their nearest query tokens are looked for;
3. the first kernel with the roles swapped, for the listed tokens;
4. pairs that are each other's nearest.

Shapes and grids follow from the capacities in ``RaggedPairs``, and lengths are read on the device, so a captured CUDA
graph of ``match_pairs`` stays valid for other sets: copy their rows into the packed tensors and their places into
``RaggedPairs.table``, and replay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from fol.matching.backends.triton_kernels import kernels
from fol.matching.quantisation import Quantiser


@dataclass(frozen=True)
class Tiles:
    """Rows of x and of y, and dimensions (float32 alone), that a program takes at a time; warps; pipeline stages."""

    x: int
    y: int
    dim: int
    warps: int
    stages: int


LIST_BLOCK = 1024
MUTUAL_BLOCK = 256
_MAX_BIAS = 2**18  # twice the largest of unit rows at the largest scale
_MAX_CODED_DIM = 256


@dataclass(frozen=True, eq=False)
class PackedSets:
    """Sets end to end: ``rows [R, D]`` float32, or int8 codes with ``bias [R]`` float32 as ``Quantiser`` gives them.

    D as ``padded_dim`` wants it; rows of zeros or not, all take part.
    """

    rows: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True, eq=False)
class RaggedPairs:
    """Which sets of the packed query sets and candidate sets are compared.

    ``table [4, P]`` int64 on the device: first row and length of each pair's query set, then of its candidate set.
    ``query_width``, ``candidate_width``: no set of the table may be longer; they shape the launch.
    """

    table: Tensor
    query_width: int
    candidate_width: int

    @staticmethod
    def upload(
        query_starts: Sequence[int],
        query_lengths: Sequence[int],
        candidate_starts: Sequence[int],
        candidate_lengths: Sequence[int],
        device: torch.device,
    ) -> RaggedPairs:
        """From the host, without waiting for the device."""
        table = to_device([query_starts, query_lengths, candidate_starts, candidate_lengths], device)
        return RaggedPairs(table, max(query_lengths, default=0), max(candidate_lengths, default=0))


def to_device(values: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """An int64 tensor on ``device``; the copy is queued, from memory that the device reads by itself."""
    table = torch.tensor(values, dtype=torch.int64)
    return table.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else table


def tiles(dtype: torch.dtype, dim: int) -> Tiles:
    """The configuration for rows of ``dim`` (already padded)."""
    if dtype == torch.int8:
        return Tiles(x=128, y=64, dim=dim, warps=8, stages=4 if dim <= 128 else 3)
    return Tiles(x=64, y=64, dim=16, warps=4, stages=4)


def padded_dim(dtype: torch.dtype, dim: int) -> int:
    """The least number of dimensions, filled up with zeros, that the kernels take in place of ``dim``."""
    if dtype == torch.int8:
        return max(32, 1 << (dim - 1).bit_length())
    return -(-dim // 16) * 16


def tile_bits(dim: int) -> int:
    """Bits of a 32-bit key that are left for the number of a tile beside sums of codes of ``dim`` dimensions."""
    return 31 - (dim * 127**2 + _MAX_BIAS).bit_length()


def longest_coded_set(dim: int) -> int:
    """Tokens that one set of codes of ``dim`` dimensions may have; 0 for more dimensions than a program can hold."""
    dim = padded_dim(torch.int8, dim)
    return int(tiles(torch.int8, dim).y * 2 ** tile_bits(dim)) if dim <= _MAX_CODED_DIM else 0


def match_pairs(
    queries: PackedSets,
    candidates: PackedSets,
    pairs: RaggedPairs,
    threshold: float | None,
    quantiser: Quantiser | None = None,
) -> tuple[Tensor, Tensor]:
    """Partner ``[P, query_width]`` int64 (-1 for none) and similarity float32 (0 for none), as in ``BatchMatches``.

    With ``quantiser`` the sets are its codes. Launches on the current stream of the device. Scratch beside the answer:
    ``P (8 query_width + 9 candidate_width)`` bytes, and ``4 P`` times both widths more for codes.
    """
    size, device = pairs.table.shape[1], pairs.table.device
    partner = torch.empty(size, pairs.query_width, dtype=torch.int64, device=device)
    similarity = torch.empty(size, pairs.query_width, device=device)
    if not partner.numel() or not pairs.candidate_width:
        return partner.fill_(-1), similarity.zero_()
    if quantiser is not None and max(pairs.query_width, pairs.candidate_width) > longest_coded_set(quantiser.dim):
        raise ValueError(f"sets of codes may have at most {longest_coded_set(quantiser.dim)} tokens")
    least = -math.inf if threshold is None else threshold
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        if quantiser is None:
            _match_float32(queries.rows, candidates.rows, pairs, least, partner, similarity)
        else:
            _match_codes(queries, candidates, pairs, least, quantiser, partner, similarity)
    return partner, similarity


def _match_float32(x: Tensor, y: Tensor, pairs: RaggedPairs, least: float, partner: Tensor, similarity: Tensor) -> None:
    """Fill the answer."""
    config, scratch = tiles(x.dtype, x.shape[1]), _Scratch(pairs, torch.float32)
    constants = {"D": x.shape[1], "BLOCK_X": config.x, "BLOCK_Y": config.y, "BLOCK_D": config.dim}
    options = {"num_warps": config.warps, "num_stages": config.stages}
    x_place, y_place = pairs.table[:2], pairs.table[2:]
    grid, sizes = _grid(pairs, config.x, listed=False)
    kernels.nearest_float32[grid](
        x, y, *x_place, *y_place, scratch.listed, scratch.value, scratch.index, scratch.marks, least, *sizes,
        **constants, LISTED=False, **options,
    )  # fmt: skip
    scratch.list_marked(y_place[1])
    grid, sizes = _grid(pairs, config.x, listed=True)
    kernels.nearest_float32[grid](
        y, x, y_place[0], scratch.count, *x_place, scratch.listed, scratch.value, scratch.back, scratch.marks, 0.0,
        *sizes, **constants, LISTED=True, **options,
    )  # fmt: skip
    grid, sizes = _grid(pairs, MUTUAL_BLOCK, listed=False)
    kernels.mutual_float32[grid](
        x_place[1], y_place[1], scratch.value, scratch.index, scratch.back, partner, similarity, least, *sizes,
        BLOCK=MUTUAL_BLOCK,
    )  # fmt: skip


def _match_codes(
    x: PackedSets,
    y: PackedSets,
    pairs: RaggedPairs,
    least: float,
    quantiser: Quantiser,
    partner: Tensor,
    similarity: Tensor,
) -> None:
    """The same for codes."""
    assert x.bias is not None and y.bias is not None
    dim = x.rows.shape[1]
    config, scratch, bits = tiles(x.rows.dtype, dim), _Scratch(pairs, torch.int32), tile_bits(dim)
    numbers = _numbers(quantiser, 2 ** (31 - bits) - dim * 127**2 - 1, x.rows.device)
    x_place, y_place = pairs.table[:2], pairs.table[2:]
    x_addend = _addends(x.bias, x_place, numbers, pairs.query_width, config.y, bits)
    y_addend = _addends(y.bias, y_place, numbers, pairs.candidate_width, config.y, bits)
    constants = {"D": dim, "BLOCK_X": config.x, "BLOCK_Y": config.y, "BITS": bits}
    options = {"num_warps": config.warps, "num_stages": config.stages}
    grid, sizes = _grid(pairs, config.x, listed=False)
    kernels.nearest_int8[grid](
        x.rows, y.rows, x_addend, y_addend, *x_place, *y_place, scratch.listed, scratch.value, scratch.index,
        scratch.marks, _mark_above(least, quantiser), *sizes, **constants, LISTED=False, **options,
    )  # fmt: skip
    scratch.list_marked(y_place[1])
    grid, sizes = _grid(pairs, config.x, listed=True)
    kernels.nearest_int8[grid](
        y.rows, x.rows, y_addend, x_addend, y_place[0], scratch.count, *x_place, scratch.listed, scratch.value,
        scratch.back, scratch.marks, 0, *sizes, **constants, LISTED=True, **options,
    )  # fmt: skip
    grid, sizes = _grid(pairs, MUTUAL_BLOCK, listed=False)
    kernels.mutual_int8[grid](
        x.bias, y.bias, y_addend, *x_place, *y_place, scratch.value, scratch.index, scratch.back, partner, similarity,
        numbers, least, *sizes, BLOCK=MUTUAL_BLOCK, TILE=config.y, BITS=bits,
    )  # fmt: skip


class _Scratch:
    """Between the kernels, in rectangles: of what they write, only the marks and what is marked is ever read."""

    def __init__(self, pairs: RaggedPairs, value_type: torch.dtype) -> None:
        size, device, width = pairs.table.shape[1], pairs.table.device, pairs.candidate_width
        self.value = torch.empty(size, pairs.query_width, dtype=value_type, device=device)
        self.index = torch.empty(size, pairs.query_width, dtype=torch.int32, device=device)
        self.back = torch.empty(size, width, dtype=torch.int32, device=device)
        self.marks = torch.zeros(size, width, dtype=torch.int8, device=device)
        self.listed = torch.empty(size, width, dtype=torch.int32, device=device)
        self.count = torch.empty(size, dtype=torch.int64, device=device)

    def list_marked(self, length: Tensor) -> None:
        """Marks to lists."""
        size, width = self.marks.shape
        kernels.list_marked[(size,)](self.marks, length, self.listed, self.count, width, BLOCK=LIST_BLOCK)


def _grid(pairs: RaggedPairs, block: int, listed: bool) -> tuple[tuple[int], tuple[int, int, int]]:
    """Number of programs; programs per pair, width of x, width of y."""
    x_width, y_width = pairs.query_width, pairs.candidate_width
    if listed:
        x_width, y_width = y_width, x_width
    blocks = -(-x_width // block)
    return (blocks * pairs.table.shape[1],), (blocks, x_width, y_width)


def _numbers(quantiser: Quantiser, limit: int, device: torch.device) -> Tensor:
    """Filled in by the device: a copy from the host would end with it in a captured graph."""
    numbers = torch.empty(3, dtype=torch.float64, device=device)
    for place, value in zip(numbers, (quantiser.scale * quantiser.scale, quantiser.squared_mean, limit), strict=True):
        place.fill_(value)
    return numbers


def _addends(bias: Tensor, place: Tensor, numbers: Tensor, width: int, tile: int, bits: int) -> Tensor:
    """``[P, width up to a multiple of tile]`` int32."""
    out = torch.empty(place.shape[1], -(-width // tile) * tile, dtype=torch.int32, device=bias.device)
    blocks = -(-out.shape[1] // LIST_BLOCK)
    kernels.addends[(blocks * out.shape[0],)](
        bias, *place, out, numbers, blocks, width, BLOCK=LIST_BLOCK, TILE=tile, BITS=bits
    )
    return out


def _mark_above(least: float, quantiser: Quantiser) -> int:
    """An integer that the key of every cosine above ``least`` exceeds; both biases were rounded, and floats are."""
    key = (least + quantiser.squared_mean) * quantiser.scale**2 - 8
    return int(max(min(key, 2.0**30), -(2.0**30)))
