"""How a light of the synthetic city colours sky and surfaces: sun and shadow, lamps, lit windows, haze."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fol.data.synthetic.conditions import WINDOW_GLOWS, Light
from fol.data.synthetic.layout import LAMP_HEIGHT, LAMP_SPACING, SKYLINE_STEP
from fol.data.synthetic.street import Street
from fol.data.synthetic.textures import smooth_noise

Reals = NDArray[np.float32]


CLOUD_TILE = 1024


@lru_cache(maxsize=8)
def _clouds(name: str) -> Reals:
    rng = np.random.default_rng(list(name.encode()))
    total = np.zeros((CLOUD_TILE, CLOUD_TILE), np.float32)
    for cells in (5, 11, 23, 47, 97):
        total += smooth_noise(rng, CLOUD_TILE, CLOUD_TILE, cells, wraps=True) / np.float32((cells / 5) ** 0.9)
    cover: Reals = (total - total.min()) / np.ptp(total)
    return cover


def sky(light: Light, street: Street, rays: Sequence[Reals]) -> NDArray[np.uint32]:
    """Packed colours ``[N]`` of the sky along ``rays``: x, y and z ``[N]`` in a street's frame."""
    length = np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
    axes = street.axes.astype(np.float32)
    east, north = ((rays[0] * axes[0, k] + rays[1] * axes[1, k]) / length for k in range(2))
    up = np.clip(rays[2] / length, 0, 1)
    blend = np.sqrt(np.minimum(1, up * np.float32(1.3)))
    sun = light.direction().astype(np.float32)
    toward_sun = np.clip(east * sun[0] + north * sun[1] + up * sun[2], 0, 1)
    toward_sun *= toward_sun * np.square(np.square(1 - up))
    # clouds lie on a plane, so they crowd together at the horizon
    scale = np.float32(0.18 * CLOUD_TILE) / (up + np.float32(0.12))
    row, column = (
        (part * scale + np.float32(offset * CLOUD_TILE)).astype(np.int32) & (CLOUD_TILE - 1)
        for part, offset in zip((east, north), light.drift, strict=True)
    )
    cover = np.clip((_clouds(light.name)[row, column] - np.float32(1 - light.clouds)) * 4, 0, 1)
    cover *= np.minimum(1, up * 6) * np.float32(0.85)
    colours = np.zeros((len(up), 4), np.uint8)
    bands = zip(light.horizon, light.zenith, light.afterglow, light.cloud_colour, strict=True)
    for k, (low, high, glow, cloud) in enumerate(bands):
        colour = np.float32(low) + blend * np.float32(high - low) + toward_sun * np.float32(glow)
        colour += (np.float32(cloud) - colour) * cover
        colours[:, k] = np.minimum(colour * np.float32(255), 255)
    return colours.view(np.uint32)[:, 0]


def sun_on_surfaces(light: Light, street: Street) -> NDArray[np.float64]:
    """How steeply the sun meets each surface ``[S]`` of a street, 0 (not at all) to 1, without shadows."""
    surfaces = street.surfaces
    cosine = surfaces.normals() @ (street.axes @ light.direction())
    # leaves and other two-sided surfaces are thin and rough: both sides are lit, less steeply
    return np.where(surfaces.two_sided, 0.3 + 0.4 * np.abs(cosine), np.maximum(cosine, 0))


def lit(
    light: Light,
    street: Street,
    points: Sequence[Reals],
    depth: Reals,
    texels: NDArray[np.uint32],
    steepness: Reals,
    shines: NDArray[np.bool_],
) -> NDArray[np.uint32]:
    """Packed colours ``[N]`` of surfaces under a light, seen through the haze.

    ``points`` x, y, z ``[N]`` in the street's frame at ``depth [N]`` metres; ``texels [N]`` packed; ``steepness [N]``
    of the sun; ``shines [N]`` whether a texel's fourth channel is glow.
    """
    packed = texels.view(np.uint8).reshape(-1, 4)
    fade = np.exp(depth * np.float32(-light.haze))
    sun = lamps = glow = np.zeros(0, np.float32)
    if max(light.sun):
        sun = steepness * ~in_shadow(street, points, street.axes @ light.direction())
    if light.lamps:
        lamps = lamp_light(street, points) * np.float32(light.lamps)
    if light.glow:
        glow = _brightness(light)[packed[:, 3]] * shines
    colours = np.zeros((len(depth), 4), np.uint8)
    for k in range(3):
        albedo = packed[:, k].astype(np.float32)
        colour = albedo * np.float32(light.ambient[k])
        if max(light.sun):
            colour += albedo * sun * np.float32(light.sun[k])
        if light.lamps:
            colour += albedo * lamps * np.float32(light.lamp_colour[k])
        if light.glow:
            colour += glow * (glow * np.float32(255 * light.lamp_colour[k]) + (np.float32(1.3) - glow) * albedo)
        np.minimum(colour, 255, out=colour)
        far = np.float32(255 * min(light.horizon[k], 1.0))
        colour -= far
        colour *= fade
        colour += far
        colours[:, k] = colour
    return colours.view(np.uint32)[:, 0]


def _brightness(light: Light) -> Reals:
    """How bright each value of the glow channel is, ``[256]``: groups of windows are switched on and off."""
    brightness = np.interp(np.arange(256), (0, *WINDOW_GLOWS, 240), (0.0, *light.windows, 1.0))
    return (brightness * light.glow).astype(np.float32)


def in_shadow(street: Street, points: Sequence[Reals], to_sun: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the houses of a street keep the sun from ``points``: x, y, z ``[N]`` (street frame; ``to_sun`` too)."""
    side = 1.0 if to_sun[0] > 0 else -1.0
    across = max(abs(float(to_sun[0])), 1e-3) * side
    steps = np.maximum((np.float32(side * street.half) - points[0]) * np.float32(1 / across), 0)
    along = points[1] + steps * np.float32(to_sun[1]) - np.float32(street.skyline_start)
    skyline = street.skyline[0 if side < 0 else 1].astype(np.float32)
    column = np.clip(along * np.float32(1 / SKYLINE_STEP), 0, len(skyline) - 1).astype(np.int32)
    hidden: NDArray[np.bool_] = points[2] + steps * np.float32(to_sun[2]) < skyline[column]
    return hidden


def lamp_light(street: Street, points: Sequence[Reals]) -> Reals:
    """Brightness ``[N]`` in [0, 1] that the nearest street lamp gives to ``points``: x, y, z ``[N]`` (street frame)."""
    number = np.round((points[1] - np.float32(street.lamp_start)) * np.float32(1 / LAMP_SPACING))
    reach = np.float32(street.road - 0.7)
    x = reach - 2 * reach * (number.astype(np.int32) & 1).astype(np.float32)
    y = number * np.float32(LAMP_SPACING) + np.float32(street.lamp_start)
    squared = (points[0] - x) ** 2 + (points[1] - y) ** 2 + (points[2] - np.float32(LAMP_HEIGHT + 0.5)) ** 2
    below = np.minimum(1, np.float32(LAMP_HEIGHT + 1.5) / (np.abs(points[2]) + 1))
    brightness: Reals = below / (1 + squared * np.float32(1 / 18))
    return brightness
