"""Every component with fewer bits: ``sq8`` (a fourth of the memory of flat) and ``fp16`` (half)."""

from __future__ import annotations

from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index.base import Rows, Similarities, merge, nothing, search_block
from fol.retrieval.index.projection import Projection
from fol.retrieval.index.refined import Part, RefinedIndex, training_sample

_BATCH = 16
_DECODED = 2048


class Sq8Index(RefinedIndex):
    """Bytes, between each component's smallest and largest value in the sample."""

    recipe = "sq8"
    k_factor = 2
    quantiser: ClassVar[int] = faiss.ScalarQuantizer.QT_8bit

    @classmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """One byte a component."""
        return dim

    @classmethod
    def _train(cls, descriptors: DescriptorStore) -> tuple[Projection, Any, dict[str, Any]]:
        codes = faiss.IndexScalarQuantizer(descriptors.dim, cls.quantiser, faiss.METRIC_INNER_PRODUCT)
        codes.train(training_sample(descriptors))
        return Projection(), codes, {}

    def _search_part(
        self, part: Part, queries: NDArray[np.float32], k: int, banned: NDArray[np.int64]
    ) -> tuple[Similarities, Rows]:
        if len(queries) < _BATCH:
            return super()._search_part(part, queries, k, banned)
        # FAISS would decode every code for every query; decoded once, all queries share a matrix product.
        best = nothing(len(queries))
        for start in range(0, part.codes.ntotal, _DECODED):
            decoded = part.codes.reconstruct_n(start, min(_DECODED, part.codes.ntotal - start))
            best = merge([best, search_block(queries, start, decoded, k, banned)], k)
        return best


class Fp16Index(Sq8Index):
    """Half-precision floating point."""

    recipe = "fp16"
    quantiser = faiss.ScalarQuantizer.QT_fp16

    @classmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """Two bytes a component."""
        return 2 * dim
