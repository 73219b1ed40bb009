"""Time and memory of a piece of work, and options given as key=number."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def parse(words: list[str], defaults: dict[str, int]) -> dict[str, int]:
    """``defaults`` with the values of ``words`` (key=number, above zero); leaves with a message for anything else."""
    options = dict(defaults)
    for word in words:
        key, _, value = word.partition("=")
        if key not in options or not value.isdigit() or not int(value):
            sys.exit(f"error: {word!r}: give {', '.join(options)} as key=number")
        options[key] = int(value)
    return options


def measure(work: Callable[[], Result], repeats: int, warm_up: bool = True) -> tuple[Result, float, float]:
    """Result, median seconds (after one warm-up), and peak resident megabytes above the start."""
    page = 4096 / 1e6

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    before, peak, done = resident(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = []
    if warm_up:
        work()
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    done.set()
    watcher.join()
    return result, sorted(seconds)[len(seconds) // 2], peak - before
