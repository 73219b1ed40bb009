"""A benchmark's own download to the layout that the tools of the field read, by hard links: nothing is copied.

    <out>/images/test/database/@<east>@<north>@...@.jpg      the 15 fields of VPR-datasets-downloader
    <out>/images/test/queries/@...@.jpg
    <out>/images/test/database.csv, queries.csv              exact positions, all metadata, the names it had before
    <out>/images/test/ground_truth.csv                       where the benchmark lists its positives

Where no place has a position, and the benchmark numbers frames or pairs its photos one to one, the file names get
made-up coordinates as VPR-datasets-downloader gives them; else the fields of coordinates that are not known stay
empty. The CSV files say nothing that was made up.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fol.data.hard_links import link_photo
from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.data.prepared_names import prepared_names
from fol.data.readers.csv_table import ALIASES
from fol.data.readers.names import utf8_name
from fol.errors import ConfigError, DataError
from fol.files import remove_leftovers, sync_directory, write_atomically, writer_lock
from fol.types import Place, ProgressCallback

_SIDES = ("database", "queries")
_TRUTH = "ground_truth.csv"
_COLUMNS = ("image", "utm_east", "utm_north", "utm_zone", "lat", "lon", "heading", "sequence")
_ORIGINAL = "original"
_TAKEN = frozenset({*_COLUMNS, *ALIASES, "positives"})
_PAIR_SPACING = 1000.0  # metres between pairs, as VPR-datasets-downloader has it
_EVERY = 1000  # photos from one call of progress to the next


@dataclass(frozen=True)
class Prepared:
    """``folder`` holds ``database/`` and ``queries/`` with so many photos.

    ``missing``: files that the download lacks. ``lost_positives``: listed positives of queries that are there whose
    photo is not. ``made_up``: whether the coordinates in the file names are.
    """

    folder: Path
    database: int
    queries: int
    missing: tuple[Path, ...]
    lost_positives: int
    made_up: bool

    @property
    def summary(self) -> str:
        """One line for the user."""
        missing = f", {len(self.missing)} photos are missing" if self.missing else ""
        lost = f", {self.lost_positives} positives with them" if self.lost_positives else ""
        made_up = ", coordinates in file names are made up" if self.made_up else ""
        return f"{self.folder}: {self.database} database, {self.queries} queries{missing}{lost}{made_up}"


def prepare(
    photo_set: PhotoSet,
    out: Path,
    *,
    layout: str = "images/test",
    frame_spacing: float = _PAIR_SPACING,
    progress: ProgressCallback | None = None,
) -> Prepared:
    """Lay ``photo_set`` out in ``out/layout``; nothing but links and CSV files is written.

    ``frame_spacing`` is the distance in metres of the made-up coordinates of neighbouring frames: with the default a
    rule of 25 m takes the same frame alone, with 25 / 10.5 it takes 10 frames to each side. After a kill the same call
    goes on where it was; the CSV files come last. Photos that are missing are left out, and told.

    Raises ``DataError`` when ``out`` is on another file system than a photo (naming both), when a file of the same
    name is another photo or a folder holds photos of something else, and when a side has no photo at all;
    ``ConfigError`` for a layout that leads out of ``out`` and for a spacing that is not above 0.
    """
    if PurePosixPath(layout).is_absolute() or ".." in PurePosixPath(layout).parts:
        raise ConfigError(f"layout={layout!r} must be a folder below the one that is written to, as in images/test")
    if not 0 < frame_spacing < float("inf"):
        raise ConfigError(f"frame_spacing={frame_spacing} must be a number of metres above 0")
    base = out / layout
    sides = (photo_set.database, photo_set.queries)
    northings = _made_up(photo_set, frame_spacing)
    names = [prepared_names(places, made) for places, made in zip(sides, northings, strict=True)]
    total = len(sides[0]) + len(sides[1])
    try:
        for side in _SIDES:
            (base / side).mkdir(parents=True, exist_ok=True)
        with writer_lock(base):
            remove_leftovers(base)
            _check_strangers(base, names, photo_set.listed is not None)
            there: list[NDArray[np.bool_]] = []
            for side, places, own in zip(_SIDES, sides, names, strict=True):
                done = sum(len(kept) for kept in there)
                there.append(_link(base / side, places, own, done, total, progress))
            for side, places, own, kept in zip(_SIDES, sides, names, there, strict=True):
                write_atomically(base / f"{side}.csv", _Table(_sidecar(places, own, kept)))
            lost = 0 if photo_set.listed is None else _write_truth(base / _TRUTH, photo_set.listed, names, there)
    except OSError as error:
        raise DataError(f"{printable(base)}: cannot be written ({error.strerror}): choose another out") from error
    missing = tuple(
        place.image
        for places, kept in zip(sides, there, strict=True)
        for place, here in zip(places, kept.tolist(), strict=True)
        if not here
    )
    made_up = any(northing is not None for northing in northings[0])
    return Prepared(base, int(there[0].sum()), int(there[1].sum()), missing, lost, made_up)


def _made_up(photo_set: PhotoSet, frame_spacing: float) -> tuple[list[float | None], list[float | None]]:
    """Northings for the file names of both sides; None where nothing can be made up that is right."""
    sides = (photo_set.database, photo_set.queries)
    nothing: tuple[list[float | None], list[float | None]] = ([None] * len(sides[0]), [None] * len(sides[1]))
    places = [place for side in sides for place in side]
    if any(place.position is not None for place in places):
        return nothing
    if all(place.metadata.get("frame", "").isdecimal() for place in places):
        frames = [[int(place.metadata["frame"]) for place in side] for side in sides]
        if any(len(set(numbers)) < len(numbers) for numbers in frames):  # of several traverses
            return nothing
        return [number * frame_spacing for number in frames[0]], [number * frame_spacing for number in frames[1]]
    listed = photo_set.listed
    if listed is None or not all(len(row) == 1 for row in listed):
        return nothing
    partners = [int(row[0]) for row in listed]
    if len(set(partners)) < len(partners):
        return nothing
    return [index * _PAIR_SPACING for index in range(len(sides[0]))], [index * _PAIR_SPACING for index in partners]


def _check_strangers(base: Path, names: Sequence[Sequence[str]], listed: bool) -> None:
    """Raises ``DataError`` for what is in the folders and does not belong to this set."""
    for side, own in zip(_SIDES, names, strict=True):
        known = set(own)
        with os.scandir(base / side) as entries:
            strangers = [entry.name for entry in entries if entry.name not in known and not entry.name.startswith(".")]
        if strangers:
            raise DataError(
                f"{printable(base / side)}: holds {len(strangers)} files of something else, the first is "
                f"{printable(min(strangers))}: choose an empty folder for out"
            )
    if not listed and (base / _TRUTH).exists():
        raise DataError(f"{printable(base / _TRUTH)}: belongs to something else: choose an empty folder for out")


def _link(
    folder: Path,
    places: Sequence[Place],
    names: Sequence[str],
    done: int,
    total: int,
    progress: ProgressCallback | None,
) -> NDArray[np.bool_]:
    """Link all photos of one side; ``[N]`` which of them are there."""
    with os.scandir(folder) as entries:
        existing = {entry.name for entry in entries}
    there = np.zeros(len(places), np.bool_)
    for index, (place, name) in enumerate(zip(places, names, strict=True)):
        there[index] = link_photo(place.image, folder, name, exists=name in existing)
        if progress is not None and (index + 1 == len(places) or (index + 1) % _EVERY == 0):
            progress(done + index + 1, total)
    if not there.any():
        first = printable(places[0].image) if places else "there is none"
        raise DataError(
            f"{printable(folder)}: none of its {len(places)} photos is there ({first}): complete the download"
        )
    sync_directory(folder)
    return there


@dataclass(frozen=True)
class _Table:
    """Rows that are written to the path it is called with."""

    rows: Iterator[Sequence[str]]

    def __call__(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(self.rows)


def _sidecar(places: Sequence[Place], names: Sequence[str], there: NDArray[np.bool_]) -> Iterator[Sequence[str]]:
    keys = sorted({key for place in places for key in place.metadata} - {_ORIGINAL})
    for key in keys:
        if key.lower() in _TAKEN:
            raise DataError(f"metadata {key!r} of {printable(places[0].image.parent)} has the name of another column")
    yield (*_COLUMNS, _ORIGINAL, *keys)
    for place, name, here in zip(places, names, there.tolist(), strict=True):
        if here:
            where = place.position
            numbers = (
                ("", "", "", "", "")
                if where is None
                else (where.easting, where.northing, where.zone, where.latitude, where.longitude)
            )
            yield (
                utf8_name(name),
                *("" if value is None else str(value) for value in numbers),
                "" if place.heading is None else str(place.heading),
                place.sequence or "",
                place.metadata.get(_ORIGINAL, place.name),
                *(place.metadata.get(key, "") for key in keys),
            )


def _write_truth(
    path: Path, listed: Sequence[NDArray[np.int64]], names: Sequence[Sequence[str]], there: Sequence[NDArray[np.bool_]]
) -> int:
    """``ground_truth.csv`` of the photos that are there; how many positives are not."""
    lost = 0

    def rows() -> Iterator[Sequence[str]]:
        nonlocal lost
        yield "query", "positives"
        for row, name, here in zip(listed, names[1], there[1].tolist(), strict=True):
            if here:
                found = [utf8_name(names[0][i]) for i in row[there[0][row]].tolist()]
                lost += len(row) - len(found)
                plain = not any(" " in positive for positive in found)
                yield utf8_name(name), " ".join(found) if plain else json.dumps(found)

    write_atomically(path, _Table(rows()))
    return lost
