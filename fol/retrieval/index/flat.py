"""Exact search through all descriptors."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import faiss
import numpy as np
from numpy.typing import NDArray

from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index.base import (
    BuiltIndex,
    DescriptorIndex,
    Rows,
    Similarities,
    merge,
    nothing,
    search_block,
    search_threads,
)

_BLOCK_BYTES = 64 << 20


class FlatIndex(DescriptorIndex):
    """Exact: FAISS goes through all descriptors, block by block, straight from the mapped file."""

    recipe = "flat"

    def __init__(self, descriptors: DescriptorStore) -> None:
        self.descriptors = descriptors

    @classmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """The float32 descriptor: it is mapped, and searching is slow where memory does not hold the file."""
        return 4 * dim

    @classmethod
    def build(
        cls, descriptors: DescriptorStore, folder: Path, generation: int, previous: BuiltIndex | None
    ) -> BuiltIndex:
        """Nothing to write: the descriptors are the index."""
        return BuiltIndex()

    @classmethod
    def open(cls, descriptors: DescriptorStore, folder: Path, built: BuiltIndex) -> Self:
        """Open without reading the descriptors."""
        return cls(descriptors)

    def search(
        self, queries: NDArray[np.float32], k: int, exclude: NDArray[np.int64] | None = None
    ) -> tuple[Similarities, Rows]:
        """See ``DescriptorIndex.search``. Beside the mapped file it needs memory for Q x 2k results."""
        excluded = np.empty(0, np.int64) if exclude is None else exclude
        k = min(k, len(self.descriptors) - len(excluded))
        best = nothing(len(queries))
        if k <= 0 or not len(queries):
            return best
        blocks = self.descriptors.blocks(max(256, _BLOCK_BYTES // (4 * self.descriptors.dim)))

        def one(block: tuple[int, NDArray[np.float32]]) -> tuple[Similarities, Rows]:
            return search_block(queries, *block, k, excluded)

        # FAISS spreads queries, not descriptors, over its threads: for a single query the blocks are spread here.
        spread = len(queries) == 1 and len(blocks) > 1 and faiss.omp_get_max_threads() > 1
        for found in search_threads().map(one, blocks) if spread else map(one, blocks):
            best = merge([best, found], k)
        return best
