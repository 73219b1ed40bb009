"""gsv-cities' validation sets in small: three lists per set, ground truth of uneven length pickled as published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def object_array(rows: Sequence[object]) -> np.ndarray:
    """One object per row, whatever the rows are."""
    array = np.empty(len(rows), object)
    for index, row in enumerate(rows):
        array[index] = row
    return array


def write_npy_set(
    folder: Path,
    name: str,
    database: Sequence[str],
    queries: Sequence[str],
    truth: np.ndarray,
    suffixes: tuple[str, str, str] = ("dbImages", "qImages", "gt"),
) -> Path:
    """Writes the lists and returns the path of the ground truth."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}_{suffixes[0]}.npy", np.array(database))
    np.save(folder / f"{name}_{suffixes[1]}.npy", np.array(queries))
    path = folder / f"{name}_{suffixes[2]}.npy"
    np.save(path, truth, allow_pickle=True)
    return path


def write_nordland_lists(folder: Path) -> Path:
    """30 winter and 3 summer photos; query i shows 10*i and its neighbours, the first has none before it."""
    truth = object_array([[0, 1], np.array([9, 10, 11]), [19, 20, 21]])
    return write_npy_set(
        folder,
        "Nordland",
        [f"ref/{i:07d}.jpg" for i in range(30)],
        [f"query/{i:07d}.jpg" for i in range(3)],
        truth,
    )
