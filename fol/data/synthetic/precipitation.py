"""Rain and snow in the synthetic city: what lies on surfaces, what falls through the air, what wet ground mirrors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from fol.data.synthetic.camera import Camera
from fol.data.synthetic.conditions import Light
from fol.data.synthetic.scenery import HedgeSpec, TreeSpec
from fol.data.synthetic.surfaces import Surfaces
from fol.data.synthetic.textures import smooth_noise

Reals = NDArray[np.float32]
Bytes = NDArray[np.uint8]
PATCH_TILE = 512
SNOW = (233, 237, 243)


@lru_cache(maxsize=1)
def _patches() -> Reals:
    """Noise ``[512, 512]`` in [0, 1] that decides where snow lies first; 8 values per metre."""
    rng = np.random.default_rng(77)
    total = np.zeros((PATCH_TILE, PATCH_TILE), np.float32)
    for cells in (16, 40, 120):
        total += smooth_noise(rng, PATCH_TILE, PATCH_TILE, cells, wraps=True)
    ranks = np.argsort(np.argsort(total.ravel())).reshape(total.shape)
    return (ranks / total.size).astype(np.float32)


def open_to_the_sky(surfaces: Surfaces) -> Reals:
    """How much of the rain or snow that falls stays on each surface ``[S]``: 1 on the ground and on roofs."""
    upward = np.abs(surfaces.normals()[:, 2])
    leafy = np.array([isinstance(spec, TreeSpec) for spec in surfaces.specs], np.float64)[surfaces.texture]
    hedge = np.array([isinstance(spec, HedgeSpec) for spec in surfaces.specs], np.float64)[surfaces.texture]
    caught: Reals = np.where(upward > 0.35, 1.0, np.maximum(0.55 * leafy, 0.3 * hedge)).astype(np.float32)
    return caught


def settled(
    light: Light, road: float, points: Sequence[Reals], words: NDArray[np.uint32], caught: Reals
) -> NDArray[np.uint32]:
    """Packed texels ``[N]`` under the light's snow or wetness.

    ``points`` x, y, z ``[N]`` in the street's frame, whose carriageway is ``road`` metres to either side; ``caught``
    is ``open_to_the_sky`` of each sample.
    """
    some = np.flatnonzero(caught > 0.2)
    if not len(some):
        return words
    x, y, z = (part[some] for part in points)
    changed = words.copy()
    texels = changed.view(np.uint8).reshape(-1, 4)
    amount = caught[some]
    if light.wet:
        darker = 1 - np.float32(0.45 * light.wet) * (amount > 0.9)
        texels[some, :3] = texels[some, :3] * darker[:, None]
    if light.snow:
        column = (x * 8).astype(np.int32) & (PATCH_TILE - 1)
        row = ((y + z * np.float32(1.7)) * 8).astype(np.int32) & (PATCH_TILE - 1)
        # wheels have cleared two tracks per lane of the road
        wheel = np.abs(np.abs(np.abs(x) - np.float32(road / 2)) - np.float32(0.75)) < np.float32(0.34)
        cleared = np.where(wheel & (z < 0.1), np.float32(0.5), np.float32(0))
        share = np.clip((amount * np.float32(1.35 * light.snow) - cleared - _patches()[row, column]) * 4, 0, 1)
        for k, white in enumerate(SNOW):
            below = texels[some, k].astype(np.float32)
            texels[some, k] = below + share * (np.float32(white) - below)
    return changed


def mirrored(image: Bytes, ground: Reals, light: Light, camera: Camera) -> Bytes:
    """The picture ``[n, n, 3]`` with wet ground that mirrors what stands above it.

    ``ground [n, n]`` share of each pixel that shows ground. Not traced: the picture is turned upside down about the
    horizon and drawn out downwards, as a rough wet road does.
    """
    size = len(image)
    horizon = size / 2 + camera.focal * size * float(np.tan(np.radians(camera.pitch)))
    rows = np.arange(size)
    from_horizon = np.maximum(rows - horizon, 0)
    source = np.clip(np.round(2 * horizon - rows), 0, size - 1).astype(int)
    upside_down = image[source].astype(np.float32)
    reach = max(1, size // 12)
    padded = np.concatenate([upside_down[:1].repeat(reach, 0), upside_down, upside_down[-1:].repeat(reach, 0)])
    total = np.cumsum(padded, axis=0)
    smeared = (total[2 * reach :] - total[: -2 * reach]) / np.float32(2 * reach)
    strength = light.wet * (0.13 + 0.45 * np.exp(-from_horizon / (0.13 * size)))
    share = (ground * strength[:, None].astype(np.float32))[..., None]
    mixed: Bytes = (image + share * (smeared - image)).astype(np.uint8)
    return mixed


def falling(image: Bytes, light: Light, rng: np.random.Generator) -> Bytes:
    """The picture ``[n, n, 3]`` through falling rain (streaks) or snow (flakes near and far)."""
    size = len(image)
    mask = Image.new("L", (size, size))
    draw = ImageDraw.Draw(mask)
    if light.rainfall:
        slant, count = rng.normal(0, 0.12), int(260 * light.rainfall)
        x, y, length, bright = rng.random((4, count)) * [[1.3], [1.3], [1.0], [1.0]] - [[0.15], [0.3], [0], [0]]
        length = 0.03 + 0.14 * length**2
        ends = np.stack([x, y, x + slant * length, y + length], axis=1) * size
        width = max(1, round(size / 224))
        for line, value in zip(ends.tolist(), (20 + 70 * bright).astype(int).tolist(), strict=True):
            draw.line(line, fill=value, width=width)
        mask = mask.filter(ImageFilter.BoxBlur(size / 448))
    if light.snowfall:
        count = int(420 * light.snowfall)
        x, y, near = rng.random((3, count))
        radius = (0.0018 + 0.009 * near**6) * size
        drop = radius * rng.uniform(1.0, 1.0 + 1.5 * rng.random())
        boxes = np.stack([x * size - radius, y * size - drop, x * size + radius, y * size + drop], axis=1)
        for box, value in zip(boxes.tolist(), (235 - 130 * near).astype(int).tolist(), strict=True):
            draw.ellipse(box, fill=value)
        mask = mask.filter(ImageFilter.BoxBlur(size / 560))
    veil = np.asarray(mask, np.float32)[..., None] * np.float32(1 / 255)
    # drops and flakes are as bright as the sky that lights them
    colour = np.array([min(255.0, 255 * max(a, 0.25)) for a in light.horizon], np.float32)
    mixed: Bytes = (image + veil * (colour - image)).astype(np.uint8)
    return mixed
