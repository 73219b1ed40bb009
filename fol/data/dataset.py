"""Data sets to evaluate on: a database, queries, and which database images are right for each query."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fol.data.coordinates import within_radius
from fol.data.images import printable
from fol.data.readers.at_layout import find_database
from fol.data.readers.csv_table import read_header
from fol.data.readers.folder import read_places
from fol.data.readers.ground_truth import GroundTruth, read_ground_truth
from fol.data.readers.names import NameIndex
from fol.data.readers.pseudo_utm import read_pseudo_utm
from fol.errors import ConfigError, DataError
from fol.types import Place, Position

#: What happens to queries without any positive.
WithoutPositives = Literal["count_as_miss", "drop"]
#: (database indices, query indices) that are searched together, both ascending.
Groups = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]

_QUERIES = "queries"


@dataclass(frozen=True, eq=False)
class SearchRules:
    """How a protocol searches and counts, beyond which photos are right.

    ``database_groups [N]`` and ``query_groups [Q]``: a query is answered from the database photos of its own group
    alone; None for one group. ``one_per [N]``: of the database photos of one number only the best-ranked counts.
    ``query_short_side``: pixels that queries' shorter sides, and not those of the database, are resized to.
    """

    database_groups: NDArray[np.int64] | None = None
    query_groups: NDArray[np.int64] | None = None
    one_per: NDArray[np.int64] | None = None
    query_short_side: int | None = None

    def groups(self, database: int, queries: int) -> Groups:
        """Which of so many database photos are searched for which of so many queries."""
        if self.database_groups is None or self.query_groups is None:
            return [(np.arange(database), np.arange(queries))]
        return [
            (np.flatnonzero(self.database_groups == group), np.flatnonzero(self.query_groups == group))
            for group in np.unique(self.query_groups).tolist()
        ]

    def counted(self, entries: ArrayLike) -> NDArray[np.int64]:
        """A ranked list of database indices as it is compared with the positives: each number of ``one_per`` once, at
        the rank of its best photo; the indices themselves where every photo counts."""
        found = np.asarray(entries, np.int64).reshape(-1)
        if self.one_per is None:
            return found
        numbers = self.one_per[found]
        return numbers[np.sort(np.unique(numbers, return_index=True)[1])]

    @property
    def most_per_one(self) -> int:
        """How many database photos at most stand behind one that counts."""
        return 1 if self.one_per is None or not len(self.one_per) else int(np.bincount(self.one_per).max())


@dataclass(frozen=True, eq=False)
class PlaceDataset:
    """Database and queries, whose names are relative to the folders that hold them.

    ``positives``: per query the database images that are right, ascending int64 indices; None when there is no ground
    truth. ``ignored``: per query those that count neither for nor against. ``protocol`` names the rule:
    ``ground_truth.csv``, ``utm<=25m`` (inclusive), or ``none``.
    """

    name: str
    root: Path
    database: tuple[Place, ...]
    queries: tuple[Place, ...]
    positives: tuple[NDArray[np.int64], ...] | None
    ignored: tuple[NDArray[np.int64], ...]
    protocol: str
    rules: SearchRules = SearchRules()
    without_positives: WithoutPositives = "count_as_miss"
    positives_within: Mapping[float, tuple[NDArray[np.int64], ...]] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line to check before the work starts: counts, queries without positives, median positives, protocol."""
        counts = f"{self.name}: {len(self.database)} database, {len(self.queries)} queries"
        if self.positives is None:
            return f"{counts}, no ground truth"
        numbers = [len(indices) for indices in self.positives]
        return (
            f"{counts}, {numbers.count(0)} queries without positives, "
            f"median positives {np.median(numbers):g} ({self.protocol})"
        )


def read_dataset(folder: str | os.PathLike[str], *, radius: float = 25.0, radii: Sequence[float] = ()) -> PlaceDataset:
    """The data set in ``folder``: ``database/`` (or ``gallery/``) and ``queries/``.

    They may also be in ``test/`` or ``images/test/``, as benchmarks are laid out.

    Ground truth, the first of: ``ground_truth.csv``; a column ``positives`` in ``queries.csv``; ``pseudo_utm.csv``;
    the places' coordinates; none. With coordinates a database image is right within ``radius`` metres (inclusive),
    and either every image has them or none does on one side: labels in part would quietly turn right answers into
    wrong ones. Where a CSV gives the ground truth its positives hold, and coordinates are only read along. ``radii``
    are further ones to measure recall at; they need coordinates.

    Raises ``DataError`` naming file, line and field, ``ConfigError`` for a radius that makes no sense.
    """
    for metres in (radius, *radii):
        if not 0 <= metres < float("inf"):
            raise ConfigError(f"radius={metres}: it must be a number of metres, 0 or more")
    root = Path(folder)
    base, database_folder = _find_layout(root)
    query_folder = base / _QUERIES
    database, queries = read_places(database_folder), read_places(query_folder)
    ignored: tuple[NDArray[np.int64], ...] = tuple(np.empty(0, np.int64) for _ in queries)
    positives: tuple[NDArray[np.int64], ...] | None = None
    protocol = "none"
    csv = _ground_truth_file(base)
    pseudo = base / "pseudo_utm.csv"
    if csv is not None:
        truth = _listed(csv, database, queries, database_folder.name)
        positives, ignored, protocol = truth.positives, truth.ignored, csv.name
    elif pseudo.is_file():
        splits = read_pseudo_utm(pseudo, {"database": database, "queries": queries})
        database, queries = splits["database"], splits["queries"]
        positives, protocol = _by_distance(base, database, queries, radius), f"pseudo_utm.csv<={radius:g}m"
    else:
        positives = _by_distance(base, database, queries, radius)
        protocol = "none" if positives is None else f"utm<={radius:g}m"
    within = {}
    for metres in radii:
        near = _by_distance(base, database, queries, metres)
        if near is None:
            raise ConfigError(f"{printable(root)}: radii={list(radii)} need coordinates of both sides, there are none")
        within[float(metres)] = near
    return PlaceDataset(
        root.absolute().name, root, database, queries, positives, ignored, protocol, positives_within=within
    )


def _find_layout(root: Path) -> tuple[Path, Path]:
    """(folder of the queries and the CSV files, folder of the database)."""
    shown = printable(root)
    if not root.is_dir():
        raise DataError(f"{shown}: {'is a file, but a folder is needed' if root.exists() else 'no such folder'}")
    found = find_database(root)
    if found is None:
        raise DataError(f"{shown}: is no data set: it needs the folders database/ and {_QUERIES}/")
    base, name = found
    if not (base / _QUERIES).is_dir():
        raise DataError(f"{printable(base)}: has {name}/, but no {_QUERIES}/ beside it")
    return base, base / name


def _ground_truth_file(base: Path) -> Path | None:
    if (base / "ground_truth.csv").is_file():
        return base / "ground_truth.csv"
    queries = base / f"{_QUERIES}.csv"
    return queries if queries.is_file() and "positives" in read_header(queries) else None


def _listed(csv: Path, database: Sequence[Place], queries: Sequence[Place], database_name: str) -> GroundTruth:
    query_names = [place.name for place in queries]
    return read_ground_truth(
        csv,
        NameIndex(query_names, [_QUERIES]),
        query_names,
        NameIndex([place.name for place in database], [database_name]),
        query_column="query" if csv.name == "ground_truth.csv" else "image",
    )


def _by_distance(
    base: Path, database: Sequence[Place], queries: Sequence[Place], radius: float
) -> tuple[NDArray[np.int64], ...] | None:
    if not any(place.position for place in queries) or not any(place.position for place in database):
        return None
    shown, remedy = printable(base), "give them some, move them away, or add a ground_truth.csv"
    centres = all_positions(queries, "queries", shown, remedy)
    points = all_positions(database, "database", shown, remedy)
    try:
        return tuple(within_radius(centres, points, radius))
    except DataError as error:
        raise DataError(f"{shown}: {error}") from error


def all_positions(places: Sequence[Place], side: str, shown: str, remedy: str) -> list[Position]:
    """All positions; raises ``DataError`` (``shown: ...: remedy``) when some are missing."""
    positions = [place.position for place in places if place.position is not None]
    if len(positions) < len(places):
        without = [place.name for place in places if place.position is None]
        raise DataError(
            f"{shown}: {len(without)} of {len(places)} images of the {side} have no coordinates, "
            f"the first is {printable(without[0])}: {remedy}"
        )
    return positions
