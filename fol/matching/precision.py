"""How precisely descriptors are compared, and full float32 for a block of code whatever the process has switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Literal, get_args

import torch

Precision = Literal["exact", "int8", "binary"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """Multiply float32 matrices in float32 inside the block, and put the caller's settings back afterwards.

    Neither tf32 (CUDA), nor bf16 (oneDNN on CPUs), nor an autocast region that surrounds the call may change which
    tokens match. The switches are process-wide in torch, so other threads see them for the time of the block; of
    blocks that overlap in several threads the first sets them and the last puts them back.
    """
    _enter()
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        _leave()


_lock = Lock()
_inside = 0
_before: list[str] = []


def _enter() -> None:
    global _inside
    with _lock:
        if _inside == 0:
            _before[:] = _get()
            _set(["ieee"] * len(_before) if _switches() else ["highest"])
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0:
            _set(_before)


def _switches() -> list[Any]:
    """The switch of every backend. Empty before torch 2.9, which knows one global name alone."""
    backends: list[Any] = [torch.backends.cuda, torch.backends.mkldnn]
    found = [backend.matmul for backend in backends if hasattr(backend, "matmul")]
    return found if all(hasattr(switch, "fp32_precision") for switch in found) else []


def _get() -> list[str]:
    # Newer versions refuse to read the global name once somebody has used the other kind, so it is the second choice.
    return [switch.fp32_precision for switch in _switches()] or [torch.get_float32_matmul_precision()]


def _set(values: list[str]) -> None:
    switches = _switches()
    for switch, value in zip(switches, values, strict=False):
        switch.fp32_precision = value
    if not switches:
        torch.set_float32_matmul_precision(values[0])
