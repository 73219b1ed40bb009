"""Products of int8 codes on the CPU, with the biases of both tokens in the sum's start value.

Dot products of bytes come in four kinds: whole matrices (x86 with AMX); unsigned by signed (x86 with VNNI: the query's
codes are raised by 128, and 128 times the sum of the candidate's codes is taken off the start value, which is exact);
signed by signed (ARM); and none (the codes are widened to 16 bits: the instruction for bytes of older x86 processors
saturates, so it is no way).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from fol.matching.backends.coded import whole_bias
from fol.matching.backends.cpu_amx import AmxGenerator
from fol.matching.backends.cpu_compile import compiled
from fol.matching.backends.cpu_mutual import Array, Kernel, Rows
from fol.matching.backends.cpu_tiles import Tile, scan
from fol.matching.quantisation import Quantiser

_AMX = Tile(16, 4, "dot_s8", rows=32, step=64)
_AVX512 = Tile(16, 4, "dot_u8", "llvm.x86.avx512.vpdpbusd.512")
_AVXVNNI = Tile(8, 2, "dot_u8", "llvm.x86.avx512.vpdpbusd.256")
_AVX2 = Tile(8, 2, "dot_s16", "llvm.x86.avx2.pmadd.wd")
_NEON = Tile(4, 4, "dot_s8", "llvm.aarch64.neon.sdot.v4i32.v16i8")
_PLAIN = Tile(4, 2, "dot_s16")

_scan_amx = scan(_AMX, AmxGenerator)
_scan_avx512, _scan_avxvnni, _scan_avx2 = scan(_AVX512), scan(_AVXVNNI), scan(_AVX2)
_scan_neon, _scan_plain = scan(_NEON), scan(_PLAIN)


@compiled
def _run_amx(*arguments: Any) -> None:
    _scan_amx(*arguments)


@compiled
def _run_avx512(*arguments: Any) -> None:
    _scan_avx512(*arguments)


@compiled
def _run_avxvnni(*arguments: Any) -> None:
    _scan_avxvnni(*arguments)


@compiled
def _run_avx2(*arguments: Any) -> None:
    _scan_avx2(*arguments)


@compiled
def _run_neon(*arguments: Any) -> None:
    _scan_neon(*arguments)


@compiled
def _run_plain(*arguments: Any) -> None:
    _scan_plain(*arguments)


KERNELS = (
    Kernel(_AMX, _run_amx, frozenset({"avx512f", "amx-tile", "amx-int8"})),
    Kernel(_AVX512, _run_avx512, frozenset({"avx512f", "avx512vnni"})),
    Kernel(_AVXVNNI, _run_avxvnni, frozenset({"avx2", "avxvnni"})),
    Kernel(_AVX2, _run_avx2, frozenset({"avx2"})),
    Kernel(_NEON, _run_neon, frozenset({"dotprod"})),
    Kernel(_PLAIN, _run_plain, frozenset()),
)


def rows(codes: Tensor, bias: Tensor, quantiser: Quantiser, kernel: Kernel, is_query: bool) -> Rows:
    """Of ``codes [n, D]`` int8 and ``bias [n]`` float32."""
    values = codes.numpy()
    if values.shape[1] % kernel.tile.step:
        values = np.pad(values, ((0, 0), (0, -values.shape[1] % kernel.tile.step)))
    start = whole_bias(bias, quantiser).numpy()
    if kernel.tile.arithmetic == "dot_s16":
        return Rows(values, start, values.astype(np.int16))
    if kernel.tile.arithmetic == "dot_s8":
        return Rows(values, start)
    if is_query:
        return Rows(values, start, values.view(np.uint8) ^ np.uint8(128))
    return Rows(values, start, None, start - 128 * _row_sums(values))


def _sums(values: Array) -> Array:
    out = np.zeros(len(values), np.int32)
    for i in range(len(values)):
        total = np.int32(0)
        for k in range(values.shape[1]):
            total += np.int32(values[i, k])
        out[i] = total
    return out


_row_sums: Callable[[Array], Array] = compiled(_sums)
