"""Cosines of cached descriptors, in blocks so that memory is bounded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fol.errors import TrainingStopped
from fol.matching.precision import exact_float32

_LARGEST = 4096  # rows of a block: beyond it products gain no speed


def rows_at_once(dim: int, max_bytes: int) -> int:
    """Rows of two blocks of descriptors and of the product of both that fit into ``max_bytes``; 1 at least."""
    by_rows, by_product = max_bytes // 3 // (4 * dim), math.isqrt(max_bytes // 12)
    return max(1, min(by_rows, by_product, _LARGEST))


def read_rows(features: NDArray[np.float32], rows: NDArray[np.int64], device: torch.device) -> Tensor:
    """Rows of the cache on ``device``. Raises ``TrainingStopped`` for descriptors that are not finite."""
    found = torch.from_numpy(np.asarray(features[rows], np.float32)).to(device)
    if not bool(found.sum().isfinite()):
        raise TrainingStopped(
            "descriptors of training photos are not finite: the network has diverged; lower the learning rate"
        )
    return found


def pair_similarities(
    features: NDArray[np.float32],
    queries: NDArray[np.int64],
    candidates: Sequence[NDArray[np.int64]],
    *,
    max_bytes: int,
    device: torch.device | str = "cpu",
) -> list[NDArray[np.float32]]:
    """Cosine of each of ``queries [Q]`` to its own candidates, both numbers of rows of ``features [M, D]`` (unit).

    Every row that anybody asks for is read and compared with all queries at once: for a thousand candidates each that
    is faster than to fetch them one query at a time up to some ten thousand rows, and beyond that computing the rows
    takes far longer than comparing them.
    """
    device, block = torch.device(device), rows_at_once(features.shape[1], max_bytes)
    found: list[NDArray[np.float32]] = []
    for start in range(0, len(queries), block):
        asked = candidates[start : start + block]
        lengths = [len(own) for own in asked]
        owner = np.repeat(np.arange(len(asked)), lengths)
        rows, position = np.unique(np.concatenate([np.empty(0, np.int64), *asked]), return_inverse=True)
        order = np.argsort(position, kind="stable")
        ordered = position[order]
        values = np.empty(len(order), np.float32)
        vectors = read_rows(features, queries[start : start + block], device)
        for first in range(0, len(rows), block):
            others = read_rows(features, rows[first : first + block], device)
            with exact_float32(device):
                product = vectors @ others.T
            low, high = np.searchsorted(ordered, (first, first + len(others)))
            here = order[low:high]
            at = torch.from_numpy(owner[here] * len(others) + position[here] - first).to(device)
            values[here] = product.flatten()[at].cpu().numpy()
        found += np.split(values, np.cumsum(lengths)[:-1])
    return found
