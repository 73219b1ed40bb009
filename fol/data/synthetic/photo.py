"""The camera behind the pinhole: exposure, white balance, tone, blur, noise, vignetting, compression, all by seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from math import ceil, cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fol.data.synthetic.conditions import Rgb

Bytes = NDArray[np.uint8]
Reals = NDArray[np.float32]


@dataclass(frozen=True)
class PhotoRanges:
    """How far photos stray from a perfect one; each photo draws its own values.

    ``exposure`` stops to either side; ``white_balance, contrast, saturation`` relative; ``noise`` grey levels (standard
    deviation at most), several times as much in the dark; ``blur`` of defocus and ``motion`` in 224ths of the image's
    side at most, ``blurred`` share of photos with either; ``vignette`` loss in the corners; ``bloom`` around bright
    spots; ``jpeg`` lowest and highest quality.
    """

    exposure: float = 0.25
    white_balance: float = 0.03
    contrast: float = 0.08
    saturation: float = 0.1
    noise: float = 2.0
    blur: float = 0.5
    motion: float = 0.0
    blurred: float = 0.2
    vignette: float = 0.1
    bloom: float = 0.3
    jpeg: tuple[int, int] = (85, 95)


def exposure_gains(ranges: PhotoRanges, brightness: float, rng: np.random.Generator) -> Rgb:
    """Gains of red, green and blue for one photo; applied to the light, so that what is too bright clips.

    An automatic exposure evens out most of the scene's ``brightness`` (0.9 on a fine day), within its limits.
    """
    automatic = float(np.clip(0.95 / brightness, 0.8, 4.0)) ** 0.6
    gain = automatic * 2.0 ** rng.uniform(-ranges.exposure, ranges.exposure)
    warm, tint = rng.uniform(-ranges.white_balance, ranges.white_balance, 2)
    return float(gain * (1 + warm)), float(gain * (1 - 0.5 * tint)), float(gain * (1 - warm))


@lru_cache(maxsize=1)
def _noise_tile() -> Reals:
    return np.random.default_rng(4711).standard_normal((1024, 1024, 3), np.float32)


def _grain(size: int, rng: np.random.Generator) -> Reals:
    """Sensor noise ``[size, size, 3]``: part of one fixed tile, repeated where the image is larger."""
    y, x = rng.integers(0, 1024, 2)
    tile = np.roll(_noise_tile(), (-int(y), -int(x)), (0, 1)) if size > 512 else None
    if tile is not None:
        repeats = ceil(size / 1024)
        return np.tile(tile, (repeats, repeats, 1))[:size, :size]
    y, x = int(y) % (1025 - size), int(x) % (1025 - size)
    return _noise_tile()[y : y + size, x : x + size]


def _moved(image: Reals, length: float, angle: float) -> Reals:
    """Motion blur: the mean of the image along a straight path ``length`` pixels long."""
    steps = max(2, ceil(length) + 1)
    reach = ceil(length / 2) + 1
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    size = len(image)
    total = np.zeros_like(image)
    for share in np.linspace(-0.5, 0.5, steps):
        dx, dy = round(share * length * cos(angle)) + reach, round(share * length * sin(angle)) + reach
        total += padded[dy : dy + size, dx : dx + size]
    return total / np.float32(steps)


def photograph(image: Bytes, ranges: PhotoRanges, rng: np.random.Generator, *, dark: float = 0.0) -> bytes:
    """The JPEG file that a camera makes of the picture ``[n, n, 3]`` that falls on its sensor.

    ``dark`` from 0 (daylight) to 1 (night): how much the camera has to amplify, and noise with it. The number of random
    draws does not depend on the ranges.
    """
    size = len(image)
    unit = size / 224
    picked, defocus, motion, angle, corners, contrast, saturation, noise, offset = rng.random(9).tolist()
    seen = Image.fromarray(image)
    if ranges.bloom and dark > 0.3:
        seen = _bloom(seen, ranges.bloom * dark, unit)
    moves = picked < ranges.blurred and motion * ranges.motion > 1.0
    if picked < ranges.blurred and not moves:
        seen = seen.filter(ImageFilter.GaussianBlur(0.3 * unit + defocus * ranges.blur * unit))
    pixels = np.asarray(seen).astype(np.float32)
    if moves:
        pixels = _moved(pixels, motion * ranges.motion * unit, angle * pi)
    axis = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    fall = 1 - np.float32(0.5 * corners * ranges.vignette) * (axis[:, None] + axis[None, :])
    pixels *= fall[..., None]
    grey = pixels.mean(axis=2, keepdims=True)
    colourful = np.float32(1 + ranges.saturation * (2 * saturation - 1))
    pixels = grey + colourful * (pixels - grey)
    gain = np.float32(1 + ranges.contrast * (2 * contrast - 1))
    middle = np.float32(118 * (1 - 0.6 * dark))
    pixels = middle + gain * (pixels - middle)
    deviation = ranges.noise * (0.2 + 0.8 * noise) * (1 + 2.5 * dark)
    pixels += _grain(size, rng) * np.float32(deviation)
    finished = np.clip(pixels + np.float32(0.5), 0, 255).astype(np.uint8)
    low, high = ranges.jpeg
    return as_jpeg(finished, round(low + offset * (high - low)))


def _bloom(image: Image.Image, strength: float, unit: float) -> Image.Image:
    """Light scattered in the lens around lamps and lit windows."""
    small = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BOX)
    bright = np.maximum(np.asarray(small).astype(np.float32) - 170, 0)
    halo = Image.fromarray(np.minimum(bright * 2.5, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(4 * unit))
    added = np.asarray(halo.resize(image.size, Image.Resampling.BILINEAR)).astype(np.float32) * np.float32(strength)
    return Image.fromarray(np.minimum(np.asarray(image) + added, 255).astype(np.uint8))


def as_jpeg(pixels: Bytes, quality: int = 92) -> bytes:
    """An encoded image."""
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=quality)
    return encoded.getvalue()
