"""Exact search on a CUDA device, whose memory holds the descriptors in half precision."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index.base import BuiltIndex, Rows, Similarities, merge, nothing
from fol.retrieval.index.flat import FlatIndex

_LOADED_BYTES = 64 << 20
_SCORES_BYTES = 256 << 20
_FACTOR, _FEWEST_CANDIDATES = 4, 64


class GpuFlatIndex(FlatIndex):
    """Products in half precision on the device give four times as many candidates, which the float32 rows rank.

    By torch, which every installation with a CUDA device has, unlike FAISS for GPUs. The descriptors go to the
    device with the first search. Where there is no device, or no room in its memory, search is exact on the CPU:
    the same answers, with a warning.
    """

    recipe = "gpu_flat"

    def __init__(self, descriptors: DescriptorStore, device: torch.device | None) -> None:
        super().__init__(descriptors)
        self.device = device
        self._rows: torch.Tensor | None = None
        self._loading = threading.Lock()

    @classmethod
    def bytes_per_vector(cls, dim: int) -> int:
        """Two bytes a component, of the device."""
        return 2 * dim

    @classmethod
    def open(cls, descriptors: DescriptorStore, folder: Path, built: BuiltIndex) -> Self:
        """Open without reading the descriptors."""
        return cls(descriptors, torch.device("cuda") if torch.cuda.is_available() else None)

    def search(
        self, queries: NDArray[np.float32], k: int, exclude: NDArray[np.int64] | None = None
    ) -> tuple[Similarities, Rows]:
        """See ``DescriptorIndex.search``."""
        excluded = np.empty(0, np.int64) if exclude is None else exclude
        left = len(self.descriptors) - len(excluded)
        wanted = max(_FACTOR * k, _FEWEST_CANDIDATES)
        stored = self._on_device() if 0 < k <= wanted < left and len(queries) else None
        if stored is None:
            return super().search(queries, k, excluded)
        rows = self._candidates(stored, queries, wanted, excluded)
        return merge([(self.descriptors.products(queries, rows), rows)], k)

    def _candidates(
        self, stored: torch.Tensor, queries: NDArray[np.float32], wanted: int, exclude: NDArray[np.int64]
    ) -> Rows:
        banned = torch.from_numpy(exclude).to(stored.device)
        at_once = max(1, _SCORES_BYTES // (4 * len(stored)))
        found = [nothing(0)[1].reshape(0, wanted)]
        for start in range(0, len(queries), at_once):
            some = torch.from_numpy(queries[start : start + at_once]).to(stored)
            scores = (some @ stored.T).float()
            scores[:, banned] = -torch.inf
            found.append(scores.topk(wanted).indices.cpu().numpy())
        return np.concatenate(found)

    def _on_device(self) -> torch.Tensor | None:
        with self._loading:
            if self._rows is None and self.device is not None:
                try:
                    self._rows = self._load(self.device)
                except torch.cuda.OutOfMemoryError:
                    self.device = None
            if self.device is None:
                warnings.warn("gpu_flat has no CUDA device with room: searching on the CPU", stacklevel=3)
            return self._rows

    def _load(self, device: torch.device) -> torch.Tensor:
        dtype = torch.half if device.type == "cuda" else torch.float32
        rows = torch.empty(len(self.descriptors), self.descriptors.dim, dtype=dtype, device=device)
        for start, block in self.descriptors.blocks(max(1, _LOADED_BYTES // (4 * self.descriptors.dim))):
            rows[start : start + len(block)] = torch.from_numpy(block.copy()).to(device, dtype)
        return rows
