"""Inverted lists: a query visits the lists of the centroids nearest to it, a small share of the map."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index.base import Rows, Similarities, merge, search_threads
from fol.retrieval.index.projection import Projection
from fol.retrieval.index.rabitq import check_fast_scan, reduced_dim
from fol.retrieval.index.refined import SEED, Part, RefinedIndex, trained_axes

_ROW_NUMBER = 8  # bytes
_POINTS_PER_LIST = 64
_LISTS_PER_TASK = 8
_ITERATIONS = 10


class IvfIndex(RefinedIndex):
    """Lists over the leading 1024 principal components, one or two per root of the rows, an eighth of them visited."""

    k_factor = 10
    one_part = True

    @classmethod
    @abstractmethod
    def _lists(cls, quantiser: Any, dim: int, count: int) -> Any:
        """FAISS's index with ``count`` empty lists."""

    @classmethod
    def _train(cls, descriptors: DescriptorStore) -> tuple[Projection, Any, dict[str, Any]]:
        dim, rows = reduced_dim(descriptors.dim), len(descriptors)
        axes, _ = trained_axes(descriptors, dim)
        count = 1 << int(min(rows, 2 * rows**0.5)).bit_length() - 1
        # Read and projected block by block: the sample that many lists need would not fit as it is.
        chosen = np.random.default_rng(SEED).choice(rows, min(rows, _POINTS_PER_LIST * count), replace=False)
        chosen.sort()
        sample = np.concatenate([axes(descriptors.read(chosen[i : i + 1024])) for i in range(0, len(chosen), 1024)])
        codes = cls._lists(faiss.IndexFlatIP(dim), dim, count)
        codes.cp.seed, codes.cp.niter, codes.cp.min_points_per_centroid = SEED, _ITERATIONS, 1
        codes.train(sample)
        return axes, codes, {"dim": dim, "lists": count, "visited": min(count, max(32, count // 8))}

    def _search_part(
        self, part: Part, queries: NDArray[np.float32], k: int, banned: NDArray[np.int64]
    ) -> tuple[Similarities, Rows]:
        codes = part.codes
        # The more rows are asked for the more lists: those visited hold four times as many on average.
        visited = min(codes.nlist, max(self.parameters["visited"], -(-4 * k * codes.nlist // codes.ntotal)))
        selector = part.allowed(banned)
        if len(queries) > 1:
            found: tuple[Similarities, Rows] = codes.search(queries, k, params=self._visit(visited, selector))
            return found
        near, lists = codes.quantizer.search(queries, visited)

        def visit(first: int) -> tuple[Similarities, Rows]:
            some = slice(first, first + _LISTS_PER_TASK)
            here, parameters = lists[:, some], self._visit(lists[:, some].shape[1], selector)
            return _search_lists(codes, queries, k, np.ascontiguousarray(here), near[:, some].copy(), parameters)

        return merge(list(search_threads().map(visit, range(0, visited, _LISTS_PER_TASK))), k)

    def _visit(self, lists: int, selector: Any) -> Any:
        return faiss.SearchParametersIVF(nprobe=lists, sel=selector)


def _search_lists(
    codes: Any, queries: NDArray[np.float32], k: int, lists: Rows, near: Similarities, parameters: Any
) -> tuple[Similarities, Rows]:
    """FAISS's search in lists ``[Q, L]`` whose centroids have the similarities ``near``; its wrapper for arrays takes
    no parameters."""
    similarities, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    asked, given, out = faiss.swig_ptr(queries), map(faiss.swig_ptr, (lists, near)), (similarities, rows)
    codes.search_preassigned_c(len(queries), asked, k, *given, *map(faiss.swig_ptr, out), False, parameters)
    return out


class IvfSq8Index(IvfIndex):
    """Bytes for the components."""

    recipe = "ivf_sq8"
    k_factor = 4

    @classmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """One byte a component, and the row number."""
        return reduced_dim(dim) + _ROW_NUMBER

    @classmethod
    def _lists(cls, quantiser: Any, dim: int, count: int) -> Any:
        kind, metric = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        return faiss.IndexIVFScalarQuantizer(quantiser, dim, count, kind, metric, False)


class IvfRabitqIndex(IvfIndex):
    """A bit a component, scanned with look-up tables in registers."""

    recipe = "ivf_rabitq"

    @classmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """As FAISS lays them out, and the row number."""
        lists = cls._lists(faiss.IndexFlatIP(reduced_dim(dim)), reduced_dim(dim), 1)
        return int(lists.code_size) + _ROW_NUMBER

    @classmethod
    def _lists(cls, quantiser: Any, dim: int, count: int) -> Any:
        check_fast_scan(dim)
        return faiss.IndexIVFRaBitQFastScan(quantiser, dim, count, faiss.METRIC_INNER_PRODUCT)

    def _visit(self, lists: int, selector: Any) -> Any:
        return faiss.IVFRaBitQSearchParameters(nprobe=lists, sel=selector)
