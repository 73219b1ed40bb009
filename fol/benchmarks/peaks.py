"""What the machine can do at most, measured: the floors that the results are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from fol.benchmarks.measuring import timed

_SIDE = 2048
_BYTES = 512 << 20


@dataclass(frozen=True)
class Peaks:
    """Operations per second (a multiplication and an addition are two) and bytes read per second."""

    float32: float
    int8: float | None
    read: float


def measure_peaks(repeats: int = 5) -> Peaks:
    """Best of ``repeats``: float32 and int8 products of 2048 x 2048 matrices, and a sum over half a gigabyte."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(_SIDE, _SIDE, generator=generator)
    codes = torch.randint(-127, 128, (_SIDE, _SIDE), generator=generator, dtype=torch.int8)
    memory = torch.ones(_BYTES // 4)
    operations = 2.0 * _SIDE**3

    def best(work: Callable[[], object]) -> float:
        return min(timed(work)[1] for _ in range(repeats))

    try:
        integer = operations / best(lambda: torch._int_mm(codes, codes))
    except (AttributeError, RuntimeError):
        integer = None
    return Peaks(operations / best(lambda: left @ left), integer, _BYTES / best(lambda: memory.sum()))
