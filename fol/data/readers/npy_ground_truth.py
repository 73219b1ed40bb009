"""Image lists and ground truth as ``.npy`` files: gsv-cities and all repositories that took its validation sets over.

    <set>_dbImages.npy, <set>_qImages.npy, <set>_gt.npy or <set>_gt_25m.npy       gsv-cities, MixVPR, SALAD, Pair-VPR
    <set>_ref_image_names.npy, <set>_query_image_names.npy, <set>_ground_truth_25m.npy                      OpenVPRLab
    msls_val_dbImages.npy, msls_val_qImages.npy, msls_val_qIdx.npy, msls_val_pIdx.npy      (queries: qImages[qIdx])

Image lists are arrays of texts, paths relative to the data set's own folder (``ref/0000000.jpg``); ground truth has a
row of database indices for each query. Known from the loaders of gsv-cities (``dataloaders/val/``) and OpenVPRLab
(``src/dataloaders/valid/``); of the published files only their shapes were seen.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.data.readers.listed_images import ListedImages
from fol.data.readers.names import utf8_name
from fol.data.readers.positives_file import find_positives, read_index, read_names, read_positives
from fol.errors import DataError
from fol.types import Place

_DATABASE = ("dbImages", "ref_image_names")
_QUERIES = ("qImages", "query_image_names")
_TRUTH = ("gt", "gt_25m", "ground_truth_25m", "ground_truth", "pIdx")
_SUBSET = "qIdx"


def read_npy_ground_truth(root: Path, name: str, lists: Path | None = None) -> PhotoSet:
    """The set ``name`` (``SPED``, ``pitts30k_val``, ...) whose images are below ``root``.

    ``lists`` is the folder of the ``.npy`` files (None: ``root``). Places are in the order of the lists and named as
    there; ``listed`` are the positives. Raises ``DataError`` for a list that is missing, naming what was looked for,
    for ground truth that is still a pickle, that has another length than the queries or an index out of range.
    """
    folder = root if lists is None else lists
    images = ListedImages(root)
    database_list, query_list = _find(folder, name, _DATABASE), _find(folder, name, _QUERIES)
    database, queries = _places(database_list, images), _places(query_list, images)
    subset = folder / f"{name}_{_SUBSET}.npy"
    if subset.is_file():
        queries = tuple(queries[i] for i in read_index(subset, len(queries)))
    truth = find_positives(folder, [f"{name}_{suffix}" for suffix in _TRUTH])
    if truth is None:
        raise _missing(folder, name, _TRUTH)
    return PhotoSet(root, database, queries, read_positives(truth, len(queries), len(database)))


def _find(folder: Path, name: str, suffixes: tuple[str, ...]) -> Path:
    for suffix in suffixes:
        path = folder / f"{name}_{suffix}.npy"
        if path.is_file():
            return path
    raise _missing(folder, name, suffixes)


def _missing(folder: Path, name: str, suffixes: tuple[str, ...]) -> DataError:
    wanted = " or ".join(f"{name}_{suffix}.npy" for suffix in suffixes)
    if not folder.is_dir():
        return DataError(f"{printable(folder)}: no such folder; it should hold {wanted}")
    there = sorted({path.name.rpartition("_")[0] for path in folder.glob("*_*.npy")})
    return DataError(
        f"{printable(folder)}: has no {wanted}"
        + (f" (it has files of {printable(', '.join(there[:10]))})" if there else "")
    )


def _places(path: Path, images: ListedImages) -> tuple[Place, ...]:
    names = [name.replace("\\", "/").removeprefix("./") for name in read_names(path)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{printable(path)}: lists {twice[0]!r} twice")
    if not names:
        raise DataError(f"{printable(path)}: lists no image")
    return tuple(Place(utf8_name(name), images.path(name, path)) for name in names)
