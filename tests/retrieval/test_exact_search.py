"""Chunked search against a full sort, whatever the memory limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.errors import ConfigError
from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.exact_search import exact_search
from fol.retrieval.feature_cache import CachedRows

DIM = 24


def unit(count: int, seed: int, distinct: int | None = None) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows if distinct is None else rows[np.arange(count) % distinct]


def stored(folder: Path, vectors: np.ndarray, parts: int = 1, seed: int = 0) -> CachedRows:
    """Vectors spread at random over several files, among rows that nobody asks for."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    home, rows = rng.integers(0, parts, len(vectors)), np.zeros(len(vectors), np.int64)
    stores = {}
    for part in range(parts):
        own = rng.permutation(np.flatnonzero(home == part))
        noise = unit(len(own) // 3 + 1, 99)
        rows[own] = np.arange(len(own)) + len(noise)
        content = np.concatenate([noise, vectors[own]])
        (folder / f"{part}.f32").write_bytes(content.tobytes())
        stores[part] = DescriptorStore(folder / f"{part}.f32", DIM, len(content))
    return CachedRows(stores, np.arange(len(vectors)), home, rows)


def by_sorting(queries: np.ndarray, database: np.ndarray, k: int) -> np.ndarray:
    similarity = (queries.astype(np.float64) @ database.T.astype(np.float64)).astype(np.float32)
    return np.stack([np.lexsort((np.arange(len(database)), -row))[:k] for row in similarity])


@pytest.mark.parametrize("max_ram", [400_000, 2_000_000, 1_000_000_000])
def test_like_a_full_sort_whatever_the_memory(tmp_path: Path, max_ram: int) -> None:
    queries, database = unit(70, 1), unit(5000, 2)
    found, similarity = exact_search(
        stored(tmp_path / "q", queries, 2), stored(tmp_path / "d", database, 3), 20, max_ram=max_ram
    )
    assert np.array_equal(found, by_sorting(queries, database, 20))
    assert np.allclose(similarity, np.take_along_axis(queries @ database.T, found, 1), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 900), st.integers(1, 40), st.integers(1, 3), st.integers(0, 99), st.booleans()
)
def test_random_cases(
    tmp_path_factory: pytest.TempPathFactory, queries: int, count: int, k: int, parts: int, seed: int, repeated: bool
) -> None:
    folder = tmp_path_factory.mktemp("search")
    # Equal descriptors: as many of one kind as the margin can hold.
    database = unit(count, seed, max(1, count // 10) if repeated and count < 150 else None)
    asked = unit(queries, seed + 1)
    ours = stored(folder / "d", database, parts, seed)
    found, _ = exact_search(stored(folder / "q", asked), ours, k, max_ram=200_000)
    assert found.shape == (queries, min(k, count))
    assert np.array_equal(found, by_sorting(asked, database, k))


def test_only_among_those_asked_for(tmp_path: Path) -> None:
    queries, database = unit(5, 1), unit(300, 2)
    some = np.arange(7, 300, 3)
    ours = stored(tmp_path / "d", database, 2).among(some)
    found, _ = exact_search(stored(tmp_path / "q", queries), ours, 4, max_ram=10**6)
    assert np.array_equal(found, some[by_sorting(queries, database[some], 4)])


def test_nothing_to_search(tmp_path: Path) -> None:
    queries = stored(tmp_path / "q", unit(5, 1))
    nothing = queries.among(np.empty(0, np.int64))
    assert exact_search(queries, nothing, 4, max_ram=10**6)[0].shape == (5, 0)
    assert exact_search(nothing, queries, 4, max_ram=10**6)[0].shape == (0, 4)


def test_too_little_memory_is_said(tmp_path: Path) -> None:
    rows = stored(tmp_path / "d", unit(500, 1))
    with pytest.raises(ConfigError, match="max_ram=1e-06 GB is too little"):
        exact_search(rows, rows, 4, max_ram=1000)


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    rows = stored(tmp_path / "d", unit(2000, 1), 2)
    seen: list[tuple[int, int]] = []
    exact_search(rows, rows, 3, max_ram=400_000, progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 2
    assert seen == sorted(seen)
    assert seen[-1] == (2000 * 2000, 2000 * 2000)
