"""One sign per component (RaBitQ: Gao and Long, 2024), of all components or of the principal ones."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from fol.errors import ConfigError
from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index.base import Rows, Similarities, without
from fol.retrieval.index.projection import Projection, random_rotation
from fol.retrieval.index.refined import SEED, Part, RefinedIndex, trained_axes, training_sample

#: FAISS's fast scan adds up look-ups in 16 bits, which overflow above: it then answers wrongly without an error
#: (measured with 1.15.1 on 8448 dimensions: recall@1 of 0.014 instead of 0.850).
FAST_SCAN_MAX_DIM = 1024
_FACTORS = 8  # bytes that each vector's two factors take
#: Bits of a query's components. Four instead of eight: a third less time, and the candidates hold the same rows.
_QUERY_BITS = 4


def check_fast_scan(dim: int) -> None:
    """Raise ``ConfigError`` where FAISS's fast scan of RaBitQ codes would silently answer wrongly."""
    if dim > FAST_SCAN_MAX_DIM:
        raise ConfigError(
            f"fast scan of RaBitQ codes is wrong above {FAST_SCAN_MAX_DIM} dimensions, these have {dim}: "
            "choose index=rabitq, or index=pca_rabitq, which reduces them first"
        )


def reduced_dim(dim: int) -> int:
    """Dimensions that ``pca_rabitq`` keeps of ``dim``."""
    return min(dim, FAST_SCAN_MAX_DIM)


class RabitqIndex(RefinedIndex):
    """A bit per component of the rotated, centred descriptors: a 32nd of the memory of flat."""

    recipe = "rabitq"
    k_factor = 4

    @classmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """A bit a component, and two factors."""
        return -(-dim // 8) + _FACTORS

    @classmethod
    def _train(cls, descriptors: DescriptorStore) -> tuple[Projection, Any, dict[str, Any]]:
        rotation = random_rotation(descriptors.dim, SEED)
        codes = faiss.IndexRaBitQ(descriptors.dim, faiss.METRIC_INNER_PRODUCT)
        codes.qb = _QUERY_BITS
        codes.train(rotation(training_sample(descriptors)))
        return rotation, codes, {"bits": 1, "query_bits": _QUERY_BITS}


class PcaRabitqIndex(RefinedIndex):
    """A bit for each of the leading 1024 principal components, scanned with look-up tables in registers."""

    recipe = "pca_rabitq"
    k_factor = 10

    @classmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """As FAISS lays them out."""
        return int(_fast_scan(reduced_dim(dim)).code_size)

    @classmethod
    def _train(cls, descriptors: DescriptorStore) -> tuple[Projection, Any, dict[str, Any]]:
        axes, sample = trained_axes(descriptors, reduced_dim(descriptors.dim))
        codes = _fast_scan(reduced_dim(descriptors.dim))
        codes.train(axes(sample))
        return axes, codes, {"bits": 1, "dim": codes.d}

    def _search_part(
        self, part: Part, queries: NDArray[np.float32], k: int, banned: NDArray[np.int64]
    ) -> tuple[Similarities, Rows]:
        # Fast scan takes no selector; asking for as many more as are banned leaves k good ones.
        similarities, rows = part.codes.search(queries, min(k + len(banned), part.codes.ntotal))
        return without(similarities, rows, banned), rows


def _fast_scan(dim: int) -> Any:
    check_fast_scan(dim)
    return faiss.IndexRaBitQFastScan(dim, faiss.METRIC_INNER_PRODUCT)
