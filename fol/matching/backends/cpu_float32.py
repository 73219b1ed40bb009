"""Exact float32 on the CPU: every product is one chain of fused multiply-adds over the dimensions, in their order.

So equal descriptors have equal products wherever they stand, and a product depends on nothing but its two rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from fol.matching.backends.cpu_compile import compiled
from fol.matching.backends.cpu_mutual import Kernel, Rows
from fol.matching.backends.cpu_tiles import Tile, scan

_AVX512 = Tile(16, 4, "fma")
_AVX2 = Tile(8, 2, "fma")
_NEON = Tile(4, 4, "fma")

_scan_avx512, _scan_avx2, _scan_neon = scan(_AVX512), scan(_AVX2), scan(_NEON)


@compiled
def _run_avx512(*arguments: Any) -> None:
    _scan_avx512(*arguments)


@compiled
def _run_avx2(*arguments: Any) -> None:
    _scan_avx2(*arguments)


@compiled
def _run_neon(*arguments: Any) -> None:
    _scan_neon(*arguments)


# Without a fused instruction each would be a call of a function: there torch is faster.
KERNELS = (
    Kernel(_AVX512, _run_avx512, frozenset({"avx512f"})),
    Kernel(_AVX2, _run_avx2, frozenset({"avx2", "fma"})),
    Kernel(_NEON, _run_neon, frozenset({"neon"})),
)


def rows(descriptors: Tensor) -> Rows:
    """Of ``[n, D]`` floating point."""
    values = descriptors.detach().float().contiguous().numpy()
    return Rows(values, np.zeros(len(values), np.float32))
