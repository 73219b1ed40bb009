"""MATLAB files with the structure ``dbStruct``, field by field as NetVLAD's authors wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

Listed = Sequence[tuple[str, float, float]]


def cells(names: Sequence[str]) -> np.ndarray[Any, Any]:
    """A column of cells with a text each."""
    column = np.empty((len(names), 1), dtype=object)
    column[:, 0] = names
    return column


def fields(which: str, database: Listed, queries: Listed) -> dict[str, Any]:
    """Fields in their published order, coordinates 2xN."""
    return {
        "whichSet": which,
        "dbImageFns": cells([name for name, *_ in database]),
        "utmDb": np.array([point for _, *point in database], np.float64).T,
        "qImageFns": cells([name for name, *_ in queries]),
        "utmQ": np.array([point for _, *point in queries], np.float64).T,
        "numImages": float(len(database)),
        "numQueries": float(len(queries)),
        "posDistThr": 25.0,
        "posDistSqThr": 625.0,
        "nonTrivPosDistSqThr": 100.0,
    }


def write_mat(path: Path, struct: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"dbStruct": struct}, oned_as="row")
    return path
