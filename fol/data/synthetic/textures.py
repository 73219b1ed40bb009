"""Textures of the synthetic city: the ripmap they are sampled from and the canvas they are painted on.

A texture is ``[H, W, 4]`` uint8, row 0 at the bottom, sides powers of two: colour, and a fourth channel that is
opacity for cut-outs (trees, gables) and glow (light of its own at dusk) for everything else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Bytes = NDArray[np.uint8]
Reals = NDArray[np.float32]
TEXELS_PER_METRE = 26


class TextureSpec(Protocol):
    """Everything that decides a texture's texels; hashable, so that equal facades are painted once."""

    def paint(self) -> Bytes:
        """The texels ``[H, W, 4]``, row 0 at the bottom."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Texture:
    """A ripmap: combinations of halvings of width and height down to 4 texels, so that oblique facades stay sharp.

    ``texels`` all levels end to end as packed 4-byte words; ``starts [levels_v, levels_u]`` their offsets;
    ``log_width, log_height`` base 2 logarithms of the finest level.
    """

    texels: NDArray[np.uint32]
    starts: NDArray[np.int32]
    log_width: int
    log_height: int

    def sample(self, u: Reals, v: Reals, footprint_u: Reals, footprint_v: Reals) -> NDArray[np.uint32]:
        """Packed texels at (u, v) >= 0, which wrap around; footprints: extents of one sample in the same unit."""
        width, height = 1 << self.log_width, 1 << self.log_height
        level_u = _rounded_log2(footprint_u, width, self.starts.shape[1] - 1)
        level_v = _rounded_log2(footprint_v, height, self.starts.shape[0] - 1)
        column = (u * np.float32(width)).astype(np.int32) & (width - 1)
        row = (v * np.float32(height)).astype(np.int32) & (height - 1)
        start = self.starts.ravel()[level_v * self.starts.shape[1] + level_u]
        words: NDArray[np.uint32] = self.texels[
            start + ((row >> level_v) << (self.log_width - level_u)) + (column >> level_u)
        ]
        return words


def _rounded_log2(values: Reals, factor: int, highest: int) -> NDArray[np.int32]:
    # the exponent bits of a float32 are the floor of its logarithm; times sqrt(2) makes that a rounding
    level: NDArray[np.int32] = (values * np.float32(factor * 2**0.5)).view(np.int32) >> 23
    level -= 127
    np.maximum(level, 0, out=level)
    return np.minimum(level, highest, out=level)


def _mean_of_words(first: NDArray[np.uint32], second: NDArray[np.uint32], *, up: bool) -> NDArray[np.uint32]:
    """Means of the four packed bytes at once, rounded ``up`` or down."""
    half: NDArray[np.uint32] = ((first ^ second) & np.uint32(0xFEFEFEFE)) >> np.uint32(1)
    return (first | second) - half if up else (first & second) + half


def ripmap(texels: Bytes) -> Texture:
    """All the levels of ``[H, W, 4]``; H and W are powers of two."""
    height, width = texels.shape[:2]
    log_height, log_width = height.bit_length() - 1, width.bit_length() - 1
    tall = np.ascontiguousarray(texels).view(np.uint32)[..., 0]
    levels_v, levels_u = max(1, log_height - 1), max(1, log_width - 1)
    starts = np.zeros((levels_v, levels_u), np.int32)
    levels = []
    filled = 0
    for level_v in range(levels_v):
        level = tall
        for level_u in range(levels_u):
            starts[level_v, level_u] = filled
            levels.append(level.ravel())
            filled += level.size
            if level_u < levels_u - 1:
                level = _mean_of_words(level[:, 0::2], level[:, 1::2], up=level_u % 2 == 0)
        if level_v < levels_v - 1:
            tall = _mean_of_words(tall[0::2], tall[1::2], up=level_v % 2 == 1)
    return Texture(np.concatenate(levels), starts, log_width, log_height)


class _TextureCache:
    """The textures painted last, at most ``budget`` bytes of them."""

    def __init__(self, budget: int) -> None:
        self.budget, self.bytes = budget, 0
        self.kept: OrderedDict[TextureSpec, Texture] = OrderedDict()
        self.lock = Lock()

    def get(self, spec: TextureSpec) -> Texture:
        """Paint ``spec`` unless it is kept."""
        with self.lock:
            if spec in self.kept:
                self.kept.move_to_end(spec)
                return self.kept[spec]
            made = self.kept[spec] = ripmap(spec.paint())
            self.bytes += made.texels.nbytes
            while self.bytes > self.budget and len(self.kept) > 1:
                self.bytes -= self.kept.popitem(last=False)[1].texels.nbytes
            return made


_cache = _TextureCache(300_000_000)


def texture(spec: TextureSpec) -> Texture:
    """The texture of a specification; those used last (some 300 MB) are kept, one street needs about half of it."""
    return _cache.get(spec)


def power_of_two(metres: float, density: float = TEXELS_PER_METRE, highest: int = 512) -> int:
    """The texture side for a length: the power of two nearest to ``density`` texels per metre."""
    return int(2 ** round(np.log2(np.clip(metres * density, 16, highest))))


NOISE_SIDE = 768


@lru_cache(maxsize=8)
def _noise(grain: float, stains: float) -> NDArray[np.int16]:
    """A tile ``[768, 768, 4]`` of fine grain and large stains to be added to texels; nothing in the fourth channel."""
    rng = np.random.default_rng(20240)
    stain = np.zeros((NOISE_SIDE, NOISE_SIDE), np.float32)
    for cells in (6, 13, 34, 91):
        stain += smooth_noise(rng, NOISE_SIDE, NOISE_SIDE, cells) / np.float32(cells**0.5)
    both = rng.normal(0, 5 * grain, stain.shape) + stain * (160 * stains / stain.std())
    tile = np.zeros((NOISE_SIDE, NOISE_SIDE, 4), np.int16)
    tile[..., :3] = both.round()[..., None]
    return tile


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, cells: int, *, wraps: bool = False
) -> NDArray[np.float32]:
    """Noise ``[height, width]`` in about [-1, 1], interpolated from ``cells`` x ``cells`` values.

    With ``wraps`` its opposite edges fit together.
    """
    values = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    if not wraps:
        return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC))
    box = (cells, cells, 2 * cells, 2 * cells)
    tiled = Image.fromarray(np.tile(values, (3, 3)))
    return np.asarray(tiled.resize((width, height), Image.Resampling.BICUBIC, box=box))


def weather(texels: Bytes, rng: np.random.Generator, *, grain: float = 1.0, stains: float = 0.05) -> Bytes:
    """The texels with fine grain and large stains: a random part of one fixed noise tile, sides at most 512."""
    height, width = texels.shape[:2]
    y, x = rng.integers(0, NOISE_SIDE - height + 1), rng.integers(0, NOISE_SIDE - width + 1)
    noisy = texels + _noise(grain, stains)[y : y + height, x : x + width]
    clipped: Bytes = np.clip(noisy, 0, 255).astype(np.uint8)
    return clipped


def shade(colour: Sequence[int], factor: float) -> Colour:
    """A colour made darker (factor < 1) or lighter."""
    r, g, b = (int(min(255, max(0, c * factor))) for c in colour)
    return r, g, b


def pick(rng: np.random.Generator, options: Sequence[Colour], spread: float = 0.06) -> Colour:
    """One of the colours, a little varied."""
    base = np.array(options[int(rng.integers(len(options)))], np.float64)
    r, g, b = np.clip(base * rng.uniform(1 - spread, 1 + spread, 3), 0, 255).astype(int).tolist()
    return r, g, b


class Canvas:
    """Draws on a texture in metres, x to the right and z up from its lower left corner."""

    def __init__(self, texels: Bytes, width: float, height: float) -> None:
        self.rows, self.columns = texels.shape[:2]
        self.image = Image.fromarray(texels)
        self.draw = ImageDraw.Draw(self.image)
        self.scale_x, self.scale_z = self.columns / width, self.rows / height

    def texels(self) -> Bytes:
        """The finished texels, row 0 at the bottom."""
        return np.array(self.image)[::-1]

    def pixels(self, x0: float, z0: float, x1: float, z1: float) -> tuple[int, int, int, int]:
        """The rectangle in image pixels (left, top, right, bottom), ends included, at least one pixel."""
        left, right = round(x0 * self.scale_x), round(x1 * self.scale_x) - 1
        top, bottom = self.rows - round(z1 * self.scale_z), self.rows - round(z0 * self.scale_z) - 1
        return left, top, max(left, right), max(top, bottom)

    def box(self, x: float, z: float, width: float, height: float, colour: Colour, glow: int = 0) -> None:
        """Fill the rectangle whose lower left corner is (x, z)."""
        self.draw.rectangle(self.pixels(x, z, x + width, z + height), fill=(*colour, glow))

    def arch(self, x: float, z: float, width: float, height: float, colour: Colour, glow: int = 0) -> None:
        """Fill the upper half of the ellipse that is ``width`` wide and ``height`` high above z."""
        left, top, right, bottom = self.pixels(x, z - height, x + width, z + height)
        self.draw.pieslice((left, top, right, bottom), 180, 360, fill=(*colour, glow))

    def ellipse(self, x: float, z: float, width: float, height: float, colour: Colour, alpha: int = 0) -> None:
        """Fill the ellipse in that rectangle."""
        self.draw.ellipse(self.pixels(x, z, x + width, z + height), fill=(*colour, alpha))

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour, alpha: int = 0) -> None:
        """Fill a polygon of (x, z) corners."""
        corners = [(x * self.scale_x, self.rows - z * self.scale_z) for x, z in points]
        self.draw.polygon(corners, fill=(*colour, alpha))

    def text(self, words: str, x: float, z: float, width: float, height: float, colour: Colour, glow: int = 0) -> None:
        """Fit ``words`` into the rectangle."""
        left, top, right, bottom = self.pixels(x, z, x + width, z + height)
        mask = lettering(words).resize((right - left + 1, bottom - top + 1), Image.Resampling.BOX)
        self.image.paste((*colour, glow), (left, top), mask)


@lru_cache(maxsize=256)
def lettering(words: str) -> Image.Image:
    """The words as a mask without margins."""
    font = ImageFont.load_default(48)
    box = font.getbbox(words)
    image = Image.new("L", (max(1, round(box[2] - box[0])), max(1, round(box[3] - box[1]))))
    ImageDraw.Draw(image).text((-box[0], -box[1]), words, fill=255, font=font, stroke_width=1)
    return image
