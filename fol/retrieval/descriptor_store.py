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

import faiss
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
            self._mapped = mmap.mmap(file, rows * dim * 4, prot=mmap.PROT_READ)
        finally:
            os.close(file)
        self._rows = np.frombuffer(self._mapped, "<f4").reshape(rows, dim)

    def __len__(self) -> int:
        return len(self._rows)

    def blocks(self, rows: int) -> list[tuple[int, NDArray[np.float32]]]:
        """All descriptors as (first row, view ``[<= rows, D]``), without copying."""
        return [(start, self._rows[start : start + rows]) for start in range(0, len(self), rows)]

    def view(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows ``[start, stop)`` without copying."""
        return self._rows[start:stop]

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Copies of some rows ``[N, D]``."""
        self._prefetch(rows)
        return self._rows[rows]

    def products(self, queries: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inner products ``[Q, N]`` of ``queries [Q, D]`` with rows of their own ``[Q, N]``; -inf for rows below 0.

        Reads the mapped file where it lies. A product does not depend on what else is asked for.
        """
        self._prefetch(rows)
        if len(queries) == 1:  # FAISS spreads queries over its threads, so one query is given as several
            parts = min(faiss.omp_get_max_threads(), max(1, rows.shape[1] // 16))
            padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % parts)), constant_values=-1).reshape(parts, -1)
            return _products(np.repeat(queries, parts, 0), self._rows, padded).reshape(1, -1)[:, : rows.shape[1]]
        return _products(queries, self._rows, rows)

    def _prefetch(self, rows: NDArray[np.int64]) -> None:
        """Ask for all pages at once: a cold file that is touched row by row is read one row after the other."""
        size = 4 * self.dim
        if size < mmap.PAGESIZE:
            return
        for row in np.unique(rows[rows >= 0]).tolist():
            start = row * size // mmap.PAGESIZE * mmap.PAGESIZE
            self._mapped.madvise(mmap.MADV_WILLNEED, start, (row + 1) * size - start)


def _products(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    queries, rows = np.ascontiguousarray(queries), np.ascontiguousarray(rows)
    products = np.empty(rows.shape, np.float32)
    faiss.fvec_inner_products_by_idx(
        *map(faiss.swig_ptr, (products, queries, vectors, rows)), queries.shape[1], *rows.shape
    )
    return products


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
