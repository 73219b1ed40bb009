"""Labels in a CSV beside the images.

Columns, by name and in any order: ``image`` (path relative to the folder), ``utm_east, utm_north`` with an optional
``utm_zone`` such as 18T, and/or ``lat, lon`` in degrees; optionally ``heading`` and ``sequence``. All other columns
become metadata. Both pairs may be there: UTM wins where it is given. A row with empty coordinates is an image without
a position, on purpose; an image without a row is an error, because a forgotten row looks the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fol.data.coordinates import position_from_latlon, position_from_utm
from fol.data.images import printable
from fol.data.readers.csv_table import Row, read_header, read_rows
from fol.data.readers.label import Label, normalise_heading
from fol.data.readers.names import NameIndex
from fol.errors import DataError
from fol.types import Position

_COORDINATES = frozenset({"utm_east", "utm_north", "utm_zone", "lat", "lon"})
_USED = _COORDINATES | {"image", "heading", "sequence", "positives"}
_OTHER_FORMATS = frozenset({"ground_truth.csv", "pseudo_utm.csv"})


def find_sidecar(folder: Path) -> Path | None:
    """The CSV that labels the images of ``folder``: one inside it, or the one beside it that has its name.

    It is known by a column of coordinates in its header; other CSV files are left alone, and so is one inside that has
    the name of a sub-folder, whose sidecar it is. Raises ``DataError`` when there is more than one.
    """
    inside = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".csv" and not path.name.startswith(".") and not path.with_suffix("").is_dir()
    ]
    beside = folder.absolute().parent / f"{folder.absolute().name}.csv"
    found = [
        path
        for path in (*sorted(inside), beside)
        if path.is_file() and path.name.lower() not in _OTHER_FORMATS and _COORDINATES & set(read_header(path))
    ]
    if len(found) > 1:
        first, second = (printable(path) for path in found[:2])
        raise DataError(f"{first} and {second}: both have coordinates for the images of one folder; keep one")
    return found[0] if found else None


def read_sidecar(path: Path, folder: Path, names: Sequence[str]) -> list[Label]:
    """One label per image; ``names`` are the images' paths relative to ``folder``.

    Raises ``DataError`` with file, line and column: a missing column, an image that is not there or named twice, an
    image without a row, a value that is no number or out of range.
    """
    rows = read_rows(path, ["image"])
    columns = set(read_header(path))
    for first, second in (("utm_east", "utm_north"), ("lat", "lon")):
        if (first in columns) != (second in columns):
            missing = second if first in columns else first
            raise DataError(f"{printable(path)}: has no column {missing}: coordinates need both {first} and {second}")
    if not columns & {"utm_east", "lat"}:
        raise DataError(f"{printable(path)}: has no coordinates: it needs utm_east and utm_north, or lat and lon")
    index = NameIndex(names, prefixes=[folder.absolute().name])
    labels: list[Label | None] = [None] * len(names)
    lines: dict[int, int] = {}
    for row in rows:
        image = index.find_once(row, "image", lines, f"in {folder}")
        labels[image] = _label(row)
    given = [label for label in labels if label is not None]
    if len(given) < len(names):
        first = names[labels.index(None)]
        raise DataError(
            f"{printable(path)}: has no row for {len(names) - len(given)} of {len(names)} images, the first is "
            f"{printable(first)}: add rows (with empty coordinates where they are not known)"
        )
    return given


def _label(row: Row) -> Label:
    heading = row.number("heading")
    return Label(
        row_position(row),
        None if heading is None else normalise_heading(heading),
        row.text("sequence") or None,
        {column: row.text(column) for column in row.cells if column not in _USED and row.text(column)},
    )


def row_position(row: Row) -> Position | None:
    """The position of a row with any of the columns of coordinates; None where they are empty or not there."""
    east, north = _pair(row, "utm_east", "utm_north")
    latitude, longitude = _pair(row, "lat", "lon")
    if east is not None and north is not None:
        columns, zone = "utm_east, utm_north, utm_zone", row.text("utm_zone") or None
        try:
            return position_from_utm(east, north, zone, latitude, longitude)
        except DataError as error:
            raise row.error(columns, str(error)) from error
    if latitude is not None and longitude is not None:
        try:
            return position_from_latlon(latitude, longitude)
        except DataError as error:
            raise row.error("lat, lon", str(error)) from error
    return None


def _pair(row: Row, first: str, second: str) -> tuple[float | None, float | None]:
    values = row.number(first), row.number(second)
    if (values[0] is None) != (values[1] is None):
        raise row.error(first if values[0] is None else second, "is empty, but the other coordinate is not")
    return values
