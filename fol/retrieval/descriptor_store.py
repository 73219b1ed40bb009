"""Global descriptors of a map: one raw float32 file, row after row, appended to and mapped into memory.

Raw rather than a FAISS file, by measurement (faiss-cpu 1.15.1, 100,000 x 8448 = 3.4 GB, 2 cores): read_index
with ``IO_FLAG_MMAP`` copies a flat index into memory (2.2 s, 3.4 GB); ``IO_FLAG_MMAP_IFC`` maps it in no time
and searches as fast as ``faiss.knn`` over a mapped raw file (0.22 s a query), but an index file cannot be
appended to batch by batch, so a resumable build would need the raw file as well. One thread per block then
brings the query to 0.14 s.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fol.errors import MapError

_UNIT_TOLERANCE = 1e-2  # float16 and bfloat16 descriptors pass, un-normalised ones do not


class DescriptorStore:
    """Read-only view of the first ``rows`` descriptors of a file. Opening it reads nothing."""

    def __init__(self, path: Path, dim: int, rows: int) -> None:
        self.path = path
        self.dim = dim
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mapped = mmap.mmap(file, rows * dim * 4, prot=mmap.PROT_READ)
        finally:
            os.close(file)
        self._rows = np.frombuffer(mapped, "<f4").reshape(rows, dim)

    def __len__(self) -> int:
        return len(self._rows)

    def blocks(self, rows: int) -> list[tuple[int, NDArray[np.float32]]]:
        """All descriptors as (first row, view ``[<= rows, D]``), without copying."""
        return [(start, self._rows[start : start + rows]) for start in range(0, len(self), rows)]

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Copies of some rows ``[N, D]``."""
        return self._rows[rows]


def as_descriptors(vectors: Tensor | NDArray[np.floating] | Sequence[Tensor], dim: int) -> NDArray[np.float32]:
    """Check unit vectors and bring them to float32 ``[N, D]``; one vector ``[D]`` gives ``[1, D]``.

    Raises ``MapError`` for another dimension, values that are not finite and vectors that are not of unit length.
    """
    if isinstance(vectors, Sequence):
        vectors = np.stack([v.detach().float().cpu().numpy() for v in vectors])
    elif isinstance(vectors, Tensor):
        vectors = vectors.detach().float().cpu().numpy()
    array = np.ascontiguousarray(np.atleast_2d(vectors), np.float32)
    if array.ndim != 2 or array.shape[1] != dim:
        raise MapError(
            f"descriptor of shape {list(np.shape(vectors))} given to a map of {dim}-dimensional ones: "
            "use the model that built the map"
        )
    norms = np.linalg.norm(array, axis=1)
    if not np.isfinite(norms).all():
        raise MapError("descriptor holds values that are not finite: check the image and the model's weights")
    if (abs(norms - 1) > _UNIT_TOLERANCE).any():
        worst = float(norms[abs(norms - 1).argmax()])
        raise MapError(f"descriptor has length {worst:.3g} instead of 1: normalise it (L2) before the map sees it")
    return array
