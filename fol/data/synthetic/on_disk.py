"""The synthetic city as a data set on disk, with exact ground truth.

``make_city`` writes ``database/`` (by day) and ``queries/`` (other viewpoints, other lights) with coordinates in the
file names, so that every command reads it as any other data set; ``make_city_level`` does so for a difficulty level, or
writes places to train on. ``read_city`` gives back geometry and cameras, from which ``true_correspondences`` follow.
Nothing is downloaded, everything is decided by the seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fol.data.readers.at_names import format_at_name
from fol.data.synthetic.camera import Camera
from fol.data.synthetic.conditions import light_named
from fol.data.synthetic.folder import damaged, read_description, write_city
from fol.data.synthetic.levels import DEFAULT_PLACES, DEFAULT_VIEWS, FIRST_SEED, LevelParameters, Split
from fol.data.synthetic.street import City
from fol.data.synthetic.views import DIRECTIONS, View, city_of, level_cameras, overlapping, picture
from fol.errors import ConfigError
from fol.types import ProgressCallback

#: Where the city lies: a real zone, so that readers and map tools accept it.
ZONE, EASTING, NORTHING = "32T", 420_000.0, 5_250_000.0
#: Directions of the first, second, ... view of a place, degrees from the street's: ahead left and right, then back.
TURNS = (-36.0, 36.0, 180.0 - 36.0, 180.0 + 36.0)


@dataclass(frozen=True)
class CityParameters:
    """Everything that decides a city on disk.

    ``size`` is the images' side in pixels; views are counted per place; queries take their lights by turns.
    """

    places: int = 12
    seed: int = 0
    size: int = 224
    database_views: int = 2
    query_views: int = 2
    database_light: str = "day"
    query_lights: tuple[str, ...] = ("day", "dusk")

    def check(self) -> None:
        """``ConfigError`` for a value out of range."""
        for name, low, high in (
            ("places", 1, 100_000),
            ("seed", 0, FIRST_SEED - 1),
            ("size", 28, 4096),
            ("database_views", 1, len(TURNS)),
            ("query_views", 1, len(TURNS)),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"synthetic city: {name} is {getattr(self, name)}, give a value from {low} to {high}")
        if not self.query_lights:
            raise ConfigError("synthetic city: query_lights is empty, give at least one light")
        for light in (self.database_light, *self.query_lights):
            light_named(light)


def city_views(city: City, parameters: CityParameters) -> tuple[View, ...]:
    """The pictures of a city, place by place.

    A query looks about where the database view of the same number looks, but from 2 to 6 m further along the street,
    across the middle of the road, turned by up to 14 degrees, with another focal length, in the lights of the queries
    by turns.
    """
    views = []
    lights = parameters.query_lights
    for number in range(parameters.places):
        rng = np.random.default_rng([parameters.seed, number, 23])
        for k in range(max(parameters.database_views, parameters.query_views)):
            side, along = rng.choice([-1.0, 1.0]), rng.uniform(-1.5, 1.5)
            first = (side * rng.uniform(0.1, 0.5), along, TURNS[k] + rng.uniform(-6, 6), 0.62)
            step, turn = rng.choice([-1.0, 1.0]) * rng.uniform(2, 6), rng.uniform(-14, 14)
            second = (-side * rng.uniform(0.1, 0.5), along + step, TURNS[k] + turn, rng.uniform(0.56, 0.7))
            pitch = rng.uniform(3, 8, 2)
            if k < parameters.database_views:
                camera = _camera(city, number, *first, float(pitch[0]))
                views.append(_view("database", number, k, camera, parameters.database_light))
            if k < parameters.query_views:
                camera = _camera(city, number, *second, float(pitch[1]))
                views.append(_view("queries", number, k, camera, lights[k % len(lights)]))
    return tuple(views)


def _camera(city: City, place: int, across: float, along: float, turn: float, focal: float, pitch: float) -> Camera:
    """A camera 1.8 m above the road; ``across`` in half road widths, ``along`` in metres from the place."""
    number, y = city.places[place]
    street = city.streets[number]
    east, north, up = street.to_city(np.array([[across * street.road, y + along, 1.8]]))[0].tolist()
    return Camera((east, north, up), (street.heading + turn) % 360, focal, pitch)


def _view(folder: str, place: int, number: int, camera: Camera, light: str) -> View:
    name = format_at_name(
        easting=EASTING + camera.position[0],
        northing=NORTHING + camera.position[1],
        zone=ZONE,
        pano_id=f"place{place:05d}-{folder}{number}",
        heading=camera.yaw,
        note=light,
        extension=".jpg",
    )
    return View(f"{folder}/{name}", place, camera, light)


def make_city(
    out: Path | str,
    *,
    places: int = 12,
    seed: int = 0,
    size: int = 224,
    database_views: int = 2,
    query_views: int = 2,
    database_light: str = "day",
    query_lights: Sequence[str] = ("day", "dusk"),
    progress: ProgressCallback | None = None,
) -> Path:
    """Write a city to the folder ``out`` (see ``CityParameters``) and give the folder.

    ``out`` appears when it is complete: until then the work lies beside it in ``.NAME.partial`` and is continued there
    after an interruption. A complete city with the same parameters is kept as it is. Images are JPEG, named as
    ``format_at_name`` names them; ``city.json`` holds the parameters and every camera. Images of one place
    lie within 25 m of each other, those of different places more than 45 m apart.

    Raises ``ConfigError`` for a parameter out of range, ``DataError`` when ``out`` already holds something else or
    cannot be written.
    """
    parameters = CityParameters(places, seed, size, database_views, query_views, database_light, tuple(query_lights))
    parameters.check()
    city = City.build(places, seed)
    return _write_views(Path(out), city, asdict(parameters), city_views(city, parameters), progress)


def make_city_level(
    out: Path | str,
    level: str = "hard",
    split: Split = "train",
    places: int | None = None,
    seed: int = 0,
    size: int = 224,
    *,
    views: int | None = None,
    headings: int = 1,
    progress: ProgressCallback | None = None,
) -> Path:
    """Write one split of a difficulty level (see ``LEVELS``) to the folder ``out`` and give the folder.

    ``split="train"`` writes ``images/``, ``places.csv`` (image, place_id, condition, street, easting, northing) and
    ``overlapping_places.csv`` (place_a, place_b: they see the same thing, so they are no negatives of each other), with
    ``views`` photos of each place. ``"val"`` and ``"test"`` write ``database/`` by day and ``queries/`` in the level's
    conditions, ``views`` of each place in both, each cut into ``headings`` photos all around. All have a ``city.json``
    for ``read_city``. No two splits and no two seeds share a street or a house. Resumes and refuses as ``make_city``
    does, and raises the same errors.
    """
    parameters = LevelParameters(
        level,
        split,
        DEFAULT_PLACES.get(split, 1) if places is None else places,
        seed,
        size,
        DEFAULT_VIEWS.get(split, 1) if views is None else views,
        headings,
    )
    parameters.check()
    city = city_of(parameters)
    found = level_views(city, parameters)
    return _write_views(Path(out), city, parameters.plain(), found, progress, tables=split == "train")


def level_views(city: City, parameters: LevelParameters) -> tuple[View, ...]:
    """The pictures of a level's split, place by place."""
    views = []
    for place in range(parameters.places):
        for k, (camera, light, seed) in enumerate(level_cameras(city, parameters, place)):
            if parameters.split == "train":
                name = f"images/place{place:05d}-{k:02d}.jpg"
            else:
                panorama = k // parameters.headings
                folder = "database" if panorama < parameters.views else "queries"
                name = _view(folder, place, panorama % parameters.views, camera, light).name
            views.append(View(name, place, camera, light, parameters.level, seed))
    return tuple(views)


def _write_views(
    out: Path,
    city: City,
    parameters: Mapping[str, object],
    views: Sequence[View],
    progress: ProgressCallback | None,
    *,
    tables: bool = False,
) -> Path:
    size = parameters["size"]
    assert isinstance(size, int)
    return write_city(
        out,
        parameters,
        lambda: {
            "utm": {"zone": ZONE, "easting": EASTING, "northing": NORTHING},
            "views": {
                v.name: {"place": v.place, "light": v.light, "level": v.level, "seed": v.seed, **asdict(v.camera)}
                for v in views
            },
        },
        lambda: {v.name: partial(picture, city, v, size) for v in views},
        lambda: _tables(city, views) if tables else {},
        progress,
    )


def _tables(city: City, views: Sequence[View]) -> Mapping[str, str]:
    """The CSV files of a training split."""
    rows = ["image,place_id,condition,street,easting,northing"]
    first: dict[int, Camera] = {}
    for v in views:
        first.setdefault(v.place, v.camera)
        east, north, _ = v.camera.position
        street = city.places[v.place // DIRECTIONS][0]
        rows.append(
            f"{v.name.removeprefix('images/')},{_place_id(v.place)},{v.light},{street},"
            f"{EASTING + east:.2f},{NORTHING + north:.2f}"
        )
    pairs = overlapping(city, [first[place] for place in sorted(first)])
    overlaps = ["place_a,place_b", *(f"{_place_id(a)},{_place_id(b)}" for a, b in pairs.tolist())]
    return {"places.csv": "\n".join(rows) + "\n", "overlapping_places.csv": "\n".join(overlaps) + "\n"}


def _place_id(place: int) -> str:
    return f"place{place:05d}"


def read_city(folder: Path | str) -> tuple[City, int, Mapping[str, View]]:
    """Geometry, image side in pixels, and the views by name of a city that ``make_city(_level)`` wrote.

    Raises ``DataError`` for a folder that is none, is damaged, or was written by another version of the generator.
    """
    described = read_description(folder)
    try:
        found = described["parameters"]
        parameters: CityParameters | LevelParameters
        if "level" in found:
            parameters = LevelParameters(**found)
        else:
            parameters = CityParameters(**{**found, "query_lights": tuple(found["query_lights"])})
        parameters.check()
        views = {
            name: View(
                name,
                v["place"],
                Camera(tuple(v["position"]), float(v["yaw"]), float(v["focal"]), float(v["pitch"])),
                v["light"],
                v["level"],
                v["seed"],
            )
            for name, v in described["views"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise damaged(folder, error) from error
    if isinstance(parameters, LevelParameters):
        return city_of(parameters), parameters.size, views
    return City.build(parameters.places, parameters.seed), parameters.size, views
