"""The inner loops of the CPU backend, written as LLVM instructions: numba alone would not keep the sums in registers.

All products of one query with one candidate stream by in tiles; only running maxima stay. A tile is ``rows`` candidate
tokens times ``vectors * lanes`` query tokens, one register per candidate token and vector of query tokens. Query tokens
are packed so that a vector holds the same dimensions of neighbouring tokens; candidate rows are read as they lie, one
4-byte group of dimensions at a time, copied to all lanes.

Of every tile only two things are kept, with two instructions per register: the largest value of each query token, with
the first tile that reached it, and the largest value of each candidate token and lane, with the first block of query
tokens that reached it. Which token it was is looked up afterwards (``cpu_mutual.py``) in those few cells. So token
numbers need no bits of the value, and sets may have any length.

There is no padding to mask: a set that does not fill its last tile repeats tokens it has, and a copy never wins
against its original, which has a lower number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

Arithmetic = Literal["fma", "bits", "dot_u8", "dot_s8", "dot_s16"]

_I8, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()


@dataclass(frozen=True)
class Tile:
    """One way to multiply: ``lanes`` 4-byte numbers per register, ``vectors`` registers of query tokens.

    ``rows`` candidate tokens of a multiple of ``step`` bytes are read for each tile.

    ``arithmetic`` of a 4-byte group: ``"fma"`` one float32; ``"bits"`` minus the number of differing bits;
    ``"dot_u8"`` four bytes, the query's unsigned; ``"dot_s8"`` four signed bytes; ``"dot_s16"`` two signed words.
    ``instruction``: LLVM's name of the dot product; none for plain multiplications of words, on any machine.
    """

    lanes: int
    vectors: int
    arithmetic: Arithmetic
    instruction: str = ""
    rows: int = 6
    step: int = 4

    @property
    def block(self) -> int:
        """Query tokens per tile."""
        return self.lanes * self.vectors


def scan(tile: Tile, generator: type[Generator] | None = None) -> Callable[..., None]:
    """An intrinsic for numba code: ``scan(query, candidate, query_start, candidate_start, *maxima, blocks, ...)``.

    In order, all arrays one-dimensional and contiguous:

    * ``query [blocks, groups, vectors, lanes]``, 4 bytes each; ``candidate [length, groups]``, 4 bytes each;
    * ``query_start [blocks * block]`` and ``candidate_start [length]``: added to every product of the token;
    * ``row_best``, ``row_tile [blocks * block]``: largest value of a query token, a candidate token of its tile from
      which on the first that reaches it is to be sought;
    * ``column_best``, ``column_block [length * lanes]``: the same for a candidate token and lane, and its query block;
    * ``blocks``, ``length`` (at least ``rows``), ``groups``: int64.

    Values and starts are float32 for ``"fma"``, else int32; what is counted is int32. Maxima come initialised with the
    least value.
    """

    @intrinsic
    def scan_tiles(  # type: ignore[no-untyped-def]
        typing_context,
        query,
        candidate,
        query_start,
        candidate_start,
        row_best,
        row_tile,
        column_best,
        column_block,
        blocks,
        length,
        groups,
    ):
        arrays = (query, candidate, query_start, candidate_start, row_best, row_tile, column_best, column_block)

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            pointers = [
                builder.bitcast(context.make_array(kind)(context, builder, value).data, _I8.as_pointer())
                for kind, value in zip(arrays, arguments[: len(arrays)], strict=True)
            ]
            (generator or Generator)(tile, builder).loops(pointers, list(arguments[len(arrays) :]))
            return context.get_dummy_value()

        return types.void(*arrays, types.int64, types.int64, types.int64), generate

    return scan_tiles  # type: ignore[no-any-return]


class Generator:
    """Writes the instructions of one tile shape."""

    def __init__(self, tile: Tile, builder: ir.IRBuilder) -> None:
        self.tile = tile
        self.builder = builder
        self.element = _F32 if tile.arithmetic == "fma" else _I32
        self.vector = ir.VectorType(self.element, tile.lanes)
        self.integers = ir.VectorType(_I32, tile.lanes)

    def loops(self, pointers: list[Any], counts: list[Any]) -> None:
        """Every block of query tokens against every tile of candidate tokens."""
        builder, (blocks, length, groups) = self.builder, counts
        tiles = builder.sdiv(builder.add(length, i64(self.tile.rows - 1)), i64(self.tile.rows))
        last = builder.sub(length, i64(self.tile.rows))
        with (
            cgutils.for_range(builder, blocks, intp=_I64) as outer,
            cgutils.for_range(builder, tiles, intp=_I64) as inner,
        ):
            first = builder.mul(inner.index, i64(self.tile.rows))
            first = builder.select(builder.icmp_signed("<", first, last), first, last)  # the last tile may overlap
            self.one_tile(pointers, outer.index, first, groups)

    def one_tile(self, pointers: list[Any], block: Any, first: Any, groups: Any) -> None:
        """Products of one tile in registers, then their maxima."""
        tile, builder = self.tile, self.builder
        query, candidate, query_start, candidate_start, row_best, row_tile, column_best, column_block = pointers
        vectors, rows, width = range(tile.vectors), range(tile.rows), 4 * tile.lanes
        token = builder.mul(block, i64(4 * tile.block))
        offsets = [self.load(query_start, builder.add(token, i64(width * v))) for v in vectors]
        starts = [self.broadcast(candidate_start, builder.mul(builder.add(first, i64(r)), i64(4))) for r in rows]
        sums = [[cgutils.alloca_once(builder, self.vector) for _ in vectors] for _ in rows]
        for r in rows:
            for v in vectors:
                builder.store(self.add(starts[r], offsets[v]), sums[r][v])
        block_start = builder.mul(builder.mul(block, groups), i64(4 * tile.block))
        stride = builder.mul(groups, i64(4))
        lines = [builder.mul(builder.add(first, i64(r)), stride) for r in rows]
        with cgutils.for_range(builder, groups, intp=_I64) as loop:
            base = builder.add(block_start, builder.mul(loop.index, i64(4 * tile.block)))
            parts = [self.load(query, builder.add(base, i64(width * v)), self.operand) for v in vectors]
            shift = builder.mul(loop.index, i64(4))
            for r in rows:
                group = self.broadcast(candidate, builder.add(lines[r], shift), self.operand)
                for v in vectors:
                    builder.store(self.multiply(builder.load(sums[r][v]), parts[v], group), sums[r][v])
        values = [[builder.load(sums[r][v]) for v in vectors] for r in rows]
        number = self.splat(builder.trunc(first, _I32))
        for v in vectors:
            largest = self.maximum([values[r][v] for r in rows])
            self.keep(largest, number, row_best, row_tile, builder.add(token, i64(width * v)))
        number = self.splat(builder.trunc(block, _I32))
        for r in rows:
            largest = self.maximum(values[r])
            place = builder.mul(builder.add(first, i64(r)), i64(width))
            self.keep(largest, number, column_best, column_block, place)

    @property
    def operand(self) -> ir.VectorType:
        """Type of a register of factors."""
        return self.vector if self.tile.arithmetic == "fma" else self.integers

    def keep(self, value: Any, number: Any, best: Any, owner: Any, place: Any) -> None:
        """Where ``value`` is larger than the best so far, it takes its place, and ``number`` is noted."""
        builder = self.builder
        before = self.load(best, place)
        noted = self.load(owner, place, self.integers)
        better = self.greater(value, before)
        self.store(builder.select(better, value, before), best, place)
        self.store(builder.select(better, number, noted), owner, place)

    def multiply(self, total: Any, query: Any, candidate: Any) -> Any:
        """``total`` with the products of one group added."""
        builder, tile = self.builder, self.tile
        if tile.arithmetic == "fma":
            return self.call(f"llvm.fma.v{tile.lanes}f32", self.vector, query, candidate, total)
        if tile.arithmetic == "bits":
            count = self.call(f"llvm.ctpop.v{tile.lanes}i32", self.integers, builder.xor(query, candidate))
            return builder.sub(total, count)
        if tile.arithmetic == "dot_u8":
            return self.call(tile.instruction, self.integers, total, query, candidate)
        if tile.arithmetic == "dot_s8":
            narrow = ir.VectorType(_I8, 4 * tile.lanes)
            parts = (builder.bitcast(query, narrow), builder.bitcast(candidate, narrow))
            return self.call(tile.instruction, self.integers, total, *parts)
        if not tile.instruction:
            half = ir.Constant(self.integers, [16] * tile.lanes)
            low = [builder.ashr(builder.shl(part, half), half) for part in (query, candidate)]
            high = [builder.ashr(part, half) for part in (query, candidate)]
            return builder.add(total, builder.add(builder.mul(*low), builder.mul(*high)))
        narrow = ir.VectorType(ir.IntType(16), 2 * tile.lanes)
        parts = (builder.bitcast(query, narrow), builder.bitcast(candidate, narrow))
        return builder.add(total, self.call(tile.instruction, self.integers, *parts))

    def call(self, name: str, result: Any, *arguments: Any) -> Any:
        """One of LLVM's own functions."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments)

    def maximum(self, values: list[Any]) -> Any:
        """Lane by lane."""
        best = values[0]
        for value in values[1:]:
            best = self.builder.select(self.greater(value, best), value, best)
        return best

    def greater(self, left: Any, right: Any) -> Any:
        """Lane by lane."""
        if self.tile.arithmetic == "fma":
            return self.builder.fcmp_ordered(">", left, right)
        return self.builder.icmp_signed(">", left, right)

    def add(self, left: Any, right: Any) -> Any:
        """Lane by lane."""
        return self.builder.fadd(left, right) if self.tile.arithmetic == "fma" else self.builder.add(left, right)

    def address(self, base: Any, place: Any, kind: Any) -> Any:
        """Of a ``kind``, ``place`` bytes after ``base``."""
        return self.builder.bitcast(self.builder.gep(base, [place], inbounds=True), kind.as_pointer())

    def load(self, base: Any, place: Any, kind: Any = None) -> Any:
        """A register from anywhere."""
        return self.builder.load(self.address(base, place, kind or self.vector), align=4)

    def store(self, value: Any, base: Any, place: Any) -> None:
        """A register to anywhere."""
        self.builder.store(value, self.address(base, place, value.type), align=4)

    def broadcast(self, base: Any, place: Any, kind: Any = None) -> Any:
        """One number from memory in all lanes."""
        element = (kind or self.vector).element
        return self.splat(self.builder.load(self.address(base, place, element), align=1))

    def splat(self, value: Any) -> Any:
        """One number in all lanes."""
        builder, vector = self.builder, ir.VectorType(value.type, self.tile.lanes)
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
        return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), ir.Constant(self.integers, None))


def i64(value: int) -> Any:
    """A constant."""
    return ir.Constant(_I64, value)
