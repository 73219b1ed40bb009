"""Local features that other programs extracted (ASLFeat, SuperPoint, DISK, ...), from hloc's HDF5 files.

One group per image, named by the image's path: ``keypoints [N, 2]`` (x, y) in pixels of the original image,
``descriptors [D, N]``, ``scores [N]`` where the detector has any, ``image_size [2]``. Source: cvg/Hierarchical-
Localization ``extract_features.py``. ``fol.rerank`` takes what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from fol.errors import ConfigError, DataError
from fol.hdf5 import import_h5py
from fol.types import LocalFeatures

#: How a detector's score becomes a weight in [0, 1]. ``clipped``: the score, limited to [0, 1], for detectors that give
#: probabilities (SuperPoint). ``relative``: divided by the image's greatest, then limited, for scores without a scale
#: (ASLFeat, DISK, SIFT). ``equal``: 1 for every feature, as for files without scores.
Weighting = Literal["clipped", "relative", "equal"]
_WEIGHTINGS = ("clipped", "relative", "equal")
#: hloc's pixel centres are at whole numbers, ours at halves: positions count from the image's top-left corner.
_HALF_PIXEL = 0.5


def local_feature_names(path: Path) -> list[str]:
    """Names of the images that a file has features of, sorted."""
    with _opened(path) as file:
        return sorted(_groups(file))


def read_local_features(
    path: Path, names: Sequence[str] | None = None, weighting: Weighting = "clipped"
) -> Iterator[tuple[str, LocalFeatures]]:
    """Name and features of each image, in the order of ``names`` (default: all, sorted), one image in memory at a time.

    Descriptors come out as unit rows in float32; a row of zeros stays one, and counts as padding when re-ranking.
    Raises ``DataError`` naming file, image and what is wrong; ``ConfigError`` where h5py is missing or ``weighting`` is
    unknown.
    """
    if weighting not in _WEIGHTINGS:
        raise ConfigError(f"weighting {weighting!r} is unknown; choose {', '.join(_WEIGHTINGS)}")
    with _opened(path) as file:
        for name in sorted(_groups(file)) if names is None else names:
            if name not in file or "keypoints" not in file[name]:
                raise DataError(f"{path}: no local features of {name!r}; extract them, or leave the image out")
            yield name, _features(path, name, file[name], weighting)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    h5py = import_h5py(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not a readable HDF5 file ({' '.join(str(error).split())[:100]})") from error
    with file:
        yield file


def _groups(file: Any) -> list[str]:
    """Paths of the groups that hold keypoints: a name with slashes is a group within groups."""
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        if name.endswith("/keypoints"):
            names.append(name.removesuffix("/keypoints"))

    file.visititems(visit)
    return names


def _features(path: Path, name: str, group: Any, weighting: Weighting) -> LocalFeatures:
    def array(key: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        if key not in group:
            raise DataError(f"{path}: {name}: no {key}")
        values = np.asarray(group[key], np.float32)
        if not np.isfinite(values).all():
            raise DataError(f"{path}: {name}: {key} has values that are not finite")
        return values

    keypoints, descriptors = array("keypoints"), array("descriptors")
    scores = array("scores") if weighting != "equal" and "scores" in group else np.ones(len(keypoints), np.float32)
    count = len(keypoints)
    if keypoints.shape != (count, 2) or descriptors.ndim != 2 or descriptors.shape[1] != count:
        raise DataError(
            f"{path}: {name}: keypoints {list(keypoints.shape)} and descriptors {list(descriptors.shape)} are not "
            "[N, 2] and [D, N]"
        )
    if scores.shape != (count,):
        raise DataError(f"{path}: {name}: scores are {list(scores.shape)}, not [{count}]")
    if weighting == "relative" and count:
        scores = scores / max(float(scores.max()), float(np.finfo(np.float32).tiny))
    return LocalFeatures(
        functional.normalize(torch.from_numpy(np.ascontiguousarray(descriptors.T)), dim=1),
        torch.from_numpy(keypoints + np.float32(_HALF_PIXEL)),
        torch.from_numpy(scores.clip(0, 1)),
    )
