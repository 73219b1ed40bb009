"""The synthetic city as a data set on disk, with exact ground truth.

``make_city`` writes ``database/`` (by day) and ``queries/`` (other viewpoints, other lights) with coordinates in the
file names, so that every command reads it as any other data set; ``read_city`` gives back geometry and cameras, from
which ``true_correspondences`` follow. Nothing is downloaded, everything is decided by the seed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fol.data.images import printable
from fol.data.readers.at_names import format_at_name
from fol.data.synthetic.camera import Camera
from fol.data.synthetic.light import light_named
from fol.data.synthetic.render import render
from fol.data.synthetic.street import City
from fol.errors import ConfigError, DataError
from fol.types import ProgressCallback

#: Raised whenever the same parameters give other pictures than before, so that no stale city passes for a new one.
GENERATOR = 1
DESCRIPTION = "city.json"
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
            ("seed", 0, 2**31 - 1),
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


@dataclass(frozen=True)
class View:
    """One picture: ``name`` relative to the city's folder, number of its place, camera, name of its light."""

    name: str
    place: int
    camera: Camera
    light: str


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
    out = Path(out)
    if _is_complete(out, parameters):
        return out
    city = City.build(places, seed)
    views = city_views(city, parameters)
    description = {
        "generator": GENERATOR,
        "parameters": asdict(parameters),
        "utm": {"zone": ZONE, "easting": EASTING, "northing": NORTHING},
        "views": {v.name: {"place": v.place, "light": v.light, **asdict(v.camera)} for v in views},
    }
    partial = out.parent / f".{out.name}.partial"
    try:
        if partial.is_dir() and _parameters_of(partial) not in (None, _parameters(parameters)):
            shutil.rmtree(partial)  # left by an interrupted run for another city
        for folder in ("database", "queries"):
            (partial / folder).mkdir(parents=True, exist_ok=True)
        _write(partial / DESCRIPTION, json.dumps(description, indent=1).encode())
        _to_disk(partial / DESCRIPTION)  # before any image: it says what they belong to
        for done, view in enumerate(views):
            path = partial / view.name
            if not _is_whole(path):
                _write(path, _jpeg(render(city, view.camera, view.light, size)))
            if progress is not None:
                progress(done + 1, len(views))
        for leftover in partial.rglob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        for view in views:
            _to_disk(partial / view.name)
        partial.replace(out)
    except FileNotFoundError:
        # another process that made the same city was faster and has renamed the folder under our feet
        if not _is_complete(out, parameters):
            raise
    except OSError as error:
        raise DataError(f"{printable(out)} cannot be written ({error.strerror}): choose another folder") from error
    return out


def read_city(folder: Path | str) -> tuple[City, int, Mapping[str, View]]:
    """Geometry, image side in pixels, and the views by name of a city that ``make_city`` wrote.

    Raises ``DataError`` for a folder that is none, is damaged, or was written by another version of the generator.
    """
    path = Path(folder) / DESCRIPTION
    shown = printable(path)
    try:
        described = json.loads(path.read_text())
        version = described["generator"]
        if version != GENERATOR:
            raise DataError(
                f"{shown}: made by generator {version}, this fol has {GENERATOR}: delete the folder, make it anew"
            )
        found = described["parameters"]
        parameters = CityParameters(**{**found, "query_lights": tuple(found["query_lights"])})
        parameters.check()
        views = {
            name: View(
                name,
                v["place"],
                Camera(tuple(v["position"]), float(v["yaw"]), float(v["focal"]), float(v["pitch"])),
                v["light"],
            )
            for name, v in described["views"].items()
        }
    except FileNotFoundError as error:
        raise DataError(f"{shown} does not exist: this is no folder that make_city wrote") from error
    except OSError as error:
        raise DataError(f"{shown} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise DataError(f"{shown} is damaged ({error!r}): delete the folder and make it anew") from error
    return City.build(parameters.places, parameters.seed), parameters.size, views


def _parameters(parameters: CityParameters) -> dict[str, object]:
    plain: dict[str, object] = json.loads(json.dumps(asdict(parameters)))  # as it reads back from the file
    return {"generator": GENERATOR, **plain}


def _parameters_of(folder: Path) -> dict[str, object] | None:
    """What the description in a folder says of it; None where there is no readable one."""
    try:
        described = json.loads((folder / DESCRIPTION).read_text())
        return {"generator": described["generator"], **described["parameters"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_complete(out: Path, parameters: CityParameters) -> bool:
    """Whether ``out`` is this city already; ``DataError`` when it is something else."""
    if not out.exists() or (out.is_dir() and next(out.iterdir(), None) is None):
        return False
    found, wanted = _parameters_of(out), _parameters(parameters)
    if found == wanted:
        return True
    if found is None:
        raise DataError(f"{printable(out)} exists and is not a synthetic city: choose another folder")
    other = ", ".join(f"{k} {found.get(k)} instead of {v}" for k, v in wanted.items() if found.get(k) != v)
    raise DataError(f"{printable(out)} holds another synthetic city ({other}): delete it or choose another folder")


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=92)
    return encoded.getvalue()


def _is_whole(path: Path) -> bool:
    """Whether an interrupted run left the whole image: a power cut can leave a file that is too short."""
    return path.exists() and path.read_bytes().endswith(b"\xff\xd9")


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{os.getpid()}-{path.name[-80:]}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _to_disk(path: Path) -> None:
    """Wait until a file is safe; done for all at the end, which is much faster than one by one."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
