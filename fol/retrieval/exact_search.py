"""Exact search of many queries through descriptors that memory does not hold.

All queries go through the file together, block by block, so the file is read once however many there are (as FAISS's
``contrib/exhaustive_search.py`` does); a heap per query keeps its best. The products that decide the order are then
computed anew, one by one: a block's matrix product depends in its last bits on the block's size, and results must not
depend on how much memory there is.
"""

from __future__ import annotations

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from fol.errors import ConfigError
from fol.matching.precision import exact_float32
from fol.retrieval.feature_cache.cache import CachedRows
from fol.types import ProgressCallback

_MARGIN = 16  # rows beyond k that rounding may have put in the wrong order
_LEAST_BLOCK = 256
_MOST_BLOCK_BYTES = 256 << 20


def exact_search(
    queries: CachedRows,
    database: CachedRows,
    k: int,
    *,
    max_ram: int,
    device: torch.device | str = "cpu",
    progress: ProgressCallback | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ``k`` database rows of the largest inner product for each of ``queries``.

    Database ids and similarities, both ``[Q, min(k, N)]``, best first, equal ones in ascending order of ids. Works
    within about ``max_ram`` bytes beside the mapped files; raises ``ConfigError`` when that is too little for a single
    query. ``progress`` counts products of a query and a database row.
    """
    k = min(k, len(database))
    found, similarity = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    if not k or not len(queries):
        return found, similarity
    dim = next(iter(database.stores.values())).dim
    at_once, block = _sizes(len(queries), len(database), dim, k, max_ram)
    margin = min(k + _MARGIN, len(database))
    done = 0
    for start in range(0, len(queries), at_once):
        some = slice(start, start + at_once)
        vectors = queries.read(queries.ids[some])
        heap = faiss.ResultHeap(len(vectors), margin, keep_max=True)
        for ids, rows in database.blocks(block):
            values, positions = _best(vectors, rows, min(margin, len(ids)), torch.device(device))
            heap.add_result(values, np.ascontiguousarray(ids[positions]))
            done += len(vectors) * len(ids)
            if progress:
                progress(done, len(queries) * len(database))
        found[some], similarity[some] = _ordered(vectors, database, np.asarray(heap.I, np.int64), k)
    return found, similarity


def _sizes(queries: int, count: int, dim: int, k: int, max_ram: int) -> tuple[int, int]:
    """Queries and database rows at once."""
    row = 4 * dim
    block = max(min(count, _LEAST_BLOCK), min(max_ram // 4, _MOST_BLOCK_BYTES) // row)
    each = row + 48 * (k + _MARGIN) + 4 * block  # vector, heaps and results, products
    at_once = (max_ram - block * row) // each
    if at_once < 1:
        least = (block * row + each) / 1e9
        raise ConfigError(f"max_ram={max_ram / 1e9:.3g} GB is too little: searching takes {least:.3g} GB at least")
    return min(queries, int(at_once)), int(block)


def _best(
    vectors: NDArray[np.float32], rows: NDArray[np.float32], k: int, device: torch.device
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Products and positions ``[Q, k]`` of the best of ``rows [B, D]``."""
    if device.type != "cuda":
        values, positions = faiss.knn(vectors, np.ascontiguousarray(rows), k, metric=faiss.METRIC_INNER_PRODUCT)
        return values, positions
    with exact_float32(device):
        best = (torch.from_numpy(vectors).to(device) @ torch.tensor(rows, device=device).T).topk(k)
    return best.values.cpu().numpy(), best.indices.cpu().numpy()


def _ordered(
    vectors: NDArray[np.float32], database: CachedRows, candidates: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ``k`` best of ``candidates [Q, M]``, by products that depend on nothing but the two vectors."""
    products = np.empty(candidates.shape, np.float32)
    for query, own in enumerate(candidates):
        rows = database.read(own).astype(np.float64)
        products[query] = np.einsum("d,nd->n", vectors[query].astype(np.float64), rows)
    order = np.lexsort((candidates, -products), axis=-1)[:, :k]
    return np.take_along_axis(candidates, order, 1), np.take_along_axis(products, order, 1)
