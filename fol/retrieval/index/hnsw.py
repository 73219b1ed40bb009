"""A graph of near neighbours that a query walks through: the fastest search, the slowest build."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index.base import Rows, Similarities
from fol.retrieval.index.projection import Projection
from fol.retrieval.index.refined import Part, RefinedIndex, trained_axes

_DIM = 512
_NEIGHBOURS = 32
_BUILD_BREADTH, _SEARCH_BREADTH = 80, 256


class HnswIndex(RefinedIndex):
    """Bytes of the leading 512 principal components, 32 neighbours each (Malkov and Yashunin, 2018)."""

    recipe = "hnsw"
    k_factor = 4
    one_part = True

    @classmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """One byte a component, and twice the neighbours' row numbers."""
        return min(dim, _DIM) + 2 * 4 * _NEIGHBOURS

    @classmethod
    def _train(cls, descriptors: DescriptorStore) -> tuple[Projection, Any, dict[str, Any]]:
        dim = min(descriptors.dim, _DIM)
        axes, sample = trained_axes(descriptors, dim)
        codes = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        codes.hnsw.efConstruction = _BUILD_BREADTH
        codes.train(axes(sample))
        return axes, codes, {"dim": dim, "neighbours": _NEIGHBOURS, "breadth": _SEARCH_BREADTH}

    @classmethod
    def _add(cls, codes: Any, vectors: NDArray[np.float32]) -> None:
        # Several threads would link the graph in an order that differs from run to run.
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            codes.add(vectors)
        finally:
            faiss.omp_set_num_threads(threads)

    def _search_part(
        self, part: Part, queries: NDArray[np.float32], k: int, banned: NDArray[np.int64]
    ) -> tuple[Similarities, Rows]:
        parameters = faiss.SearchParametersHNSW(
            efSearch=max(self.parameters["breadth"], 2 * k), sel=part.allowed(banned)
        )
        found: tuple[Similarities, Rows] = part.codes.search(queries, k, params=parameters)
        return found
