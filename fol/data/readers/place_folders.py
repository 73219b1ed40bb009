"""Training sets of one's own: a folder per place, or a CSV with a place column.

* Folders: ``<root>/<place>/<image>`` or ``<root>/<group>/<place>/<image>``: the folder of a photo is its place.
* CSV: ``<root>/places.csv`` with the columns ``image`` and ``place_id`` (or ``place``), photos in ``<root>/images`` or
  in ``<root>``. Optional: a group (``city``, ``floor``, ``camera``, ...), a date (``date`` or ``timestamp``, or
  ``year`` and ``month``) and coordinates as in every other CSV (``utm_east``, ``utm_north``, ``utm_zone``, ``lat``,
  ``lon``).
* Beside either, optionally: ``<root>/overlapping_places.csv`` with the columns ``place_a`` and ``place_b``: pairs of
  places that see the same thing.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from fol.data.images import list_images, printable
from fol.data.readers.csv_table import Row, read_header, read_rows
from fol.data.readers.names import NameIndex, place_name
from fol.data.readers.place_record import PlaceRecord
from fol.data.readers.sidecar_csv import row_position
from fol.errors import DataError

PLACES = "places.csv"
OVERLAPPING = "overlapping_places.csv"
_PLACE_COLUMNS = ("place_id", "place")
#: Columns that group places, the first that is there counts.
GROUP_COLUMNS = ("group", "city", "city_id", "building", "floor", "street", "camera", "clip", "sequence")


def read_place_folders(root: Path) -> list[PlaceRecord]:
    """Places of a tree of folders, sorted by path; raises ``DataError`` for photos that lie in no place's folder."""
    by_folder: dict[Path, list[Path]] = {}
    for path in list_images(root):
        by_folder.setdefault(path.parent, []).append(path)
    if not by_folder:
        raise DataError(f"{printable(root)}: holds no images; make a folder per place, or a {PLACES}")
    if root in by_folder:
        first = by_folder[root][0].name
        raise DataError(
            f"{printable(root / first)}: lies in no place's folder: make a folder per place, or a {PLACES} with the "
            "columns image and place_id"
        )
    records = []
    for folder, images in by_folder.items():
        group = "" if folder.parent == root else place_name(folder.parent, root)
        records.append(PlaceRecord(place_name(folder, root), tuple(images), group))
    return sorted(records, key=lambda record: record.name)


def read_place_csv(path: Path, group: str | None = None) -> list[PlaceRecord]:
    """Places of a CSV, in the order in which they first occur.

    ``group`` names the column that groups places; None takes the first of ``GROUP_COLUMNS`` that is there. Photos on
    disk without a row are left alone. A place lies where the most recent of its photos with coordinates does. Raises
    ``DataError`` with file, line and column for a photo that is not there or named twice, an empty place, a column that
    is missing, a place in two groups, and coordinates that are none.
    """
    header = read_header(path)
    place_column = next((name for name in _PLACE_COLUMNS if name in header), _PLACE_COLUMNS[0])
    rows = read_rows(path, ["image", place_column])
    group_column = _group_column(path, header, group)
    folder = path.parent / "images"
    folder = folder if folder.is_dir() else path.parent
    images = list_images(folder)
    index = NameIndex([place_name(image, folder) for image in images], prefixes=["images", folder.absolute().name])
    lines: dict[int, int] = {}
    members: dict[str, list[tuple[Row, Path]]] = {}
    for row in rows:
        number, place = index.find_once(row, "image", lines, f"in {folder}"), row.text(place_column)
        if not place:
            raise row.error(place_column, "is empty: every image needs a place")
        members.setdefault(place, []).append((row, images[number]))
    return [_record(place, found, group_column) for place, found in members.items()]


def read_overlapping(path: Path, places: Sequence[str], known: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of indices into ``places``, each once, the smaller first.

    ``known`` are all places of the set, also those that were left out for having too few photos: their pairs are left
    out. An absent file has no pairs. Raises ``DataError`` with file, line and column for a name that is not known.
    """
    if not path.is_file():
        return []
    numbers = {name: index for index, name in enumerate(places)}
    every = set(known)
    pairs = set()
    for row in read_rows(path, ["place_a", "place_b"]):
        for column in ("place_a", "place_b"):
            if row.text(column) not in every:
                raise row.error(column, f"there is no place {row.text(column)!r}{_near(row.text(column), known)}")
        first, second = numbers.get(row.text("place_a")), numbers.get(row.text("place_b"))
        if first is not None and second is not None and first != second:
            pairs.add((min(first, second), max(first, second)))
    return sorted(pairs)


def _record(place: str, found: list[tuple[Row, Path]], group_column: str | None) -> PlaceRecord:
    group = ""
    if group_column is not None:
        group = found[0][0].text(group_column)
        for row, _ in found:
            # a sequence or a clip may well visit a place that another one has seen; a city may not
            if row.text(group_column) != group and group_column not in ("sequence", "clip", "camera"):
                raise row.error(group_column, f"place {place!r} is in {group!r} and in {row.text(group_column)!r}")
    found = sorted(found, key=lambda item: _age(item[0]), reverse=True)  # stable: without dates the file's order
    positions = [row_position(row) for row, _ in found]  # of all rows, so that no mistake in one stays unseen
    position = next((position for position in positions if position is not None), None)
    return PlaceRecord(place, tuple(image for _, image in found), group, position)


def _age(row: Row) -> tuple[float, float, str]:
    return row.number("year") or 0.0, row.number("month") or 0.0, row.text("timestamp") or row.text("date")


def _group_column(path: Path, header: Sequence[str], group: str | None) -> str | None:
    if group is None:
        return next((name for name in GROUP_COLUMNS if name in header), None)
    if group not in header:
        raise DataError(f"{printable(path)}: has no column {group} to group places by; it has {', '.join(header)}")
    return group


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3)
    return f", did you mean {', '.join(near)}?" if near else ""
