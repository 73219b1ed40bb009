from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fol.errors import ConfigError, MapError
from fol.retrieval.descriptor_store import DescriptorStore, as_descriptors
from fol.retrieval.index import FlatIndex, get_recipe
from fol.retrieval.index import flat as flat_module


def _unit(rng: np.random.Generator, count: int, dim: int) -> NDArray[np.float32]:
    vectors = rng.standard_normal((count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _index(folder: Path, vectors: NDArray[np.float32]) -> FlatIndex:
    path = folder / "descriptors-1.f32"
    vectors.astype("<f4").tofile(path)
    store = DescriptorStore(path, vectors.shape[1], len(vectors))
    return FlatIndex.open(store, folder, FlatIndex.build(store, folder, 1, None))


def _brute_force(vectors: NDArray[np.float32], query: NDArray[np.float32], k: int, exclude: list[int]) -> list[int]:
    similarity = vectors.astype(np.float64) @ query.astype(np.float64)
    allowed = [i for i in range(len(vectors)) if i not in exclude]
    return sorted(allowed, key=lambda i: (-similarity[i], i))[:k]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    rows=st.sampled_from([1, 5, 255, 256, 257, 700]),
    queries=st.sampled_from([1, 3, 25]),
    k=st.sampled_from([1, 7, 300, 1000]),
    excluded=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
)
def test_flat_equals_brute_force(tmp_path: Path, seed: int, rows: int, queries: int, k: int, excluded: float) -> None:
    rng = np.random.default_rng(seed)
    vectors, asked = _unit(rng, rows, 12), _unit(rng, queries, 12)
    exclude = np.flatnonzero(rng.random(rows) < excluded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat_module, "_BLOCK_BYTES", 1)  # the smallest blocks: 256 rows
        similarities, found = _index(tmp_path, vectors).search(asked, k, exclude)
    assert similarities.shape == found.shape == (queries, min(k, rows - len(exclude)))
    assert (np.diff(similarities, axis=1) <= 0).all()
    for query, ids, values in zip(asked, found, similarities, strict=True):
        assert ids.tolist() == _brute_force(vectors, query, k, exclude.tolist())
        np.testing.assert_allclose(values, vectors[ids] @ query, atol=1e-6)


def test_equal_descriptors_come_in_the_order_of_their_rows(tmp_path: Path) -> None:
    same = np.zeros((600, 4), np.float32)
    same[:, 0] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat_module, "_BLOCK_BYTES", 1)
        _, rows = _index(tmp_path, same).search(same[:1], 600, np.array([0, 300]))
    assert rows[0].tolist() == [i for i in range(600) if i not in (0, 300)]


def test_descriptors_of_other_processes_make_are_read_in_the_file(tmp_path: Path) -> None:
    vectors = _unit(np.random.default_rng(0), 3, 4)
    index = _index(tmp_path, vectors)
    np.testing.assert_array_equal(index.descriptors.read(np.array([2, 0, 2])), vectors[[2, 0, 2]])


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1.0, 0.0], r"shape \[2\] given to a map of 3-dimensional"),
        ([[[1.0, 0.0, 0.0]]], r"shape \[1, 1, 3\]"),
        ([float("nan"), 0.0, 1.0], "not finite"),
        ([float("inf"), 0.0, 1.0], "not finite"),
        ([3.0, 0.0, 0.0], "length 3 instead of 1"),
        ([0.0, 0.0, 0.0], "length 0 instead of 1"),
    ],
)
def test_descriptors_that_do_not_fit_are_refused(vector: list[float], message: str) -> None:
    for given_ in (torch.tensor(vector), np.array(vector)):
        with pytest.raises(MapError, match=message) as caught:
            as_descriptors(given_, 3)
        assert "\n" not in str(caught.value)


def test_half_precision_descriptors_are_taken() -> None:
    vector = torch.nn.functional.normalize(torch.arange(1.0, 4.0), dim=0)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert as_descriptors(vector.to(dtype), 3).dtype == np.float32


def test_unknown_recipe_lists_the_known_ones() -> None:
    assert get_recipe("flat") is FlatIndex
    with pytest.raises(ConfigError, match="'ivf' is unknown: choose one of auto, flat"):
        get_recipe("ivf")
