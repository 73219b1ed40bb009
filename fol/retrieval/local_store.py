"""Local features of a map: fixed-size records in one file, of which only those asked for are read.

A record holds ``length`` (uint32), ``positions [max_tokens, 2]`` float32, ``weights [max_tokens]`` float16 and
``descriptors [max_tokens, D]`` float16. What lies beyond ``length`` is zero on the disk and never returned.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fol.errors import MapError
from fol.types import LocalFeatures, LocalFeaturesBatch

_LINE = 64  # descriptors start on a cache line
_PAGE = 4096


def record_dtype(max_tokens: int, dim: int) -> np.dtype[np.void]:
    """Layout of one record; large ones fill whole pages, so that reading one touches no other."""
    weights = 16 + 8 * max_tokens
    descriptors = -(-(weights + 2 * max_tokens) // _LINE) * _LINE
    size = descriptors + 2 * max_tokens * dim
    unit = _PAGE if size >= 16 * _PAGE else _LINE
    return np.dtype(
        {
            "names": ["length", "positions", "weights", "descriptors"],
            "formats": ["<u4", ("<f4", (max_tokens, 2)), ("<f2", (max_tokens,)), ("<f2", (max_tokens, dim))],
            "offsets": [0, 16, weights, descriptors],
            "itemsize": -(-size // unit) * unit,
        }
    )


def encode(features: Sequence[LocalFeatures], max_tokens: int, dim: int) -> memoryview:
    """Records of some images, as bytes. Raises ``MapError`` when features do not fit the record or each other."""
    records = np.zeros(len(features), record_dtype(max_tokens, dim))
    for record, local in zip(records, features, strict=True):
        length = len(local)
        if length > max_tokens:
            raise MapError(f"{length} local features in one image, but the model states at most {max_tokens}")
        shapes = tuple(local.descriptors.shape), tuple(local.positions.shape), tuple(local.weights.shape)
        if shapes != ((length, dim), (length, 2), (length,)):
            raise MapError(
                f"local features of shapes {shapes} do not fit a map of {dim}-dimensional ones: "
                "use the model that built the map"
            )
        record["length"] = length
        record["positions"][:length] = _array(local.positions, torch.float32)
        record["weights"][:length] = _array(local.weights, torch.float16)
        record["descriptors"][:length] = _array(local.descriptors, torch.float16)
    return records.view(np.uint8).data


def _array(tensor: Tensor, dtype: torch.dtype) -> NDArray[np.generic]:
    array: NDArray[np.generic] = tensor.detach().to("cpu", dtype).numpy()
    return array


class LocalStore:
    """Read-only access to the records of a file. Opening it reads nothing."""

    def __init__(self, path: Path, max_tokens: int, dim: int, rows: int) -> None:
        self.path = path
        self.max_tokens = max_tokens
        self.dim = dim
        self.rows = rows
        self._dtype = record_dtype(max_tokens, dim)
        # Closed with this object; unbuffered, because only whole records are read, at given offsets.
        self._file = path.open("rb", buffering=0)

    def read(self, rows: Sequence[int] | NDArray[np.int64]) -> LocalFeaturesBatch:
        """Features of some rows, in the order asked for, float32. Nothing but their records is read.

        All records are requested from the disk at once, in the order they lie there, before the first is used:
        100 cold records take what the disk needs to deliver them and not 100 times its latency.
        Raises ``MapError`` for a damaged record.
        """
        wanted = np.asarray(rows, np.int64).reshape(-1)
        size = self._dtype.itemsize
        file = self._file.fileno()
        for row in np.unique(wanted):
            os.posix_fadvise(file, int(row) * size, size, os.POSIX_FADV_WILLNEED)
        lengths = np.array([self._length(row) for row in wanted.tolist()], np.int64).reshape(-1)
        starts = np.concatenate([[0], np.cumsum(lengths)]).tolist()
        descriptors = torch.empty(starts[-1], self.dim)
        positions = torch.empty(starts[-1], 2)
        weights = torch.empty(starts[-1])
        record = np.zeros(1, self._dtype)
        for where in np.argsort(wanted, kind="stable"):
            length, into = int(lengths[where]), slice(starts[where], starts[where + 1])
            self._fill(record, int(wanted[where]))
            descriptors[into] = torch.from_numpy(record["descriptors"][0, :length])
            positions[into] = torch.from_numpy(record["positions"][0, :length])
            weights[into] = torch.from_numpy(record["weights"][0, :length])
        return LocalFeaturesBatch(descriptors, positions, weights, tuple(lengths.tolist()))

    def _length(self, row: int) -> int:
        found = os.pread(self._file.fileno(), 4, row * self._dtype.itemsize)
        length = int.from_bytes(found, "little") if len(found) == 4 else -1
        if not 0 <= length <= self.max_tokens:
            raise MapError(f"{self.path} is damaged at record {row}: build the map again")
        return length

    def _fill(self, record: NDArray[np.void], row: int) -> None:
        size = self._dtype.itemsize
        if os.preadv(self._file.fileno(), [record.view(np.uint8).data], row * size) != size:
            raise MapError(f"{self.path} is truncated at record {row}: build the map again")
