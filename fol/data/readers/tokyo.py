"""Tokyo 24/7 and Tokyo Time Machine as published: ``.mat`` files and folders of photos.

    tokyo247.mat          <images>/03814/.../<panorama>_012_<degrees>.png, listed as .jpg; 12 views of each panorama
                          <queries>/00001.jpg with 00001.csv beside it (247query_subset_v2)
    tokyoTM_<split>.mat   <images>/.../<place>/<time>/<panorama>_<degrees>_012.jpg, on both sides

The first 22 characters of a view's file name are its panorama (VPR-datasets-downloader, format_tokyo247.py).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from fol.data.coordinates import position_from_latlon
from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.data.readers.dbstruct import DbStruct, Side, load_dbstruct, positions
from fol.data.readers.label import parse_number
from fol.data.readers.listed_images import ListedImages
from fol.errors import DataError
from fol.types import Place, Position

ZONE = "54S"
_VIEW = re.compile(r"(?P<panorama>.{22})_(?:012_(?P<first>\d{1,3})|(?P<second>\d{1,3})_012)")
_STEP = 30  # degrees between the views of a panorama
#: Queries come in threes, in this order (Relja/netvlad, README_more.md), and the CSV files have the letters.
_LIGHT = {"D": "day", "S": "sunset", "N": "night"}


def read_tokyo247(mat: Path, images: Path, queries: Path) -> PhotoSet:
    """Database of ``tokyo247.mat``, 12 views of each panorama; queries as described below.

    Where ``queries`` holds CSV files, they say which queries there are and where, as VPR-datasets-downloader has it:
    one file for each photo, a line of name, latitude, longitude and, sixth, D, S or N. Otherwise the list and the
    coordinates are those of ``mat``. Metadata of the database: ``panorama`` (with its folder) and ``tile_num`` (0 to
    11); of queries: ``note`` (day, sunset or night). The direction of a view is known only relative to its panorama,
    so ``Place.heading`` is None. Names are those of the list on both sides, though the database's files are PNG.

    Raises ``DataError`` naming file, line and field; photos that are missing are left to ``fol data verify``.
    """
    struct = load_dbstruct(mat)
    tables = sorted(path for path in queries.glob("*") if path.suffix.lower() == ".csv") if queries.is_dir() else []
    query_places = _from_tables(tables, queries) if tables else _from_list(struct, queries)
    return PhotoSet(images, _views(struct, struct.database, images, absent=".png"), query_places)


def read_tokyo_tm(mat: Path, images: Path) -> PhotoSet:
    """Photos of ``tokyoTM_train.mat`` or ``tokyoTM_val.mat``, in its order; both sides are below ``images``.

    Metadata: ``panorama`` (with its folder, so that each place and time is another one), ``tile_num`` and
    ``timestamp``, the number that the list gives. Raises ``DataError`` as ``read_tokyo247``, also for a list without
    time stamps: Tokyo Time Machine cannot be used without, as its queries are photos of the database.
    """
    struct = load_dbstruct(mat)
    for field, side in (("dbTimeStamp", struct.database), ("qTimeStamp", struct.queries)):
        if side.times is None:
            raise DataError(f"{printable(mat)}: dbStruct has no field {field}, which Tokyo Time Machine has")
    return PhotoSet(images, _views(struct, struct.database, images), _views(struct, struct.queries, images))


def _views(struct: DbStruct, side: Side, folder: Path, absent: str | None = None) -> tuple[Place, ...]:
    """``absent``: extension of files that are not there, where it is not the listed one."""
    files = ListedImages(folder)
    times: Sequence[str | None] = side.times or [None] * len(side.names)
    places = []
    for name, position, time in zip(side.names, positions(struct, side, ZONE), times, strict=True):
        metadata = _metadata(name)
        if time is not None:
            metadata["timestamp"] = time
        path = files.path(name, struct.path)
        if absent is not None and path == folder / name and not path.is_file():
            path = path.with_suffix(absent)
        places.append(Place(name, path, position, metadata=metadata))
    return tuple(places)


def _metadata(name: str) -> dict[str, str]:
    """Panorama and view; a name of another form stands for its folder, which holds the views of one panorama."""
    folder, _, file = name.rpartition("/")
    view = _VIEW.fullmatch(file.rpartition(".")[0])
    if view is None:
        return {"panorama": folder}
    degrees = int(view["first"] or view["second"])
    return {"panorama": f"{folder}/{view['panorama']}", "tile_num": f"{degrees // _STEP:02d}"}


def _from_list(struct: DbStruct, folder: Path) -> tuple[Place, ...]:
    files = ListedImages(folder)
    side = struct.queries
    lights = list(_LIGHT.values())
    threes = len(side.names) % len(lights) == 0
    return tuple(
        Place(
            name,
            files.path(name, struct.path),
            position,
            metadata={"note": lights[index % len(lights)]} if threes else {},
        )
        for index, (name, position) in enumerate(zip(side.names, positions(struct, side, ZONE), strict=True))
    )


def _from_tables(tables: Sequence[Path], folder: Path) -> tuple[Place, ...]:
    files = ListedImages(folder)
    places: dict[str, Place] = {}
    for path in tables:
        for line, cells in _lines(path):
            place = _query(files, path, line, [cell.strip() for cell in cells])
            if places.setdefault(place.name, place) is not place:
                raise DataError(f"{printable(path)} line {line}: {printable(place.name)} has coordinates already")
    return tuple(places[name] for name in sorted(places))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [(line, cells) for line, cells in enumerate(csv.reader(file), 1) if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{printable(path)}: is not a CSV file of a query ({printable(str(error))})") from error


def _query(files: ListedImages, path: Path, line: int, cells: Sequence[str]) -> Place:
    where = f"{printable(path)} line {line}"
    if len(cells) < 3:
        raise DataError(f"{where}: has {len(cells)} cells, but a query has name, latitude and longitude")
    try:
        position: Position = position_from_latlon(parse_number(cells[1]), parse_number(cells[2]))
    except (ValueError, DataError) as error:
        raise DataError(f"{where}: {printable(str(error))}") from error
    light = cells[5] if len(cells) > 5 else ""
    metadata = {"note": _LIGHT.get(light, light)} if light else {}
    return Place(cells[0], files.path(cells[0], path), position, metadata=metadata)
