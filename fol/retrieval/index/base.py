"""What every index of a map's descriptors is: a recipe that can be built, extended, opened and searched."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from fol.retrieval.descriptor_store import DescriptorStore

Similarities = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class BuiltIndex:
    """Files of an index, in the map's folder, and the parameters that it is opened and extended with (JSON values)."""

    files: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


class DescriptorIndex(ABC):
    """Search by inner product, which is the cosine of the unit vectors in the store.

    An index answers in rows of the ``DescriptorStore``, which holds the truth; rows are never renumbered, and the
    map excludes those that were removed. The similarities are those of the float32 descriptors, whatever the recipe
    keeps in memory to find the rows.
    """

    recipe: ClassVar[str]

    @classmethod
    @abstractmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """Memory that searching takes for each descriptor of ``dim`` components."""

    @classmethod
    @abstractmethod
    def build(
        cls, descriptors: DescriptorStore, folder: Path, generation: int, previous: BuiltIndex | None
    ) -> BuiltIndex:
        """Write into ``folder`` what the recipe needs besides the descriptors.

        Called whenever rows were added; ``previous`` is this recipe's index of the first rows, whose files readers may
        still have open, so changed contents go under new names that carry ``generation``.
        """

    @classmethod
    @abstractmethod
    def open(cls, descriptors: DescriptorStore, folder: Path, built: BuiltIndex) -> Self:
        """Open without reading the descriptors."""

    @abstractmethod
    def search(
        self, queries: NDArray[np.float32], k: int, exclude: NDArray[np.int64] | None = None
    ) -> tuple[Similarities, Rows]:
        """The ``k`` best rows for each of ``queries [Q, D]``: similarities and rows, both ``[Q, min(k, rows left)]``.

        Best first, equal ones in ascending order of rows. ``exclude`` holds rows, ascending and without
        repetition, that are never returned.
        """


def nothing(queries: int) -> tuple[Similarities, Rows]:
    """An answer of no rows for each query."""
    return np.empty((queries, 0), np.float32), np.empty((queries, 0), np.int64)


def merge(answers: Sequence[tuple[Similarities, Rows]], k: int) -> tuple[Similarities, Rows]:
    """The ``k`` best of several answers to the same queries, best first, equal ones in ascending order of rows."""
    similarities = np.concatenate([answer[0] for answer in answers], axis=1)
    rows = np.concatenate([answer[1] for answer in answers], axis=1)
    order = np.lexsort((rows, -similarities), axis=-1)[:, :k]
    return np.take_along_axis(similarities, order, 1), np.take_along_axis(rows, order, 1)


def search_block(
    queries: NDArray[np.float32], start: int, block: NDArray[np.float32], k: int, exclude: NDArray[np.int64]
) -> tuple[Similarities, Rows]:
    """The ``k`` best of ``block [B, D]``, whose first row is row ``start``, exactly; excluded ones have -inf."""
    banned = banned_within(exclude, start, len(block))
    if len(banned) == len(block):
        return nothing(len(queries))
    # Asking for as many more as are banned leaves k good ones; FAISS's own selectors would give up BLAS.
    asked = min(k + len(banned), len(block))
    similarities, rows = faiss.knn(queries, block, asked, metric=faiss.METRIC_INNER_PRODUCT)
    return without(similarities, rows, banned), rows + start


def banned_within(exclude: NDArray[np.int64], start: int, count: int) -> NDArray[np.int64]:
    """Excluded rows among the ``count`` from ``start`` on, counted from there."""
    low, high = np.searchsorted(exclude, [start, start + count])
    return exclude[low:high] - start


def without(similarities: Similarities, rows: Rows, banned: NDArray[np.int64]) -> Similarities:
    """-inf for the banned rows."""
    return np.where(np.isin(rows, banned), np.float32(-np.inf), similarities) if len(banned) else similarities


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    # FAISS would start a team of its own for each of these threads.
    return ThreadPoolExecutor(threads, "search", initializer=faiss.omp_set_num_threads, initargs=(1,))


def search_threads() -> ThreadPoolExecutor:
    """As many threads as FAISS may use, each of which lets FAISS use one; kept, as starting them takes longer than
    a search. A forked child gets its own."""
    return _pool(faiss.omp_get_max_threads(), os.getpid())
