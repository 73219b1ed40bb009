"""Positions and weights of one image's tokens in about a byte for three tokens.

The tokens of a model lie on a grid of the image, at whole multiples of a step, in raster order: one bit per cell says
where they are. The weights are a coarse map between whose knots, every fourth cell, they run straight
(``fol.models.regions.upsample_map``): the knots are kept, in 8 bits, where they give back every weight to within 8-bit
rounding. Positions and weights of any other origin are kept one by one: positions in 65,535 steps of their range,
weights in 8 bits.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_HEADER = struct.Struct("<BBHHHHdddd")  # positions, weights, first column and row, width, height, steps, origin
_GRID, _FREE = 0, 1
_KNOTS, _BYTES, _HALVES = 0, 1, 2
_TOLERANCE = 0.25  # pixels
_MAX_CELLS = 1 << 12  # along a side
_KNOT_EVERY, _KNOT_AT = 4, 2  # the centre of patch i is at cell 4 i + 2, measured in steps from the image's corner
_STEPS = 65535


@dataclass(frozen=True)
class _Grid:
    step: tuple[float, float]
    columns: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First column, first row, width, height."""
        x, y = int(self.columns.min()), int(self.rows.min())
        return x, y, int(self.columns.max()) - x + 1, int(self.rows.max()) - y + 1

    def mask(self) -> NDArray[np.bool_]:
        x, y, width, height = self.box
        mask = np.zeros((height, width), np.bool_)
        mask[self.rows - y, self.columns - x] = True
        return mask


def encode_layout(positions: Floats, weights: Floats, *, halves: bool) -> bytes:
    """Bytes for ``positions [L, 2]`` and ``weights [L]``, L >= 1; ``halves`` keeps the weights as float16."""
    grid = _grid_of(positions)
    if grid is None:
        low = positions.min(axis=0).astype(np.float64)
        step = (positions.max(axis=0) - low) / _STEPS
        steps = np.rint((positions - low) / np.where(step > 0, step, 1)).astype("<u2")
        how, box, body = _FREE, (0, 0, 0, 0), steps.tobytes()
    else:
        low, step = np.zeros(2), np.array(grid.step)
        how, box, body = _GRID, grid.box, np.packbits(grid.mask()).tobytes()
    knots = None if grid is None or halves else _knots_of(grid, weights)
    if halves:
        kind, values = _HALVES, weights.astype("<f2").tobytes()
    elif knots is None:
        kind, values = _BYTES, _in_bytes(weights).tobytes()
    else:
        kind, values = _KNOTS, knots.tobytes()
    return _HEADER.pack(how, kind, *box, *step, *low) + zlib.compress(body + values)


def decode_layout(data: memoryview, length: int) -> tuple[Floats, Floats]:
    """Positions and weights from those bytes; ``ValueError`` (or zlib's or struct's error) when they are damaged."""
    how, kind, x, y, width, height, *numbers = _HEADER.unpack_from(data)
    step, low = np.array(numbers[:2]), np.array(numbers[2:])
    body = np.frombuffer(zlib.decompress(data[_HEADER.size :]), np.uint8)
    if how == _GRID:
        size = -(-width * height // 8)
        mask = np.unpackbits(body[:size], count=width * height).view(np.bool_).reshape(height, width)
        rows, columns = mask.nonzero()
        positions = np.empty((len(rows), 2), np.float32)
        positions[:, 0], positions[:, 1] = (columns + x) * step[0] + low[0], (rows + y) * step[1] + low[1]
    else:
        size = 4 * length
        positions = (body[:size].view("<u2").reshape(length, 2) * step + low).astype(np.float32)
    values = body[size:]
    if kind == _HALVES:
        weights: Floats = values.view("<f2").astype(np.float32)
    elif kind == _BYTES:
        weights = values.astype(np.float32) / np.float32(255)
    else:
        down, across = _between(y, height), _between(x, width)
        knots = values.reshape(down.shape[1], across.shape[1]).astype(np.float32) / np.float32(255)
        weights = (down @ knots @ across.T)[mask]
    if len(positions) != length or len(weights) != length:
        raise ValueError(f"{len(positions)} positions and {len(weights)} weights instead of {length}")
    return positions, weights


def _grid_of(positions: Floats) -> _Grid | None:
    """The grid that the positions lie on in raster order, without two in one cell; None when there is none."""
    cells, steps = [], []
    for axis in range(2):
        values = positions[:, axis].astype(np.float64)
        step = _step_of(np.unique(values))
        index = np.rint(values / step)
        inside = index.min() >= 0 and index.max() < _MAX_CELLS
        if not inside or abs(index * step - values).max() > _TOLERANCE:
            return None
        cells.append(index.astype(np.int64))
        steps.append(step)
    grid = _Grid((steps[0], steps[1]), cells[0], cells[1])
    _, _, width, height = grid.box
    ascending = np.diff(grid.rows * _MAX_CELLS + grid.columns) > 0
    return grid if ascending.all() and width * height <= 128 * len(positions) else None


def _step_of(values: NDArray[np.float64]) -> float:
    """Largest step that the ascending ``values`` may be multiples of, judged by their smallest gap."""
    gaps = np.diff(np.concatenate([[0.0], values]))
    gaps = gaps[gaps > 1e-4 * max(1.0, abs(values).max())]  # less is rounding
    if not len(gaps):
        return 1.0
    step = float(gaps.min())
    for _ in range(2):  # the gap is known to float32's precision only; all values together know the step better
        index = np.rint(values / step)
        step = float(values @ index / (index @ index)) if index.any() else step
    return step


def _in_bytes(weights: NDArray[np.floating]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.rint(np.clip(weights, 0, 1) * 255).astype(np.uint8)
    return rounded


@lru_cache(maxsize=256)
def _between(first: int, count: int) -> Floats:
    """Matrix ``[count, knots]`` that interpolates the values of cells ``first ...`` between the knots around them."""
    at = (np.arange(first, first + count) - _KNOT_AT) / _KNOT_EVERY
    low = int(np.floor(at[0]))
    knots = np.arange(low, int(np.ceil(at[-1])) + 1)
    return np.maximum(0, 1 - abs(at[:, None] - knots)).astype(np.float32)


def _knots_of(grid: _Grid, weights: Floats) -> NDArray[np.uint8] | None:
    """The knots that give back the weights, zero where no token needs them; None when there are no such knots.

    Knots of patches without tokens are found by least squares (conjugate gradients).
    """
    x, y, width, height = grid.box
    mask = grid.mask()
    down, across = _between(y, height).astype(np.float64), _between(x, width).astype(np.float64)
    if (down.T @ mask @ across > 0).sum() >= len(weights):
        return None
    target = np.zeros(mask.shape)
    target[mask] = weights
    share = down.T @ mask @ across
    knots = np.divide(down.T @ target @ across, share, out=np.zeros_like(share), where=share > 0)
    rest = down.T @ (target - mask * (down @ knots @ across.T)) @ across
    direction, power = rest, float((rest * rest).sum())
    for _ in range(100):
        if power < 1e-9:
            break
        ahead = down.T @ (mask * (down @ direction @ across.T)) @ across
        length = power / float((direction * ahead).sum())
        knots = knots + length * direction
        rest = rest - length * ahead
        before, power = power, float((rest * rest).sum())
        direction = rest + power / before * direction
    rounded = _in_bytes(knots)
    found = (down @ (rounded / 255) @ across.T)[mask]
    return rounded if abs(found - weights).max() <= 1 / 255 else None
