"""Time and memory of pieces of work that are to be compared."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timing:
    """``seconds`` median of the rounds, ``ratio`` median of (the first work's seconds / this one's) in each round.

    ``peak_bytes``: resident memory above the start at its highest; None where the system does not tell.
    """

    seconds: float
    ratio: float
    peak_bytes: int | None


def compare(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Timings by name. The first is the baseline of the ratios.

    Every round runs each work once, one after the other, so that a slow spell of the machine hits all of them. Before,
    each runs twice: to warm up (kernels are compiled at the first call), and for its memory. That goes in the reverse
    order, as a baseline that has used and given back gigabytes would hide what the others need.
    """
    peaks = {}
    for name in reversed(list(works)):
        works[name]()
        peaks[name] = peak_memory(works[name])[1]
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(timed(work)[1])
    first = seconds[next(iter(works))]
    return {
        name: Timing(median(mine), median(base / own for base, own in zip(first, mine, strict=True)), peaks[name])
        for name, mine in seconds.items()
    }


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Result and seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def peak_memory(work: Callable[[], Result]) -> tuple[Result, int | None]:
    """Result, and how many bytes the process's resident memory rose above the start at its highest (Linux)."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # memory that was given back but kept would be used again unseen
        Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark to what is resident now
        before = resident("VmRSS")
    except (OSError, AttributeError):
        return work(), None
    result = work()
    return result, max(0, resident("VmHWM") - before)


def resident(field: str) -> int:
    """A field of ``/proc/self/status`` in bytes (Linux); ``OSError`` where there is none."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
