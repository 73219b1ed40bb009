"""``ground_truth.csv``: which database images are right for a query.

Columns ``query``, ``positives`` and optionally ``ignore`` (database images that count neither for nor against);
others, such as ``exact`` and ``revisit_positives``, are left to whoever needs them. A cell lists names separated by
blanks; where names contain blanks it is a JSON list (``["a b.jpg", "c.jpg"]``), or the one name as it is. Names are
relative to ``database/`` and ``queries/``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fol.data.images import printable
from fol.data.readers.csv_table import Row, read_rows
from fol.data.readers.names import NameIndex
from fol.errors import DataError


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Per query, ascending indices into the database."""

    positives: tuple[NDArray[np.int64], ...]
    ignored: tuple[NDArray[np.int64], ...]


def read_ground_truth(
    path: Path, queries: NameIndex, query_names: Sequence[str], database: NameIndex, *, query_column: str = "query"
) -> GroundTruth:
    """Every query must have one row; empty ``positives`` say that it has none.

    Raises ``DataError`` with file, line and column for a name that is not there, a query named twice, an image both
    positive and ignored, and queries without a row.
    """
    positives: dict[int, NDArray[np.int64]] = {}
    ignored: dict[int, NDArray[np.int64]] = {}
    lines: dict[int, int] = {}
    for row in read_rows(path, [query_column, "positives"]):
        query = queries.find_once(row, query_column, lines, "of the queries")
        positives[query] = _indices(row, "positives", database)
        ignored[query] = _indices(row, "ignore", database)
        both = np.intersect1d(positives[query], ignored[query])
        if both.size:
            name = row.text(query_column)
            raise row.error("ignore", f"{both.size} images are also positives of {name!r}: remove them from one")
    missing = [name for index, name in enumerate(query_names) if index not in lines]
    if missing:
        raise DataError(
            f"{printable(path)}: has no row for {len(missing)} queries, the first is {printable(missing[0])}: "
            f"add them, with empty positives where there are none"
        )
    every = range(len(query_names))
    return GroundTruth(tuple(positives[i] for i in every), tuple(ignored[i] for i in every))


def _indices(row: Row, column: str, database: NameIndex) -> NDArray[np.int64]:
    found = []
    for name in _names(row.text(column), database):
        index = database.find(name)
        if index is None:
            raise row.error(column, f"{name!r} is not an image of the database")
        found.append(index)
    return np.unique(np.array(found, np.int64))


def _names(cell: str, database: NameIndex) -> list[str]:
    if database.find(cell) is not None:
        return [cell]
    if cell.startswith("["):  # which a file name may do as well
        try:
            names = json.loads(cell)
        except ValueError:
            return cell.split()
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    return cell.split()
