"""VPR-Bench's template: Corridor, ESSEX3IN1, SPED, Gardens Point, CrossSeason, Inria Holidays, Nordland, 17 Places ...

    <root>/ref/0000000.jpg ...      database
    <root>/query/0000000.jpg ...    queries
    <root>/ground_truth_new.npy     one row per query: its number, and the numbers of the reference photos

Photos are taken in the order of their numbers and row i belongs to the i-th query (VPR-Bench:
evaluate_vpr_techniques.py and performance_comparison.py, which do not look at the first column).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.data.readers.names import place_name
from fol.data.readers.numbered_images import numbered_images
from fol.data.readers.positives_file import find_positives, read_positives
from fol.errors import DataError
from fol.types import Place

_DATABASE, _QUERIES = "ref", "query"
_TRUTH = ("ground_truth_new", "ground_truth")


def read_vpr_bench(
    root: Path,
    *,
    ground_truth: Path | None = None,
    same_number: bool = False,
    frames_per_query: int | None = None,
    listed: bool = True,
) -> PhotoSet:
    """All photos of a VPR-Bench folder, named relative to ``ref/`` and ``query/``, in the order of their numbers.

    ``listed`` comes from ``ground_truth``, else from ``ground_truth_new`` or the one ``*_gt`` (gsv-cities) in the
    folder, converted or numeric. ``same_number`` looks at no file: right is the reference photo of the query's number,
    as in SPED and ESSEX3IN1 (VPR-datasets-downloader: download_sped.py). With ``frames_per_query`` the metadata
    ``frame`` counts reference photos from 0, query i shows frame ``i * frames_per_query``, and ground truth may be
    missing; with ``listed`` False it is not looked for.

    Raises ``DataError`` for a folder that is missing, photos that are not numbered through, a query without partner,
    and ground truth that is missing, still a pickle, of another length than the queries or out of range.
    """
    for name in (_DATABASE, _QUERIES):
        if not (root / name).is_dir():
            raise DataError(
                f"{printable(root)}: has no folder {name}/: VPR-Bench has {_DATABASE}/ (database) and {_QUERIES}/"
            )
    reference_paths, query_paths = numbered_images(root / _DATABASE), numbered_images(root / _QUERIES)
    if frames_per_query is not None and (len(query_paths) - 1) * frames_per_query >= len(reference_paths):
        raise DataError(
            f"{printable(root)}: {len(query_paths)} queries, one in {frames_per_query} frames, "
            f"are more than {len(reference_paths)} reference photos show: complete the download"
        )
    database = _places(root / _DATABASE, reference_paths, None if frames_per_query is None else 1)
    queries = _places(root / _QUERIES, query_paths, frames_per_query)
    if same_number:
        return PhotoSet(root, database, queries, _partners(root, reference_paths, query_paths))
    truth = _find(root, ground_truth) if listed else None
    if truth is None:
        if frames_per_query is None:
            raise DataError(f"{printable(root)}: has no {_TRUTH[0]}.npy: put the ground truth there")
        return PhotoSet(root, database, queries)
    positives = read_positives(truth, len(queries), len(database), pairs=truth.stem in _TRUTH)
    return PhotoSet(root, database, queries, positives)


def _places(folder: Path, photos: Mapping[int, Path], frames: int | None) -> tuple[Place, ...]:
    return tuple(
        Place(place_name(path, folder), path, metadata={} if frames is None else {"frame": str(index * frames)})
        for index, path in enumerate(photos.values())
    )


def _partners(root: Path, references: Mapping[int, Path], queries: Mapping[int, Path]) -> tuple[NDArray[np.int64], ...]:
    index = {number: i for i, number in enumerate(references)}
    for number, path in queries.items():
        if number not in index:
            raise DataError(f"{printable(path)}: there is no photo {number} in {printable(root / _DATABASE)}")
    return tuple(np.array([index[number]], np.int64) for number in queries)


def _find(root: Path, given: Path | None) -> Path | None:
    if given is not None:
        found = find_positives(given.parent, [given.stem])
        if found is None:
            raise DataError(f"{printable(given)}: no such file")
        return found
    gsv_cities = sorted({path.stem for suffix in (".json", ".npy") for path in root.glob(f"*_gt{suffix}")})
    if len(gsv_cities) > 1:
        raise DataError(f"{printable(root)}: has ground truth of {printable(', '.join(gsv_cities))}: say which")
    return find_positives(root, [*_TRUTH, *gsv_cities])
