"""Nearest neighbours among the descriptors of a map, behind one small interface.

An index answers in rows of the ``DescriptorStore``, which holds the truth; rows are never renumbered, and the
map excludes those that were removed. A new recipe (scalar quantiser, inverted lists, ...) is a subclass of
``DescriptorIndex`` in ``RECIPES``; one that needs a file of its own writes it in ``build``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from fol.errors import ConfigError
from fol.retrieval.descriptor_store import DescriptorStore

_BLOCK_BYTES = 64 << 20

Similarities = NDArray[np.float32]
Rows = NDArray[np.int64]


class DescriptorIndex(ABC):
    """Search by inner product, which is the cosine of the unit vectors in the store."""

    recipe: ClassVar[str]

    @classmethod
    @abstractmethod
    def build(
        cls, descriptors: DescriptorStore, folder: Path, generation: int, previous: Sequence[str]
    ) -> tuple[str, ...]:
        """Write what the recipe needs besides the descriptors; gives the names of the files in ``folder``.

        Called whenever rows were added; ``previous`` are the files of the smaller index, which readers may still
        have open, so changed contents go under new names that carry ``generation``.
        """

    @classmethod
    @abstractmethod
    def open(cls, descriptors: DescriptorStore, folder: Path, files: Sequence[str]) -> Self:
        """Open without reading the descriptors."""

    @abstractmethod
    def search(
        self, queries: NDArray[np.float32], k: int, exclude: NDArray[np.int64] | None = None
    ) -> tuple[Similarities, Rows]:
        """The ``k`` best rows for each of ``queries [Q, D]``: similarities and rows, both ``[Q, min(k, rows left)]``.

        Best first, equal ones in ascending order of rows. ``exclude`` holds rows, ascending and without
        repetition, that are never returned.
        """


class FlatIndex(DescriptorIndex):
    """Exact: FAISS goes through all descriptors, block by block, straight from the mapped file."""

    recipe = "flat"

    def __init__(self, descriptors: DescriptorStore) -> None:
        self.descriptors = descriptors

    @classmethod
    def build(
        cls, descriptors: DescriptorStore, folder: Path, generation: int, previous: Sequence[str]
    ) -> tuple[str, ...]:
        """Nothing to write: the descriptors are the index."""
        return ()

    @classmethod
    def open(cls, descriptors: DescriptorStore, folder: Path, files: Sequence[str]) -> Self:
        """Open without reading the descriptors."""
        return cls(descriptors)

    def search(
        self, queries: NDArray[np.float32], k: int, exclude: NDArray[np.int64] | None = None
    ) -> tuple[Similarities, Rows]:
        """See ``DescriptorIndex.search``. Beside the mapped file it needs memory for Q x 2k results."""
        excluded = np.empty(0, np.int64) if exclude is None else exclude
        k = min(k, len(self.descriptors) - len(excluded))
        best = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        if k <= 0 or not len(queries):
            return best
        blocks = self.descriptors.blocks(max(256, _BLOCK_BYTES // (4 * self.descriptors.dim)))

        def one(block: tuple[int, NDArray[np.float32]]) -> tuple[Similarities, Rows]:
            return _search_block(queries, *block, k, excluded)

        # FAISS spreads queries, not descriptors, over its threads: for a single query the blocks are spread here.
        threads = min(len(blocks), faiss.omp_get_max_threads()) if len(queries) == 1 else 1
        if threads == 1:
            for block in blocks:
                best = _merge(best, one(block), k)
            return best
        with ThreadPoolExecutor(threads) as pool:
            for found in pool.map(one, blocks):
                best = _merge(best, found, k)
        return best


def _search_block(
    queries: NDArray[np.float32], start: int, block: NDArray[np.float32], k: int, exclude: NDArray[np.int64]
) -> tuple[Similarities, Rows]:
    low, high = np.searchsorted(exclude, [start, start + len(block)])
    banned = exclude[low:high] - start
    if len(banned) == len(block):
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    # Asking for as many more as are banned leaves k good ones; FAISS's own selectors would give up BLAS.
    asked = min(k + len(banned), len(block))
    similarities, rows = faiss.knn(queries, block, asked, metric=faiss.METRIC_INNER_PRODUCT)
    if len(banned):
        similarities = np.where(np.isin(rows, banned), np.float32(-np.inf), similarities)
    return similarities, rows + start


def _merge(first: tuple[Similarities, Rows], second: tuple[Similarities, Rows], k: int) -> tuple[Similarities, Rows]:
    similarities = np.concatenate([first[0], second[0]], axis=1)
    rows = np.concatenate([first[1], second[1]], axis=1)
    order = np.lexsort((rows, -similarities), axis=-1)[:, :k]
    return np.take_along_axis(similarities, order, 1), np.take_along_axis(rows, order, 1)


RECIPES: dict[str, type[DescriptorIndex]] = {FlatIndex.recipe: FlatIndex}


def get_recipe(name: str) -> type[DescriptorIndex]:
    """The index class called ``name``; ``ConfigError`` lists the ones there are."""
    if name not in RECIPES:
        raise ConfigError(f"index recipe {name!r} is unknown: choose one of {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
