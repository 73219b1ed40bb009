"""Mapillary Street-Level Sequences as it is published.

    <root>/{train_val,test}/<city>/{query,database}/images/<key>.jpg
    <root>/{train_val,test}/<city>/{query,database}/{seq_info,subtask_index,postprocessed,raw}.csv

``seq_info.csv`` gives the photos and their order (as in mapillary_sls, datasets/msls.py); what the other files say of a
photo is found by its key. Until April 2026 the test cities came without ``postprocessed.csv`` and ``raw.csv``: their
photos have no position then, and which of them are panoramas is not known. What these files lack there is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import utm

from fol.data.coordinates import position_from_utm
from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.data.readers.csv_table import Row, read_rows
from fol.errors import DataError
from fol.types import Place, Position

#: The cities of each part (mapillary_sls, datasets/msls.py, default_cities).
TRAIN_CITIES = (
    *("trondheim", "london", "boston", "melbourne", "amsterdam", "helsinki", "tokyo", "toronto", "saopaulo", "moscow"),
    *("zurich", "paris", "bangkok", "budapest", "austin", "berlin", "ottawa", "phoenix", "goa", "amman", "nairobi"),
    "manila",
)
VAL_CITIES = ("cph", "sf")
TEST_CITIES = ("miami", "athens", "buenosaires", "stockholm", "bengaluru", "kampala")

SUBTASKS = ("all", "s2w", "w2s", "o2n", "n2o", "d2n", "n2d")
_FLAGS = {"True": True, "False": False}
_SAME = 1.0  # metres between the published coordinates and those that latitude and longitude give in the right zone


def read_msls(root: Path, cities: Sequence[str], split: Literal["train_val", "test"] = "train_val") -> PhotoSet:
    """All photos of some cities, city by city in the order given, panoramas and photos outside of all tasks included.

    Names are ``<city>/database/images/<key>.jpg`` and ``<city>/query/images/<key>.jpg``. ``Place.sequence`` is the
    key of the sequence; metadata: ``city``, ``key``, ``frame``, ``subtasks``, and where the files tell them ``pano``,
    ``timestamp`` (the day), ``night`` (True or False), ``view_direction`` and ``note``, which is
    ``{day|night}_{forward|backward|sideways}_{city}`` as VPR-datasets-downloader writes it.

    Positions have the published easting and northing, so distances are those of mapillary_sls. The files name no UTM
    zone. It is taken from latitude and longitude where these give the same metres in one zone for every photo of every
    city; otherwise no position has a zone, and photos of different cities cannot be compared.

    Raises ``DataError`` naming file, line and column, also for a city that is not there and for files of one folder
    that do not have the same keys.
    """
    folder = root / split
    if not folder.is_dir():
        raise DataError(f"{printable(root)}: has no folder {split}: expected {split}/<city>/query and .../database")
    if not cities or len(set(cities)) < len(cities):
        raise DataError(f"cities={', '.join(cities) or 'none'}: name each city of MSLS to read once")
    for city in cities:
        if not (folder / city).is_dir():
            known = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or "none"
            raise DataError(f"{printable(folder / city)}: no such city; cities that are there: {printable(known)}")
    database, queries = (
        [rows for city in cities for rows in _read_side(folder / city / side, split)] for side in ("database", "query")
    )
    zones = _zones([*database, *queries])
    return PhotoSet(
        root,
        tuple(rows.place(zones.get(rows.city)) for rows in database),
        tuple(rows.place(zones.get(rows.city)) for rows in queries),
    )


@dataclass(frozen=True)
class _Rows:
    """What the files in ``folder`` (``.../<city>/<side>``) say of one photo."""

    folder: Path
    city: str
    sequence: Row
    tasks: Row
    postprocessed: Row | None
    raw: Row | None

    @property
    def metres(self) -> tuple[float, float] | None:
        row = self.postprocessed
        return None if row is None else (row.filled("easting"), row.filled("northing"))

    @property
    def degrees(self) -> tuple[float, float] | None:
        row = self.raw
        return None if row is None or not {"lat", "lon"} <= row.cells.keys() else (row.filled("lat"), row.filled("lon"))

    def place(self, zone: str | None) -> Place:
        key = self.sequence.text("key")
        return Place(
            f"{self.city}/{self.folder.name}/images/{key}.jpg",
            self.folder / "images" / f"{key}.jpg",
            self._position(zone),
            sequence=self.sequence.text("sequence_key"),
            metadata=self._metadata(key),
        )

    def _metadata(self, key: str) -> dict[str, str]:
        found = {
            "city": self.city,
            "key": key,
            "frame": str(self.sequence.whole("frame_number")),
            "subtasks": " ".join(task for task in SUBTASKS if _flag(self.tasks, task)),
        }
        if self.postprocessed is not None and {"night", "view_direction"} <= self.postprocessed.cells.keys():
            night, direction = _flag(self.postprocessed, "night"), self.postprocessed.text("view_direction")
            note = f"{'night' if night else 'day'}_{direction.lower()}_{self.city}"
            found |= {"night": str(night), "view_direction": direction, "note": note}
        if self.raw is not None and "pano" in self.raw.cells:
            found["pano"] = str(_flag(self.raw, "pano"))
        if self.raw is not None and "captured_at" in self.raw.cells:
            found["timestamp"] = self.raw.text("captured_at").replace("-", "")
        return found

    def _position(self, zone: str | None) -> Position | None:
        if self.postprocessed is None or self.metres is None:
            return None
        try:
            return position_from_utm(*self.metres, zone, *(self.degrees or (None, None)))
        except DataError as error:
            raise self.postprocessed.error("easting, northing", str(error)) from error


def _read_side(folder: Path, split: str) -> list[_Rows]:
    sequences = _by_key(folder / "seq_info.csv", ("sequence_key", "frame_number"))
    tasks = _by_key(folder / "subtask_index.csv", SUBTASKS, sequences)
    found: list[Mapping[str, Row]] = []
    for file, columns, train_val in (
        ("postprocessed.csv", ("easting", "northing"), ("night", "view_direction")),
        ("raw.csv", (), ("lat", "lon", "captured_at", "pano")),
    ):
        path = folder / file
        if split == "train_val":
            found.append(_by_key(path, (*columns, *train_val), sequences))
        else:
            found.append(_by_key(path, columns, sequences) if path.is_file() else {})
    postprocessed, raw = found
    city = folder.parent.name
    return [
        _Rows(folder, city, row, tasks[key], postprocessed.get(key), raw.get(key)) for key, row in sequences.items()
    ]


def _by_key(path: Path, columns: Sequence[str], expected: Mapping[str, Row] | None = None) -> dict[str, Row]:
    """Rows by key in the order of the file; ``expected`` has the keys that it must have, all of them and no others."""
    if not path.is_file():
        raise DataError(f"{printable(path)}: no such file: unpack metadata.zip of MSLS over the folder")
    rows: dict[str, Row] = {}
    for row in read_rows(path, ("key", *columns), aliases=False):
        key = row.text("key")
        if not key or "/" in key:
            raise row.error("key", f"{key!r} is no key of a photo")
        if rows.setdefault(key, row) is not row:
            raise row.error("key", f"{key!r} is in line {rows[key].line} already")
    if expected is not None and rows.keys() != expected.keys():
        lacking, more = sorted(expected.keys() - rows.keys()), sorted(rows.keys() - expected.keys())
        first = f"lacks the photo {lacking[0]} of seq_info.csv" if lacking else f"has {more[0]}, not in seq_info.csv"
        raise DataError(
            f"{printable(path)}: {printable(first)} ({len(lacking)} lacking, {len(more)} too many): "
            f"unpack metadata.zip of MSLS again"
        )
    return rows


def _zones(photos: Iterable[_Rows]) -> dict[str, str]:
    """UTM zone number of each city; empty unless those of all cities are known."""
    known: dict[str, list[tuple[float, float, float, float]]] = {}
    for photo in photos:
        metres, degrees = photo.metres, photo.degrees
        if metres is None or degrees is None:
            return {}
        known.setdefault(photo.city, []).append((*degrees, *metres))
    zones = {}
    for city, rows in known.items():
        latitude, longitude, *metres_there = np.array(rows).T
        try:
            number = int(utm.latlon_to_zone_number(latitude[0], longitude[0]))
            easting, northing, *_ = utm.from_latlon(latitude, longitude, number)
        except ValueError:  # degrees out of range, or on both sides of the equator
            return {}
        if np.abs(np.array([easting, northing]) - np.array(metres_there)).max() > _SAME:
            return {}
        zones[city] = str(number)
    return zones


def _flag(row: Row, column: str) -> bool:
    text = row.text(column)
    if text not in _FLAGS:
        raise row.error(column, f"{text!r} is neither True nor False")
    return _FLAGS[text]
