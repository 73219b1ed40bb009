"""GSV-Cities, the street-view training set, as it is published.

    <root>/Dataframes/<City>.csv    place_id, year, month, northdeg, city_id, lat, lon, panoid
    <root>/Images/<City>/<city_id>_<place_id:07d>_<year:04d>_<month:02d>_<northdeg:03d>_<lat>_<lon>_<panoid>.jpg

File names hold the coordinates as Python prints the float64 of the CSV (48.10 is written 48.1). Numbers of places begin
anew in each city; over all cities a place is ``place_id + 100000 * index of its city`` (official:
GSVCitiesDataset.py:59-76,123-140). Places with too few photos are left to ``read_training_places``.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fol.data.coordinates import position_from_latlon
from fol.data.images import printable
from fol.data.readers.csv_table import Row, read_rows
from fol.data.readers.place_record import PlaceRecord
from fol.errors import ConfigError, DataError

_TABLES, _IMAGES = "Dataframes", "Images"
_COLUMNS = ("place_id", "year", "month", "northdeg", "city_id", "lat", "lon", "panoid")
#: Places of the city of index i are numbered from i times this.
CITY_STRIDE = 10**5


def is_gsv_cities(root: Path) -> bool:
    """Whether a folder has the layout of GSV-Cities."""
    return (root / _TABLES).is_dir() and (root / _IMAGES).is_dir()


def read_gsv_cities(root: Path, cities: Sequence[str] | None = None) -> list[PlaceRecord]:
    """All places of the chosen cities (None: of all, by name), city by city, by number.

    In each place the most recent photo first: by year, month and latitude, descending, as the published loader takes
    them (official: GSVCitiesDataset.py:94-99). The name of a place is its number over all cities, seven digits, which
    the order of ``cities`` decides. The position of a place is that of its first photo.

    Raises ``ConfigError`` for a city that is not there or named twice, ``DataError`` naming file, line and column for a
    value that is no number, and for a photo that is missing.
    """
    tables = root / _TABLES
    if not tables.is_dir():
        raise DataError(f"{printable(root)}: has no folder {_TABLES}: it is not GSV-Cities")
    known = sorted(path.stem for path in tables.iterdir() if path.suffix == ".csv" and not path.name.startswith("."))
    if cities is None:
        cities = known
    if not cities:
        raise DataError(f"{printable(tables)}: holds no city (City.csv)" if not known else "cities is empty: name some")
    for city in cities:
        if city not in known:
            near = difflib.get_close_matches(city, known, n=3, cutoff=0.5) or known
            raise ConfigError(f"{printable(tables)}: has no city {city!r}; did you mean {', '.join(near)}?")
        if list(cities).count(city) > 1:
            raise ConfigError(f"cities names {city!r} twice")
    return [record for index, city in enumerate(cities) for record in _read_city(root, city, index)]


class _Photo(NamedTuple):
    """A row with its numbers read."""

    row: Row
    place: int
    year: int
    month: int
    north: int
    lat: float
    lon: float

    @staticmethod
    def read(row: Row) -> _Photo:
        """Raises ``DataError`` naming the cell that is no number."""
        place, year, month, north = (row.whole(column) for column in ("place_id", "year", "month", "northdeg"))
        return _Photo(row, place, year, month, north, row.filled("lat"), row.filled("lon"))

    def name(self, lat: str, lon: str) -> str:
        """File name with its published extension (official: GSVCitiesDataset.py:123-140)."""
        return (
            f"{self.row.text('city_id')}_{str(self.place % CITY_STRIDE).zfill(7)}_{str(self.year).zfill(4)}_"
            f"{str(self.month).zfill(2)}_{str(self.north).zfill(3)}_{lat}_{lon}_{self.row.text('panoid')}.jpg"
        )

    def file(self, files: Mapping[str, str]) -> str | None:
        """By the published name, else with the coordinates as the CSV writes them."""
        published = files.get(self.name(str(self.lat), str(self.lon)))
        return published or files.get(self.name(self.row.text("lat"), self.row.text("lon")))


def _read_city(root: Path, city: str, index: int) -> list[PlaceRecord]:
    folders: dict[str, tuple[Path, Mapping[str, str]]] = {}
    members: dict[int, list[tuple[_Photo, Path]]] = {}
    for row in read_rows(root / _TABLES / f"{city}.csv", _COLUMNS):
        code = row.text("city_id")  # the name of the folder in the published loader: the same as the city's
        if code not in folders:
            folders[code] = root / _IMAGES / code, _files(root / _IMAGES / code)
        folder, files = folders[code]
        photo = _Photo.read(row)
        found = photo.file(files)
        if found is None:
            path = folder / photo.name(str(photo.lat), str(photo.lon))
            raise row.error("panoid", f"the image {path} is missing: complete the download")
        members.setdefault(photo.place, []).append((photo, folder / found))
    records = []
    for place, photos in sorted(members.items()):
        photos.sort(key=lambda item: (item[0].year, item[0].month, item[0].lat), reverse=True)  # stable all the same
        first = photos[0][0]
        try:
            position = position_from_latlon(first.lat, first.lon)
        except DataError as error:
            raise first.row.error("lat, lon", str(error)) from error
        name = str(place % CITY_STRIDE + index * CITY_STRIDE).zfill(7)
        records.append(PlaceRecord(name, tuple(path for _, path in photos), city, position))
    return records


def _files(folder: Path) -> Mapping[str, str]:
    """Names of the files in a folder, listed once, by their lower-case extension (names differ in case otherwise)."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (half a million names: no need of a Path each)
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot be read ({error.strerror}): unpack the images there") from error
    return {_folded(name): name for name in sorted(names)}


def _folded(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return f"{stem}{dot}{extension.lower()}"
