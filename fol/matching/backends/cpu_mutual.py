"""Mutual nearest neighbours of one pair of sets on the CPU: tiles first, then the few tokens that they point at."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from fol.matching.backends.cpu_compile import compiled
from fol.matching.backends.cpu_tiles import Tile

Array = NDArray[Any]


@dataclass(frozen=True)
class Kernel:
    """``run`` is the compiled ``cpu_tiles.scan`` of ``tile``; a machine needs ``features`` for it."""

    tile: Tile
    run: Callable[..., None]
    features: frozenset[str]


def pick(kernels: tuple[Kernel, ...], features: frozenset[str]) -> Kernel | None:
    """The first that the machine can run."""
    return next((kernel for kernel in kernels if kernel.features <= features), None)


@dataclass(frozen=True, eq=False)
class Rows:
    """Tokens of one set: ``values [n, groups]`` in the type that is multiplied, ``start [n]`` is added to products.

    ``scan_values`` and ``scan_start``: the same as the tiles take them, where that differs.
    """

    values: Array
    start: Array
    scan_values: Array | None = None
    scan_start: Array | None = None


class Scratch:
    """Memory of one thread, kept from one pair to the next."""

    def __init__(self) -> None:
        self._local = threading.local()

    def get(self, name: str, size: int, dtype: Any) -> Array:
        """Uninitialised array ``[size]``."""
        held: dict[str, Array] = self._local.__dict__
        if name not in held or held[name].size < size:
            held[name] = np.empty(size, dtype)
        return held[name][:size]


class PairSearch:
    """One query against one candidate at a time."""

    def __init__(self, kernel: Kernel, query: Rows, scratch: Scratch) -> None:
        self._kernel = kernel
        self._query = query
        self._scratch = scratch
        tile = kernel.tile
        self._blocks = -(-len(query.start) // tile.block)
        filled = _filled(query, self._blocks * tile.block)
        self._start = filled.start if filled.scan_start is None else filled.scan_start
        words = _words(filled.values if filled.scan_values is None else filled.scan_values)
        packed = words.reshape(self._blocks, tile.block, -1).transpose(0, 2, 1)
        self._packed = np.ascontiguousarray(packed).reshape(-1)

    def __call__(self, candidate: Rows, least: Any) -> tuple[Array, Array]:
        """Partner int64 ``[Lq]``, -1 for none, and value ``[Lq]`` of those with a value above ``least``."""
        count, lanes, tile = len(self._query.start), self._kernel.tile.lanes, self._kernel.tile
        rows = candidate if len(candidate.start) >= tile.rows else _filled(candidate, tile.rows)
        length = len(rows.start)
        words = _words(rows.values if rows.scan_values is None else rows.scan_values)
        kind = self._start.dtype
        row_best = self._scratch.get("row_best", self._blocks * tile.block, kind)
        row_tile = self._scratch.get("row_tile", self._blocks * tile.block, np.int32)
        column_best = self._scratch.get("column_best", length * lanes, kind)
        column_block = self._scratch.get("column_block", length * lanes, np.int32)
        lowest = -np.inf if kind == np.float32 else np.iinfo(np.int32).min
        row_best.fill(lowest)
        column_best.fill(lowest)
        self._kernel.run(
            self._packed,
            words.reshape(-1),
            self._start,
            rows.start if rows.scan_start is None else rows.scan_start,
            row_best,
            row_tile,
            column_best,
            column_block,
            self._blocks,
            length,
            words.shape[1],
        )
        partner = np.full(count, -1, np.int64)
        value = np.zeros(count, kind)
        maxima = (row_best, row_tile, column_best, column_block)
        _resolve(
            self._query.values, rows.values, self._query.start, rows.start, *maxima, lanes, tile.vectors, least,
            partner, value
        )  # fmt: skip
        return partner, value


def _words(values: Array) -> Array:
    """Rows ``[n, 4 k bytes]`` as ``[n, k]`` 4-byte words."""
    return np.ascontiguousarray(values).view(np.uint32)


def _filled(rows: Rows, length: int) -> Rows:
    """Copies of the first token at the end."""
    index = np.zeros(length, np.int64)
    index[: len(rows.start)] = np.arange(len(rows.start))
    parts = (rows.values, rows.start, rows.scan_values, rows.scan_start)
    return Rows(*(None if part is None else part[index] for part in parts))  # type: ignore[arg-type]


@compiled
def _resolve(
    query: Array,
    candidate: Array,
    query_start: Array,
    candidate_start: Array,
    row_best: Array,
    row_tile: Array,
    column_best: Array,
    column_block: Array,
    lanes: int,
    vectors: int,
    least: Any,
    partner: Array,
    value: Array,
) -> None:
    """Which token a maximum belongs to, by multiplying the few that it can be once more, to the same bits."""
    for i in range(len(partner)):
        best = row_best[i]
        if not best > least:
            continue
        nearest = row_tile[i]
        while product(query[i], candidate[nearest]) + query_start[i] + candidate_start[nearest] != best:
            nearest += 1
        own = column_best[nearest * lanes : (nearest + 1) * lanes]
        if best < own.max():
            continue
        first = i  # the lowest query token that reaches the column's maximum, and token i does
        for lane in range(lanes):
            if own[lane] == best:
                other = column_block[nearest * lanes + lane] * lanes * vectors + lane
                for _ in range(vectors):
                    if other >= first:
                        break
                    if (
                        product(query[other], candidate[nearest]) + query_start[other] + candidate_start[nearest]
                        == best
                    ):
                        first = other
                    other += lanes
        if first == i:
            partner[i] = nearest
            value[i] = best


def product(left: Array, right: Array) -> Any:
    """Of two rows: float32 in the order of the tiles, int32 of int8, minus the differing bits of uint32."""
    raise NotImplementedError("only for compiled code")


@overload(product)  # type: ignore[untyped-decorator]
def _product(left: Any, right: Any) -> Any:
    if left.dtype == types.float32:
        return _product_float32
    return _product_int8 if left.dtype == types.int8 else _product_bits


def _product_float32(left: Any, right: Any) -> Any:
    total = np.float32(0)
    for k in range(len(left)):
        total = _fma(left[k], right[k], total)
    return total


def _product_int8(left: Any, right: Any) -> Any:
    total = np.int32(0)
    for k in range(len(left)):
        total += np.int32(left[k]) * np.int32(right[k])
    return np.int32(total)


def _product_bits(left: Any, right: Any) -> Any:
    total = np.int32(0)
    for k in range(len(left)):
        total -= _popcount(left[k] ^ right[k])
    return np.int32(total)


@intrinsic
def _fma(typing_context, left, right, total):  # type: ignore[no-untyped-def]
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@intrinsic
def _popcount(typing_context, word):  # type: ignore[no-untyped-def]
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int32(types.uint32), generate
