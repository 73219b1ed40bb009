"""Signs of codes on the CPU: exclusive or, and the number of differing bits, 32 at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from fol.matching.backends.cpu_compile import compiled
from fol.matching.backends.cpu_mutual import Array, Kernel, Rows
from fol.matching.backends.cpu_tiles import Tile, scan

_AVX512 = Tile(16, 4, "bits")
_NARROW = Tile(8, 2, "bits")  # LLVM has some way to count bits on every machine

_scan_avx512, _scan_narrow = scan(_AVX512), scan(_NARROW)


@compiled
def _run_avx512(*arguments: Any) -> None:
    _scan_avx512(*arguments)


@compiled
def _run_narrow(*arguments: Any) -> None:
    _scan_narrow(*arguments)


KERNELS = (
    Kernel(_AVX512, _run_avx512, frozenset({"avx512f", "avx512vpopcntdq"})),
    Kernel(_NARROW, _run_narrow, frozenset()),
)


def rows(codes: Tensor) -> Rows:
    """Of ``[n, D]`` int8."""
    values = pack_signs(codes.numpy())
    return Rows(values, np.zeros(len(values), np.int32))


def pack_signs(codes: Array) -> Array:
    """``codes [n, D]`` int8 to bits, 1 where not negative: ``[n, ceil(D / 32)]`` uint32, filled up with zeros."""
    length, dim = codes.shape
    if dim % 32:
        codes = np.pad(codes, ((0, 0), (0, -dim % 32)), constant_values=-1)
    return np.packbits(codes >= 0).view(np.uint32).reshape(length, -1)
