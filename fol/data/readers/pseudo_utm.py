"""``pseudo_utm.csv``: made-up coordinates whose distances reproduce a frame-indexed ground truth.

Columns ``split`` (database or queries), ``file``, ``utm_east``, ``utm_north``. They are a local frame, good for
nothing but the ground truth by radius.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fol.data.coordinates import position_from_utm
from fol.data.images import printable
from fol.data.readers.csv_table import read_rows
from fol.data.readers.names import NameIndex
from fol.errors import DataError
from fol.types import Place, Position


def read_pseudo_utm(path: Path, splits: Mapping[str, Sequence[Place]]) -> dict[str, tuple[Place, ...]]:
    """The places of each split (``database``, ``queries``) with the positions of the file.

    Raises ``DataError`` with file, line and column for a split or file that is not there or named twice, for a value
    that is no coordinate, and for places without a row.
    """
    indices = {split: NameIndex([p.name for p in places], [split]) for split, places in splits.items()}
    positions: dict[str, dict[int, Position]] = {split: {} for split in splits}
    for row in read_rows(path, ["split", "file", "utm_east", "utm_north"]):
        split, file = row.text("split"), row.text("file")
        if split not in splits:
            raise row.error("split", f"{split!r} is none of {', '.join(splits)}")
        image = indices[split].find(file)
        if image is None:
            raise row.error("file", f"{file!r} is not an image of {split}")
        if image in positions[split]:
            raise row.error("file", f"{file!r} of {split} has a row already")
        east, north = row.filled("utm_east"), row.filled("utm_north")
        try:
            positions[split][image] = position_from_utm(east, north)
        except DataError as error:
            raise row.error("utm_east, utm_north", str(error)) from error
    for split, places in splits.items():
        missing = [place.name for index, place in enumerate(places) if index not in positions[split]]
        if missing:
            raise DataError(
                f"{printable(path)}: has no row for {len(missing)} images of {split}, "
                f"the first is {printable(missing[0])}"
            )
    return {
        split: tuple(replace(place, position=positions[split][index]) for index, place in enumerate(places))
        for split, places in splits.items()
    }
