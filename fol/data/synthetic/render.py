"""Rendering of the synthetic city, and exact correspondences between two of its views.

Every surface is a plane, so each has one homography from pixels to its own (u, v) and inverse depth: a view is those
homographies evaluated inside the surfaces' bounding boxes, the nearest kept per sample. Two by two samples per pixel,
textures filtered by footprint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fol.data.synthetic.camera import Camera
from fol.data.synthetic.conditions import Light, light_named
from fol.data.synthetic.light import lit, sky, sun_on_surfaces
from fol.data.synthetic.precipitation import mirrored, open_to_the_sky, settled
from fol.data.synthetic.seasons import in_season
from fol.data.synthetic.street import City, Street
from fol.data.synthetic.surfaces import Surfaces
from fol.data.synthetic.textures import texture

Reals = NDArray[np.float32]
Floats = NDArray[np.float64]
NEAR, FAR = 0.1, 320.0  # metres of depth
SAMPLES = 2  # per pixel and direction
CHUNK = 1 << 14


@dataclass(frozen=True, eq=False)
class _Visible:
    """Surfaces in front of a camera: indices ``[S]``, maps from pixels to (u, v, 1) / depth ``[S, 3, 3]``.

    ``boxes [S, 4]`` (left, top, right, bottom) in pixels; ``closest [S]`` 1 / depth of the nearest corner.
    """

    index: NDArray[np.int64]
    maps: Floats
    boxes: Floats
    closest: Floats


def _visible(street: Street, camera: Camera, size: int) -> _Visible:
    surfaces = street.surfaces
    to_camera = camera.rotation() @ street.axes.T
    origin = (surfaces.origin - street.to_street(np.array(camera.position))) @ to_camera.T
    across, up = surfaces.across @ to_camera.T, surfaces.up @ to_camera.T
    corners = np.stack([origin, origin + across, origin + across + up, origin + up], axis=1)
    depth = corners[..., 2]
    # where an edge passes through the near plane its crossing replaces the corner that cannot be projected
    following, following_depth = np.roll(corners, -1, axis=1), np.roll(depth, -1, axis=1)
    crosses = (depth > NEAR) != (following_depth > NEAR)
    share = np.where(crosses, (NEAR - depth) / np.where(crosses, following_depth - depth, 1), 0)
    points = np.concatenate([corners, corners + share[..., None] * (following - corners)], axis=1)
    usable = np.concatenate([depth > NEAR, crosses], axis=1)[..., None]
    scale = camera.focal * size
    pixels = points[..., :2] / np.where(usable, points[..., 2:], 1) * scale + size / 2
    low = np.where(usable, pixels, np.inf).min(axis=1)
    high = np.where(usable, pixels, -np.inf).max(axis=1)
    planes = np.stack([across, up, origin], axis=2)
    facing = np.linalg.det(planes)  # negative seen from the front
    shown = (high > 0).all(axis=1) & (low < size).all(axis=1) & (depth.min(axis=1) < FAR)
    shown &= (facing < -1e-9) | (surfaces.two_sided & (facing > 1e-9))
    shown &= ((high - low) > 0.35).all(axis=1)
    index = np.flatnonzero(shown)
    maps = np.linalg.inv(camera.intrinsics(size) @ planes[index]).astype(np.float64)
    closest = 1 / np.where(usable[..., 0], points[..., 2], np.inf).min(axis=1)
    return _Visible(index, maps, np.concatenate([low, high], axis=1)[index], closest[index])


def _footprints(matrix: Floats, u: Reals, v: Reals, inverse_depth: Reals, repeats: Floats) -> tuple[Reals, Reals]:
    """Extent of one sample along u and v in whole textures."""
    m = (matrix / SAMPLES).astype(np.float32)
    found = []
    for row, value, repeat in ((0, u, repeats[0]), (1, v, repeats[1])):
        extent = np.maximum(np.abs(m[row, 0] - value * m[2, 0]), np.abs(m[row, 1] - value * m[2, 1]))
        found.append(extent * np.float32(repeat) / inverse_depth)
    return found[0], found[1]


def _texels(
    surfaces: Surfaces, surface: int, matrix: Floats, u: Reals, v: Reals, inverse_depth: Reals
) -> NDArray[np.uint32]:
    repeats = surfaces.repeats[surface]
    footprint = _footprints(matrix, u, v, inverse_depth, repeats)
    pattern = texture(surfaces.specs[surfaces.texture[surface]])
    return pattern.sample(u * np.float32(repeats[0]), v * np.float32(repeats[1]), *footprint)


def _linear(row: Reals, x: Reals, y: Reals) -> Reals:
    value: Reals = (x * row[0] + row[2]) + y * row[1]
    return value


def _nearest(surfaces: Surfaces, visible: _Visible, size: int) -> tuple[NDArray[np.int16], Reals]:
    """Per sample the number in ``visible`` of the nearest surface (-1: sky) and 1 / depth, both ``[n, n]``."""
    n = size * SAMPLES
    at = ((np.arange(n) + 0.5) / SAMPLES).astype(np.float32)
    owner, nearest = np.full((n, n), -1, np.int16), np.zeros((n, n), np.float32)
    boxes = np.clip(
        np.stack([np.floor(visible.boxes[:, :2] * SAMPLES - 0.5), np.ceil(visible.boxes[:, 2:] * SAMPLES + 0.5)]), 0, n
    )
    boxes = boxes.astype(int)
    # near ones first, so that what they hide altogether is skipped; cut-outs last, they cost most
    cutout = surfaces.cutout[visible.index]
    for number in np.lexsort((-visible.closest, cutout)).tolist():
        (left, top), (right, bottom) = boxes[0, number].tolist(), boxes[1, number].tolist()
        if right <= left or bottom <= top or nearest[top:bottom, left:right].min() >= visible.closest[number]:
            continue
        matrix = visible.maps[number]
        rows, x, y = matrix.astype(np.float32), at[left:right], at[top:bottom, None]
        su, sv, inverse = _linear(rows[0], x, y), _linear(rows[1], x, y), _linear(rows[2], x, y)
        window = nearest[top:bottom, left:right]
        hit = (su >= 0) & (sv >= 0) & (su < inverse) & (sv < inverse) & (inverse > window)
        if cutout[number]:
            where = np.flatnonzero(hit)
            if not len(where):
                continue
            depth = inverse.ravel()[where]
            u, v = su.ravel()[where] / depth, sv.ravel()[where] / depth
            words = _texels(surfaces, int(visible.index[number]), matrix, u, v, depth)
            hit.ravel()[where] = words >> np.uint32(24) >= 110
        np.copyto(window, inverse, where=hit)
        np.copyto(owner[top:bottom, left:right], np.int16(number), where=hit)
    return owner, nearest


def render(
    city: City, camera: Camera, light: Light | str = "day", size: int = 224, *, things: Surfaces | None = None
) -> NDArray[np.uint8]:
    """A photo ``[size, size, 3]`` RGB; the same bytes for the same arguments.

    ``light`` is one of ``LIGHTS`` or its name; ``ConfigError`` for a name that is none. ``things`` stand in the street
    besides what always stands there (see ``traffic``).
    """
    if isinstance(light, str):
        light = light_named(light)
    street = _scene(city.street_at(camera.position), light, things)
    surfaces, visible = street.surfaces, _visible(street, camera, size)
    owner, nearest = _nearest(surfaces, visible, size)
    # from here on samples are sorted by surface, sky first: what a surface has in common is then one slice
    n = size * SAMPLES
    order = np.argsort(owner.ravel(), kind="stable")
    counts = np.bincount(owner.ravel() + 1, minlength=len(visible.index) + 1)
    at = ((np.arange(n) + 0.5) / SAMPLES).astype(np.float32)
    x, y = np.tile(at, n)[order], np.repeat(at, n)[order]
    inverse = nearest.ravel()[order]
    words = np.zeros(n * n, np.uint32)
    start = int(counts[0])
    for number, (surface, count) in enumerate(zip(visible.index.tolist(), counts[1:].tolist(), strict=True)):
        if count:
            some = slice(start, start + count)
            matrix = visible.maps[number]
            m, depth = matrix.astype(np.float32), inverse[some]
            u, v = (_linear(m[k], x[some], y[some]) / depth for k in (0, 1))
            words[some] = _texels(surfaces, surface, matrix, u, v, depth)
            start += count
    samples = np.empty(n * n, np.uint32)
    samples[order] = _colours(street, light, camera, size, visible.index, counts, x, y, inverse, words)
    rows = samples.view(np.uint8).reshape(size, SAMPLES, n * 4).sum(axis=1, dtype=np.uint16)
    halves = rows.reshape(size, size, SAMPLES, 4)
    pixels = (halves[:, :, 0] + halves[:, :, 1] + SAMPLES**2 // 2) // SAMPLES**2
    image: NDArray[np.uint8] = pixels[..., :3].astype(np.uint8)
    if light.wet:
        low = surfaces.origin[:, 2] + surfaces.across[:, 2] + surfaces.up[:, 2] < 0.2
        flat = np.append((surfaces.normals()[:, 2] > 0.9) & low, False)[np.append(visible.index, len(surfaces))]
        ground = flat[owner].reshape(size, SAMPLES, size, SAMPLES).mean(axis=(1, 3), dtype=np.float32)
        image = mirrored(image, ground, light, camera)
    return image


def _scene(street: Street, light: Light, things: Surfaces | None) -> Street:
    """The street as it is on one day: its trees in season, with the ``things`` that come and go at its end."""
    surfaces = in_season(street.surfaces if things is None else street.surfaces.joined(things), light)
    return street if surfaces is street.surfaces else replace(street, surfaces=surfaces)


def _colours(
    street: Street,
    light: Light,
    camera: Camera,
    size: int,
    index: NDArray[np.int64],
    counts: NDArray[np.int64],
    x: Reals,
    y: Reals,
    inverse: Reals,
    words: NDArray[np.uint32],
) -> NDArray[np.uint32]:
    """Packed colours ``[N]`` of samples at pixels (x, y), sorted by surface: first ``counts[0]`` of sky."""
    surfaces = street.surfaces
    number = np.repeat(np.arange(len(index)), counts[1:])
    steepness = sun_on_surfaces(light, street)[index].astype(np.float32)
    shines = ~surfaces.cutout[index]
    caught = open_to_the_sky(surfaces)[index] if light.wet or light.snow else None
    scale, half = np.float32(1 / (camera.focal * size)), np.float32(size / 2)
    axes = (camera.rotation() @ street.axes.T).astype(np.float32)
    eye = street.to_street(np.array(camera.position)).astype(np.float32)
    colours = np.empty(len(x), np.uint32)
    first = int(counts[0])
    # some thousand at a time: what is computed of them then stays in the processor's cache
    starts = [*range(0, first, CHUNK), *range(first, len(x), CHUNK), len(x)]
    for start, stop in pairwise(starts):
        some = slice(start, min(stop, first) if start < first else stop)
        right, down = (x[some] - half) * scale, (y[some] - half) * scale
        rays = [right * axes[0, k] + down * axes[1, k] + axes[2, k] for k in range(3)]
        if start < first:
            colours[some] = sky(light, street, rays)
            continue
        depth = np.reciprocal(inverse[some])
        points = [ray * depth + origin for ray, origin in zip(rays, eye, strict=True)]
        numbers = number[start - first : stop - first]
        texels = words[some]
        if caught is not None:
            texels = settled(light, street.road, points, texels, caught[numbers])
        colours[some] = lit(light, street, points, depth, texels, steepness[numbers], shines[numbers])
    return colours


def cast(city: City, camera: Camera, points: ArrayLike, size: int) -> tuple[Floats, NDArray[np.int64]]:
    """What the pixels ``[N, 2]`` of a view show: world points ``[N, 3]`` and surface numbers ``[N]`` in their street.

    The exact float64 counterpart of ``render``. Sky gives NaN and -1. Cut-outs (leaves) are decided as in ``render``.
    """
    return _cast(city.street_at(camera.position), camera, points, size)


def cast_with(
    city: City, camera: Camera, points: ArrayLike, size: int, light: Light, things: Surfaces | None
) -> tuple[Floats, NDArray[np.int64]]:
    """``cast`` with what comes and goes: surfaces after those of the street belong to ``things``; trees in season."""
    return _cast(_scene(city.street_at(camera.position), light, things), camera, points, size)


def _cast(street: Street, camera: Camera, points: ArrayLike, size: int) -> tuple[Floats, NDArray[np.int64]]:
    pixels = np.asarray(points, np.float64).reshape(-1, 2)
    visible = _visible(street, camera, size)
    nearest, owner = np.zeros(len(pixels)), np.full(len(pixels), -1, np.int64)
    homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
    for number, surface in enumerate(visible.index.tolist()):
        left, top, right, bottom = visible.boxes[number]
        x, y = pixels.T
        some = np.flatnonzero((x >= left - 1) & (x <= right + 1) & (y >= top - 1) & (y <= bottom + 1))
        matrix = visible.maps[number]
        su, sv, inverse = matrix @ homogeneous[some].T
        hit = (su >= 0) & (sv >= 0) & (su < inverse) & (sv < inverse) & (inverse > nearest[some])
        if street.surfaces.cutout[surface] and hit.any():
            depth = inverse[hit].astype(np.float32)
            u, v = (su[hit] / inverse[hit]).astype(np.float32), (sv[hit] / inverse[hit]).astype(np.float32)
            hit[hit] = _texels(street.surfaces, surface, matrix, u, v, depth) >> np.uint32(24) >= 110
        nearest[some[hit]], owner[some[hit]] = inverse[hit], surface
    world = np.array(camera.position) + camera.rays(pixels, size) / np.where(owner >= 0, nearest, np.nan)[:, None]
    return world, owner


def true_correspondences(
    city: City, camera_a: Camera, camera_b: Camera, points: ArrayLike, *, size: int = 224
) -> tuple[Floats, NDArray[np.bool_]]:
    """Where the pixels ``points [N, 2]`` of view a appear in view b: pixels ``[N, 2]`` and visibility ``[N]``.

    Both views are ``size`` x ``size``. Exact: the ray is cast and its point projected. A point is not visible where
    view a shows sky, or where in b it lies outside the image, behind something, or on the far side of its surface; its
    pixel is then still given when it can be projected (NaN for sky and for points behind camera b).
    """
    world, surface = cast(city, camera_a, points, size)
    pixels, depth = camera_b.project(world, size)
    inside = (surface >= 0) & (depth > NEAR) & (pixels >= 0).all(axis=1) & (pixels < size).all(axis=1)
    visible = np.zeros(len(pixels), np.bool_)
    if inside.any():
        there, seen = cast(city, camera_b, pixels[inside], size)
        # the same surface at the same place: two parts of one surface cannot hide each other
        same = (seen == surface[inside]) & (np.linalg.norm(there - world[inside], axis=1) < 1e-3)
        visible[inside] = same
    return pixels, visible
