"""Tiles of products by the matrix unit of newer x86 processors (AMX): 16 tokens by 16 tokens by 64 bytes at a time.

A tile is 32 candidate tokens times 64 query tokens. The products go to memory that stays in the first cache, and the
maxima are taken from there with the usual registers, while the unit works on the next ones.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from fol.matching.backends.cpu_tiles import Generator, i64

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_SIDE = 16  # rows of a tile register; each has 64 bytes
_NOTED = 8  # candidate tokens whose largest values are noted together


class AmxGenerator(Generator):
    """Needs tiles of 16 lanes and 4 vectors, 32 rows and steps of 64 bytes."""

    def loops(self, pointers: list[Any], counts: list[Any]) -> None:
        """Registers are set up before, and given back after."""
        self.products = cgutils.alloca_once(self.builder, ir.ArrayType(_I8, 4 * self.tile.rows * self.tile.block))
        self.products.align = 64
        shape = bytearray(64)  # Intel's layout: palette 1; 64 bytes per row; 16 rows, for eight registers
        shape[0] = 1
        for register in range(8):
            shape[16 + 2 * register] = 4 * _SIDE
            shape[48 + register] = _SIDE
        constant = cgutils.global_constant(self.builder, "amx_shape", cgutils.make_bytearray(shape))
        self.call("llvm.x86.ldtilecfg", ir.VoidType(), self.builder.bitcast(constant, _I8.as_pointer()))
        super().loops(pointers, counts)
        self.call("llvm.x86.tilerelease", ir.VoidType())

    def one_tile(self, pointers: list[Any], block: Any, first: Any, groups: Any) -> None:
        """Products to memory, then maxima."""
        builder = self.builder
        query, candidate, *others = pointers
        products = builder.bitcast(self.products, _I8.as_pointer())
        stride = builder.mul(groups, i64(4))
        line = builder.mul(first, stride)
        query_block = builder.mul(builder.mul(block, groups), i64(4 * self.tile.block))
        for half in range(2):
            self.multiply_half(query, query_block, candidate, line, stride, products, half)
        self.maxima(products, others, block, first)

    def multiply_half(
        self, query: Any, query_block: Any, candidate: Any, line: Any, stride: Any, products: Any, half: int
    ) -> None:
        """32 candidate tokens times 32 query tokens: registers 0-3 hold sums, 4-5 candidates, 6-7 the query."""
        builder, width, void = self.builder, 4 * _SIDE, ir.VoidType()
        query_stride = i64(4 * self.tile.block)
        for register in range(4):
            self.call("llvm.x86.tilezero", void, _register(register))
        with cgutils.for_range(builder, builder.sdiv(stride, i64(self.tile.step)), intp=_I64) as loop:
            column = builder.mul(loop.index, i64(self.tile.step))
            for part in range(2):
                row = builder.add(line, builder.mul(stride, i64(_SIDE * part)))
                place = builder.gep(candidate, [builder.add(row, column)], inbounds=True)
                self.call("llvm.x86.tileloadd64", void, _register(4 + part), place, stride)
            depth = builder.add(query_block, builder.mul(loop.index, i64(_SIDE * 4 * self.tile.block)))
            for part in range(2):
                place = builder.gep(query, [builder.add(depth, i64(width * (2 * half + part)))], inbounds=True)
                self.call("llvm.x86.tileloadd64", void, _register(6 + part), place, query_stride)
            for register in range(4):
                operands = (_register(4 + register // 2), _register(6 + register % 2))
                self.call("llvm.x86.tdpbssd", void, _register(register), *operands)
        for register in range(4):
            row = 4 * self.tile.block * _SIDE * (register // 2)
            place = builder.gep(products, [i64(row + width * (2 * half + register % 2))], inbounds=True)
            self.call("llvm.x86.tilestored64", void, _register(register), place, query_stride)

    def maxima(self, products: Any, arrays: list[Any], block: Any, first: Any) -> None:
        """As in the other tiles, a few candidate tokens at a time."""
        builder, tile = self.builder, self.tile
        query_start, candidate_start, row_best, row_tile, column_best, column_block = arrays
        vectors, width = range(tile.vectors), 4 * tile.lanes
        token = builder.mul(block, i64(4 * tile.block))
        offsets = [self.load(query_start, builder.add(token, i64(width * v))) for v in vectors]
        block_number = self.splat(builder.trunc(block, _I32))
        with cgutils.for_range(builder, i64(tile.rows // _NOTED), intp=_I64) as loop:
            row = builder.mul(loop.index, i64(_NOTED))
            index = builder.add(first, row)
            values: list[list[Any]] = []
            for r in range(_NOTED):
                start = self.broadcast(candidate_start, builder.mul(builder.add(index, i64(r)), i64(4)))
                line = builder.mul(builder.add(row, i64(r)), i64(4 * tile.block))
                found = [self.load(products, builder.add(line, i64(width * v))) for v in vectors]
                values.append([builder.add(builder.add(found[v], start), offsets[v]) for v in vectors])
                place = builder.mul(builder.add(index, i64(r)), i64(width))
                self.keep(self.maximum(values[r]), block_number, column_best, column_block, place)
            number = self.splat(builder.trunc(index, _I32))
            for v in vectors:
                largest = self.maximum([values[r][v] for r in range(_NOTED)])
                self.keep(largest, number, row_best, row_tile, builder.add(token, i64(width * v)))


def _register(number: int) -> Any:
    return ir.Constant(_I8, number)
