"""The views of a city: where its photos are taken, in which condition, and how each of them is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fol.data.synthetic.camera import Camera
from fol.data.synthetic.conditions import Light, varied
from fol.data.synthetic.levels import Level, LevelParameters, level_named
from fol.data.synthetic.photo import as_jpeg, exposure_gains, photograph
from fol.data.synthetic.precipitation import falling
from fol.data.synthetic.render import cast, cast_with, render
from fol.data.synthetic.street import City, Street
from fol.data.synthetic.surfaces import Surfaces
from fol.data.synthetic.traffic import traffic

Floats = NDArray[np.float64]
#: Places that look into different directions from the same spot of a street.
DIRECTIONS = 2
FARTHEST_TARGET = 24.0  # metres from a place's first view to the point that all of its views look at
OVERLAP = 0.04  # of what one place shows, seen from the other: from here on both see the same thing


@dataclass(frozen=True)
class View:
    """One picture: ``name`` relative to the city's folder, number of its place, camera, name of its light.

    Views of a level (``level`` is its name, None otherwise) differ in light, traffic and camera by ``seed``.
    """

    name: str
    place: int
    camera: Camera
    light: str
    level: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class _Axis:
    """Where the first view of a place stands in its street and the point on a facade it looks at (street frame)."""

    street: Street
    x: float
    y: float
    target: tuple[float, float]


def city_of(parameters: LevelParameters) -> City:
    """The streets of a level's split."""
    sites = -(-parameters.places // DIRECTIONS)
    return City.build(sites, parameters.city_seed, level_named(parameters.level).aliasing)


def level_cameras(city: City, parameters: LevelParameters, place: int) -> tuple[tuple[Camera, str, int], ...]:
    """Camera, condition and seed of each photo of one place: in val and test database first, then queries; photos of
    one panorama follow each other."""
    level, train = level_named(parameters.level), parameters.split == "train"
    rng = np.random.default_rng([city.seed, place, 41])
    axis = _axis(city, level, place, rng)
    found = []
    offset = int(rng.integers(1000))
    for k in range(parameters.views if train else 2 * parameters.views):
        database = not train and k < parameters.views
        # a whole view's draws have a generator of their own: more views do not change the first ones
        own = np.random.default_rng(
            [city.seed, place, k, 43] if train else [city.seed, place, k % parameters.views, database, 47]
        )
        camera = _camera(axis, level, own, near=database or (train and k == 0))
        conditions = level.conditions(parameters.split, database)
        turn = offset + k if train else place * parameters.views + k
        condition, seed = conditions[turn % len(conditions)], int(own.integers(1 << 31))
        for heading in range(parameters.headings):
            yaw = (camera.yaw + 360 * heading / parameters.headings) % 360
            found.append((replace(camera, yaw=yaw), condition, seed))
    return tuple(found)


def _axis(city: City, level: Level, place: int, rng: np.random.Generator) -> _Axis:
    number, y = city.places[place // DIRECTIONS]
    street = city.streets[number]
    # the directions of a spot look at opposite sides of the street, one ahead and one back or both the same way
    spot = np.random.default_rng([city.seed, place // DIRECTIONS, 37])
    side = (1.0 if spot.random() < 0.5 else -1.0) * (1 if place % DIRECTIONS else -1)
    ahead = rng.choice([-1.0, 1.0])
    oblique = np.radians(rng.uniform(*level.viewpoints.oblique))
    x = -side * rng.uniform(0.0, 0.4) * street.road
    distance = min((street.half - side * x) / np.sin(oblique), FARTHEST_TARGET)
    y += rng.uniform(-2.0, 2.0)
    target = (x + side * np.sin(oblique) * distance, y + ahead * np.cos(oblique) * distance)
    return _Axis(street, float(x), float(y), (float(target[0]), float(target[1])))


def _camera(axis: _Axis, level: Level, rng: np.random.Generator, *, near: bool) -> Camera:
    """A camera that looks at the place's target; ``near`` at its first view, others as far off as the level says."""
    view, street = level.viewpoints, axis.street
    across, step = rng.uniform(-1, 1) * view.across, rng.uniform(*view.along) * rng.choice([-1.0, 1.0])
    turn, focal, height, pitch = (
        rng.uniform(-view.turn, view.turn),
        rng.uniform(*view.focal),
        rng.uniform(*view.height),
        rng.uniform(*view.pitch),
    )
    if near:
        x, y = axis.x, axis.y + 0.15 * step
        turn, focal = 0.3 * turn, 0.62
    else:
        # never so far that the target is seen from its other side or from the far end of the street
        reach = 0.6 * float(np.hypot(axis.target[0] - axis.x, axis.target[1] - axis.y)) + 1.0
        x, y = across * street.road, axis.y + float(np.clip(step, -reach, reach))
    bearing = np.degrees(np.arctan2(axis.target[0] - x, axis.target[1] - y))
    east, north, up = street.to_city(np.array([[x, y, height]]))[0].tolist()
    yaw = float((street.heading + bearing + turn) % 360)
    return Camera((east, north, up), yaw, float(focal), float(pitch))


def picture(city: City, view: View, size: int) -> bytes:
    """The JPEG file of a view; the same bytes for the same arguments."""
    if view.level is None:
        return as_jpeg(render(city, view.camera, view.light, size))
    level = level_named(view.level)
    light, things = _scenery(city, view, level)
    rng = np.random.default_rng([view.seed, 3])
    exposed = light.exposed(exposure_gains(level.photo, _brightness(light), rng))
    image = render(city, view.camera, exposed, size, things=things)
    if light.rainfall or light.snowfall:
        image = falling(image, exposed, rng)
    return photograph(image, level.photo, rng, dark=darkness(light))


def darkness(light: Light) -> float:
    """0 by day to 1 at night: how much light a camera lacks."""
    return float(np.clip(1.25 - 2.2 * _brightness(light), 0, 1))


def _brightness(light: Light) -> float:
    return light.ambient[1] + 0.5 * light.sun[1]


def _scenery(city: City, view: View, level: Level) -> tuple[Light, Surfaces | None]:
    """The light of a view of a level, and what comes and goes in it."""
    light = varied(view.light, np.random.default_rng([view.seed, 1]))
    street = city.street_at(view.camera.position)
    rng = np.random.default_rng([view.seed, 2])
    return light, traffic(street, view.camera, level.traffic, rng, umbrellas=light.rainfall > 0)


def covered(city: City, view: View, points: ArrayLike, *, size: int = 224) -> NDArray[np.bool_]:
    """Whether the pixels ``points [N, 2]`` of a view show something else than what always stands there.

    True on cars, people and things close to the camera, and where a tree is bare; ``true_correspondences`` knows of
    none of these.
    """
    pixels = np.asarray(points, np.float64).reshape(-1, 2)
    if view.level is None:
        return np.zeros(len(pixels), np.bool_)
    light, things = _scenery(city, view, level_named(view.level))
    _, always = cast(city, view.camera, pixels, size)
    _, now = cast_with(city, view.camera, pixels, size, light, things)
    different: NDArray[np.bool_] = always != now
    return different


def overlapping(city: City, cameras: list[Camera], *, grid: int = 14) -> NDArray[np.int64]:
    """Pairs ``[M, 2]`` of places that see the same thing, from the first camera of each.

    Two places of a street overlap where at least ``OVERLAP`` of what one of them shows above the ground lies within the
    picture of the other, seen or hidden, no farther away than twice as far.
    """
    axis = (np.arange(grid) + 0.5) / grid
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    by_street: dict[int, list[int]] = {}
    for place in range(len(cameras)):
        by_street.setdefault(city.places[place // DIRECTIONS][0], []).append(place)
    pairs = []
    for members in by_street.values():
        seen = {place: _standing(city, cameras[place], points) for place in members}
        for a, b in combinations(members, 2):
            if max(_share(seen[a], cameras[a], cameras[b]), _share(seen[b], cameras[b], cameras[a])) >= OVERLAP:
                pairs.append((a, b))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _standing(city: City, camera: Camera, points: Floats) -> Floats:
    """World points of what a camera sees that stands higher than the ground."""
    size = 224  # of the picture: far surfaces of a fraction of a pixel are not shown
    world, surface = cast(city, camera, points * size, size)
    world = world[surface >= 0]
    high: Floats = world[world[:, 2] > 0.3]
    return high


def _share(world: Floats, camera: Camera, other: Camera) -> float:
    """The share of the points that camera sees which lie in the other's picture, not much smaller."""
    if not len(world):
        return 0.0
    pixels, depth = other.project(world, 1)
    _, own = camera.project(world, 1)
    inside = (depth > 0) & (depth < 2 * own) & ((pixels >= 0) & (pixels < 1)).all(axis=1)
    return float(inside.mean())
