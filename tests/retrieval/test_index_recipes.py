from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest
from descriptor_sets import Vectors, brute_force, clustered, near, store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index import RECIPES, BuiltIndex, DescriptorIndex, get_recipe, refined

ROWS, DIM = 1200, 144
#: Recipes with codes: those that look at all of them, and those that look at some.
EXHAUSTIVE = ["fp16", "pca_rabitq", "rabitq", "sq8"]
PARTIAL = ["hnsw", "ivf_rabitq", "ivf_sq8"]
VECTORS = clustered(ROWS, DIM)
QUERIES = near(VECTORS, np.arange(0, ROWS, 30))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three parts of the 1200 rows, and few candidates."""
    monkeypatch.setattr(refined, "_rows_per_part", lambda code_bytes: 512)
    monkeypatch.setattr(refined, "_FEWEST_CANDIDATES", 8)


def built(recipe: str, folder: Path, vectors: Vectors = VECTORS) -> tuple[DescriptorStore, BuiltIndex]:
    descriptors = store(folder, vectors)
    return descriptors, get_recipe(recipe).build(descriptors, folder, 1, None)


def opened(recipe: str, folder: Path, vectors: Vectors = VECTORS) -> DescriptorIndex:
    descriptors, files = built(recipe, folder, vectors)
    return get_recipe(recipe).open(descriptors, folder, files)


def test_all_recipes_with_codes_are_tested() -> None:
    assert sorted([*EXHAUSTIVE, *PARTIAL, "flat", "gpu_flat"]) == sorted(RECIPES)


@pytest.mark.parametrize("recipe", [*EXHAUSTIVE, *PARTIAL])
@pytest.mark.parametrize(
    "banned", [None, np.arange(512), np.arange(0, ROWS, 2)], ids=["none", "a part", "every second"]
)
def test_finds_what_exact_search_finds(recipe: str, banned: np.ndarray | None, tmp_path: Path) -> None:
    similarities, rows = opened(recipe, tmp_path).search(QUERIES, 5, banned)
    assert rows.shape == similarities.shape == (len(QUERIES), 5)
    best = np.array([brute_force(VECTORS, query, 5, banned) for query in QUERIES])
    assert (rows[:, 0] == best[:, 0]).mean() >= 0.95
    assert (rows[:, :, None] == best[:, None]).any(1).mean() >= 0.8
    assert banned is None or not np.isin(rows, banned).any()
    assert all(len(set(found)) == 5 for found in rows.tolist())
    np.testing.assert_allclose(similarities, np.einsum("qd,qkd->qk", QUERIES, VECTORS[rows]), atol=1e-6)
    assert (np.diff(similarities) <= 0).all()


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(request.param)
    yield request.param
    faiss.omp_set_num_threads(before)


@pytest.mark.parametrize("recipe", [*EXHAUSTIVE, *PARTIAL])
def test_a_query_alone_finds_what_it_finds_among_others(recipe: str, threads: int, tmp_path: Path) -> None:
    index = opened(recipe, tmp_path)
    similarities, rows = index.search(QUERIES, 3)
    for i, query in enumerate(QUERIES):
        alone = index.search(query[None], 3)
        assert alone[1][0].tolist() == rows[i].tolist()
        assert alone[0][0].tolist() == similarities[i].tolist()


@pytest.mark.parametrize("recipe", [*EXHAUSTIVE, *PARTIAL])
def test_building_twice_writes_the_same_bytes_and_any_opening_answers_the_same(recipe: str, tmp_path: Path) -> None:
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        descriptors, files = built(recipe, folder)
        for _ in range(2):
            found.append(get_recipe(recipe).open(descriptors, folder, files).search(QUERIES, 4))
    assert files.files
    for name in files.files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for similarities, rows in found[1:]:
        np.testing.assert_array_equal(rows, found[0][1])
        np.testing.assert_array_equal(similarities, found[0][0])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    recipe=st.sampled_from([*EXHAUSTIVE, *PARTIAL]),
    rows=st.integers(1, 30),
    excluded=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_as_many_candidates_as_rows_are_exact(
    tmp_path: Path, recipe: str, rows: int, excluded: float, seed: int
) -> None:
    vectors = clustered(rows, 16, seed)
    exclude = np.flatnonzero(np.random.default_rng(seed).random(rows) < excluded)
    queries = clustered(3, 16, seed + 1)
    k = max(1, rows // get_recipe(recipe).k_factor + 1)  # type: ignore[attr-defined]
    _, found = opened(recipe, tmp_path, vectors).search(queries, k, exclude)
    assert found.tolist() == [brute_force(vectors, query, k, exclude) for query in queries]


@pytest.mark.parametrize("recipe", EXHAUSTIVE)
def test_codes_of_all_rows_but_one_as_candidates_are_exact(recipe: str, tmp_path: Path) -> None:
    """One row fewer than there are goes through the codes, which then leave out the last of all."""
    vectors = clustered(81, 16)
    index = opened(recipe, tmp_path, vectors)
    k = 80 // index.k_factor  # type: ignore[attr-defined]
    _, found = index.search(vectors[:9], k)
    assert found.tolist() == [brute_force(vectors, query, k) for query in vectors[:9]]


@pytest.mark.parametrize("recipe", PARTIAL)
def test_a_search_that_comes_short_is_completed(recipe: str, tmp_path: Path) -> None:
    """All but 30 rows far apart are excluded: a few lists, or a walk, do not meet twenty of them."""
    left = np.arange(3, ROWS, ROWS // 45)
    exclude = np.setdiff1d(np.arange(ROWS), left)
    similarities, found = opened(recipe, tmp_path).search(QUERIES, 4, exclude)
    assert np.isin(found, left).all() and np.isfinite(similarities).all()
    assert all(len(set(rows)) == 4 for rows in found.tolist())


@pytest.mark.parametrize("recipe", [*EXHAUSTIVE, *PARTIAL])
def test_no_query_no_row_and_more_than_there_are(recipe: str, tmp_path: Path) -> None:
    index = opened(recipe, tmp_path)
    assert index.search(QUERIES[:0], 3)[1].shape == (0, 3) or index.search(QUERIES[:0], 3)[1].shape == (0, 0)
    assert index.search(QUERIES[:2], 3, np.arange(ROWS))[1].shape == (2, 0)
    _, rows = index.search(QUERIES[:2], 10 * ROWS, np.arange(5))
    assert np.sort(rows).tolist() == [list(range(5, ROWS))] * 2


@pytest.mark.parametrize("recipe", EXHAUSTIVE)
def test_equal_descriptors_come_in_the_order_of_their_rows(recipe: str, tmp_path: Path) -> None:
    vectors = clustered(300, 16)
    vectors[[7, 100, 200, 299]] = vectors[7]
    _, rows = opened(recipe, tmp_path, vectors).search(vectors[7:8], 3, np.array([100]))
    assert rows[0].tolist() == [7, 200, 299]


@pytest.mark.parametrize("recipe", [*EXHAUSTIVE, *PARTIAL])
def test_an_addition_keeps_what_was_trained_and_full_parts(recipe: str, tmp_path: Path) -> None:
    kind = get_recipe(recipe)
    first = kind.build(store(tmp_path, VECTORS[:700]), tmp_path, 1, None)
    before = {name: (tmp_path / name).read_bytes() for name in first.files}
    descriptors = store(tmp_path, VECTORS)
    second = kind.build(descriptors, tmp_path, 2, first)
    assert {name: (tmp_path / name).read_bytes() for name in first.files} == before, "readers may have them open"
    parts = [0] if recipe in PARTIAL else [0, 512, 1024]
    shared = {name for name in first.files if ".rows" not in name}
    assert {name for name in second.files if ".rows" not in name} == shared
    kept = [] if recipe in PARTIAL else ["index-1.rows0"]
    written = [f"index-2.rows{start}" for start in parts if f"index-1.rows{start}" not in kept]
    assert [name for name in second.files if ".rows" in name] == kept + written
    assert second.parameters["rows"] == ROWS and second.parameters["trained_rows"] == 700
    _, rows = kind.open(descriptors, tmp_path, second).search(QUERIES, 5)
    best = [brute_force(VECTORS, query, 1)[0] for query in QUERIES]
    assert (rows[:, 0] == best).mean() >= 0.95


def test_four_times_the_rows_are_trained_for_again(tmp_path: Path) -> None:
    kind = get_recipe("rabitq")
    first = kind.build(store(tmp_path, VECTORS[:300]), tmp_path, 1, None)
    second = kind.build(store(tmp_path, VECTORS), tmp_path, 2, first)
    assert all(name.startswith("index-2.") for name in second.files)
    assert second.parameters["trained_rows"] == ROWS


def test_memory_of_the_codes_is_as_said(tmp_path: Path) -> None:
    """Files hold the codes and little else: parts repeat the few bytes per component that training gave."""
    for recipe in [*EXHAUSTIVE, *PARTIAL]:
        files = built(recipe, tmp_path)[1]
        size = sum((tmp_path / name).stat().st_size for name in files.files if ".rows" in name)
        fixed = sum((tmp_path / name).stat().st_size for name in files.files if name.endswith(".trained"))
        parts = len([name for name in files.files if ".rows" in name])
        per_vector = (size - parts * fixed) / ROWS
        said = get_recipe(recipe).bytes_per_vector(DIM)
        assert 0.8 * said <= per_vector <= 1.5 * said + 16, recipe
