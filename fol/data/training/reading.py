"""Training sets from disk, whatever their layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fol.data.coordinates import planar_frames
from fol.data.images import printable
from fol.data.readers.gsv_cities import is_gsv_cities, read_gsv_cities
from fol.data.readers.place_folders import OVERLAPPING, PLACES, read_overlapping, read_place_csv, read_place_folders
from fol.data.readers.place_record import PlaceRecord
from fol.data.training.places import TrainingPlaces
from fol.errors import ConfigError, DataError

Format = Literal["auto", "folders", "csv", "gsv_cities"]


def read_training_places(
    root: Path | str,
    *,
    format: Format = "auto",
    min_images: int = 2,
    cities: Sequence[str] | None = None,
    group: str | None = None,
) -> TrainingPlaces:
    """The places of a training set; photos are not opened.

    ``root``: a folder with ``places.csv``, a folder of folders, GSV-Cities, or a CSV file (see
    ``fol.data.readers.place_folders`` and ``fol.data.readers.gsv_cities``). Places with fewer than ``min_images``
    photos are left out. ``cities`` (GSV-Cities only; None: all, by name) in the order given; ``group`` (CSV only): the
    column that groups places, None for the first known one.

    Raises ``DataError`` naming the file for what does not follow its format, a photo that is missing, and a set without
    any place; ``ConfigError`` for options that do not fit the format.
    """
    root = Path(root)
    if min_images < 1:
        raise ConfigError(f"min_images={min_images}: it must be at least 1")
    if format not in get_args(Format):
        raise ConfigError(f"format={format!r} is unknown; choose one of {', '.join(get_args(Format))}")
    if format == "auto":
        format = _find_format(root)
    if cities is not None and format != "gsv_cities":
        raise ConfigError(f"{printable(root)}: cities can be chosen from GSV-Cities only, this is read as {format}")
    if group is not None and format != "csv":
        raise ConfigError(f"{printable(root)}: group names a column of a CSV, but this is read as {format}")
    folder = root
    if format == "gsv_cities":
        records = read_gsv_cities(root, cities)
    elif format == "csv":
        path = root / PLACES if root.is_dir() else root
        folder = path.parent
        records = read_place_csv(path, group)
    else:
        records = read_place_folders(root)
    kept = [record for record in records if len(record.images) >= min_images]
    if not kept:
        most = max((len(record.images) for record in records), default=0)
        raise DataError(
            f"{printable(root)}: none of its {len(records)} places has {min_images} images (the most are {most}): "
            "lower min_images"
        )
    names = [record.name for record in kept]
    pairs = read_overlapping(folder / OVERLAPPING, names, [record.name for record in records])
    return _training_places(folder.absolute().name, kept, pairs)


def _find_format(root: Path) -> Format:
    if is_gsv_cities(root):
        return "gsv_cities"
    return "csv" if root.is_file() or (root / PLACES).is_file() else "folders"


def _training_places(name: str, records: Sequence[PlaceRecord], pairs: Sequence[tuple[int, int]]) -> TrainingPlaces:
    positions, frames = _planar(records)
    return TrainingPlaces(
        name,
        tuple(image for record in records for image in record.images),
        np.repeat(np.arange(len(records)), [len(record.images) for record in records]).astype(np.int64),
        tuple(record.name for record in records),
        tuple(record.group for record in records),
        positions,
        np.array(pairs, np.int64).reshape(-1, 2),
        frames,
    )


def _planar(records: Sequence[PlaceRecord]) -> tuple[NDArray[np.float64] | None, NDArray[np.int64] | None]:
    """Metres and frame of each place."""
    known = {i: record.position for i, record in enumerate(records) if record.position is not None}
    if not known:
        return None, None
    positions, frames = np.full((len(records), 2), np.nan), np.zeros(len(records), np.int64)
    here = np.array(list(known))
    positions[here], frames[here] = planar_frames(list(known.values()))
    return positions, frames
