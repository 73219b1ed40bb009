"""Descriptors of places photographed several times, stores of them, and search by brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fol.retrieval.descriptor_store import DescriptorStore

Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(rows: int, dim: int, seed: int = 0, per_place: int = 3) -> Vectors:
    """``per_place`` descriptors of each place in a row, with cosines of about 0.8 among them; the components differ
    in scale."""
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((-(-rows // per_place), dim)).repeat(per_place, 0)[:rows]
    scale = np.exp(0.5 * rng.standard_normal(dim))
    return unit((places + 0.5 * rng.standard_normal((rows, dim))) * scale)


def near(vectors: Vectors, rows: NDArray[np.integer], seed: int = 1) -> Vectors:
    """A query for each of some rows, with a cosine of about 0.9 to it."""
    noise = unit(np.random.default_rng(seed).standard_normal((len(rows), vectors.shape[1])))
    return unit(vectors[rows] + 0.5 * noise)


def store(folder: Path, vectors: Vectors) -> DescriptorStore:
    path = folder / "descriptors-1.f32"
    vectors.astype("<f4").tofile(path)
    return DescriptorStore(path, vectors.shape[1], len(vectors))


def brute_force(vectors: Vectors, query: Vectors, k: int, exclude: NDArray[np.integer] | None = None) -> list[int]:
    similarity = vectors.astype(np.float64) @ query.astype(np.float64)
    banned = set() if exclude is None else set(exclude.tolist())
    allowed = [i for i in range(len(vectors)) if i not in banned]
    return sorted(allowed, key=lambda i: (-similarity[i], i))[:k]
