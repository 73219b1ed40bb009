"""Rotated descriptors in 4, 2 or 1 bits per component, and back to the 8-bit codes that matching works on.

After a random rotation the components of a centred descriptor are close to Gaussian, so the levels are the best ones
for a Gaussian (Max, "Quantizing for minimum distortion", 1960), times one scale per token. The scale is the one that
makes products unbiased, ``|z|^2 / (z . levels)`` (RaBitQ, arXiv 2405.12497), and takes one byte on a logarithmic grid.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fol.matching.quantisation import MAX_CODE

# The positive half; for 2 ** bits levels.
_HALF = {
    1: (0.7979,),
    2: (0.4528, 1.5104),
    4: (0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0690, 2.7326),
}
# Scales in code units are 256 * 2 ** (-k / 32): 256 to 1 in steps of 2 %; below lies nothing that codes could show.
_LARGEST, _STEPS_PER_OCTAVE, _ZERO = 256.0, 32, 255
_WORDS = {1: np.uint64, 2: np.uint32, 4: np.uint16}  # the codes that one packed byte becomes


def row_bytes(dim: int, bits: int) -> int:
    """Bytes of one descriptor."""
    return -(-dim * bits // 8)


def pack(centred: NDArray[np.float32], bits: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Descriptors ``[L, D]`` in units of codes to bytes ``[L, row_bytes]`` and scales ``[L]``."""
    length, dim = centred.shape
    levels = _levels(bits)
    spread = np.sqrt(np.mean(np.square(centred), axis=1, keepdims=True))
    borders = (levels[1:] + levels[:-1]) / 2
    digits = np.searchsorted(borders, centred / np.maximum(spread, np.finfo(np.float32).tiny)).astype(np.uint8)
    along = np.einsum("ld,ld->l", centred, levels[digits])
    scale = np.divide(dim * spread[:, 0] ** 2, along, out=np.zeros(length, np.float32), where=along > 0)
    with np.errstate(divide="ignore"):
        steps = np.rint(_STEPS_PER_OCTAVE * np.log2(_LARGEST / scale))
    per_byte = 8 // bits
    padded = np.zeros((length, row_bytes(dim, bits) * per_byte), np.uint8)
    padded[:, :dim] = digits
    shifts = np.arange(per_byte, dtype=np.uint8) * bits
    packed = np.bitwise_or.reduce(padded.reshape(length, -1, per_byte) << shifts, axis=2)
    return packed, np.clip(steps, 0, _ZERO).astype(np.uint8)


def unpack(packed: NDArray[np.uint8], scales: NDArray[np.uint8], bits: int, out: NDArray[np.int8]) -> None:
    """Codes ``[L, D]`` into ``out``, which must be contiguous, by one look-up per byte."""
    words, dim = _words(bits), out.shape[1]
    kernel = _kernel()
    if dim % (8 // bits):
        out[:] = words[_table_rows(packed, scales)].view(np.int8)[:, :dim]
    elif kernel:
        kernel(words, packed, scales, out.view(words.dtype))
    else:
        np.take(words, _table_rows(packed, scales), out=out.view(words.dtype), mode="clip")  # "raise" would copy


def _table_rows(packed: NDArray[np.uint8], scales: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return (scales.astype(np.uint16)[:, None] << 8 | packed).astype(np.uint16, copy=False)


@cache
def _kernel() -> Callable[..., None] | None:
    """The look-ups compiled, four times as fast as numpy's; None without numba."""
    try:
        from fol.matching.backends.cpu_compile import compiled
    except ImportError:
        return None
    return compiled(_look_up)


def _look_up(words: Any, packed: Any, scales: Any, out: Any) -> None:
    for token in range(packed.shape[0]):
        first = np.int64(scales[token]) << 8
        for byte in range(packed.shape[1]):
            out[token, byte] = words[first + packed[token, byte]]


@cache
def _levels(bits: int) -> NDArray[np.float32]:
    half = np.array(_HALF[bits], np.float32)
    return np.concatenate([-half[::-1], half])


@cache
def _words(bits: int) -> NDArray[np.generic]:
    """The codes of byte ``b`` under scale ``s``, as one integer, at ``256 s + b``."""
    scales = _LARGEST * 2.0 ** (-np.arange(256) / _STEPS_PER_OCTAVE)
    scales[_ZERO] = 0
    codes = np.clip(np.rint(scales[:, None] * _levels(bits)), -MAX_CODE, MAX_CODE).astype(np.int8)
    digits = np.arange(256)[:, None] >> (np.arange(8 // bits) * bits) & (2**bits - 1)
    return np.ascontiguousarray(codes[:, digits]).view(_WORDS[bits]).reshape(-1)
