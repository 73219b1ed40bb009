from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from descriptor_sets import brute_force, clustered, store

from fol.errors import ConfigError, MapError
from fol.retrieval.index import (
    RECIPES,
    DescriptorIndex,
    FlatIndex,
    IndexOptions,
    build_index,
    choose,
    get_recipe,
    measure_recall,
    open_index,
    parse_bytes,
    rabitq,
)
from fol.retrieval.index.rabitq import check_fast_scan
from fol.retrieval.index.refined import _rows_per_part

GB = 10**9


@pytest.mark.parametrize(
    ("rows", "dim", "max_memory", "recipe"),
    [
        (29_000, 8448, 8 * GB, "flat"),  # x 33792 = 0.980 GB
        (30_000, 8448, 8 * GB, "rabitq"),  # 1.014 GB exceed what is scanned fast; x (1056 + 8) = 32 MB
        (29_000, 8448, GB // 2, "rabitq"),  # 0.980 GB exceed the limit
        (240_000, 8448, 8 * GB, "rabitq"),  # 255.4 MB
        (241_000, 8448, 8 * GB, "pca_rabitq"),  # 256.4 MB; x 136 = 33 MB
        (100_000, 8448, 100_000_000, "pca_rabitq"),  # 106.4 MB exceed the limit; 13.6 MB
        (1_880_000, 8448, 8 * GB, "pca_rabitq"),  # x 136 = 255.7 MB
        (2_800_000, 8448, 8 * GB, "ivf_rabitq"),  # 381 MB
        (2_800_000, 8448, 1_000_000, "ivf_rabitq"),  # nothing fits
        (900_000, 256, 8 * GB, "flat"),  # x 1024 = 0.92 GB
        (1_000_000, 256, 8 * GB, "rabitq"),  # 1.024 GB; x (32 + 8) = 40 MB
    ],
)
def test_auto_by_hand(rows: int, dim: int, max_memory: int, recipe: str) -> None:
    chosen, reason = choose(IndexOptions("auto", max_memory), rows, dim)
    assert chosen == recipe
    assert f"{rows} x {dim}" in reason and ("more than" in reason) == (max_memory == 1_000_000)


def test_a_name_is_taken_as_it_is() -> None:
    assert choose(IndexOptions("hnsw"), 5, 8448) == ("hnsw", "as asked for")
    assert IndexOptions.of("sq8") == IndexOptions("sq8") and IndexOptions().recipe == "auto"


def test_wrong_options_name_the_right_ones() -> None:
    with pytest.raises(ConfigError, match="'ivf' is unknown: choose one of auto, flat, fp16,") as caught:
        IndexOptions("ivf")
    assert all(name in str(caught.value) for name in RECIPES)
    with pytest.raises(ConfigError, match="max_memory=5 picks a recipe, but index=flat names one"):
        IndexOptions("flat", 5)
    with pytest.raises(ConfigError, match="above 0"):
        IndexOptions("auto", 0)


@pytest.mark.parametrize(
    ("text", "size"), [("4000", 4000), (4000, 4000), ("4GB", 4 * GB), ("1.5 g", 3 * GB // 2), ("500mb", 500_000_000)]
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-3", "4 GiBB", "1e9", "four"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        parse_bytes(text)


def test_fast_scan_is_refused_where_it_would_answer_wrongly() -> None:
    check_fast_scan(1024)
    with pytest.raises(ConfigError, match="wrong above 1024 dimensions, these have 1025: choose index=rabitq"):
        check_fast_scan(1025)


def test_recipes_with_fast_scan_stay_below_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """220 dimensions are reduced to a limit of 100, and found are what is near."""
    monkeypatch.setattr(rabitq, "FAST_SCAN_MAX_DIM", 100)
    vectors = clustered(120, 220)
    descriptors = store(tmp_path, vectors)
    for generation, name in enumerate(["pca_rabitq", "ivf_rabitq"], 1):
        built = get_recipe(name).build(descriptors, tmp_path, generation, None)
        assert built.parameters["dim"] == 100
        _, rows = get_recipe(name).open(descriptors, tmp_path, built).search(vectors[:6], 2)
        assert rows[:, 0].tolist() == list(range(6))


@pytest.mark.parametrize(
    ("code_bytes", "rows"),
    [(1064, 8192), (1, 32768), (136, 32768), (1000, 16384), (8448, 8192), (33792, 8192)],
)  # 16 MiB / 1064 = 15768, between two powers of two: the lower; / 1000 = 16777
def test_rows_of_a_part(code_bytes: int, rows: int) -> None:
    assert _rows_per_part(code_bytes) == rows


def test_recall_is_measured_with_descriptors_that_are_left_out(tmp_path: Path) -> None:
    descriptors = store(tmp_path, clustered(300, 24))
    description, files = build_index(descriptors, tmp_path, 1, IndexOptions("sq8"))
    measured = description.measured
    assert measured is not None and (measured.rows, measured.queries) == (300, 100)
    assert dict(measured.recall) == {"1@1": 1.0, "1@10": 1.0, "10@10": 1.0}  # bytes and float32 agree on so few
    index = open_index(descriptors, tmp_path, description, files)
    assert measure_recall(index, descriptors) == measured
    assert "recall against exact search 1@1 1.000" in str(description)


def test_recall_by_hand(tmp_path: Path) -> None:
    """An index that finds row r + 1 for r, that is the second best for some and never the first of three."""

    class Wrong(DescriptorIndex):
        recipe = "wrong"
        bytes_per_vector = build = open = None  # type: ignore[assignment]

        def search(self, queries, k, exclude=None):  # type: ignore[no-untyped-def]
            similarities, rows = FlatIndex(descriptors).search(queries, k + 1, exclude)
            return similarities[:, 1:], rows[:, 1:]  # the best is missing, one too many at the end

    descriptors = store(tmp_path, clustered(60, 8))
    assert measure_recall(FlatIndex(descriptors), descriptors) is None, "exact"
    measured = measure_recall(Wrong(), descriptors)
    assert measured is not None and measured.queries == 30
    assert dict(measured.recall) == {"1@1": 0.0, "1@10": 0.0, "10@10": 0.9}
    with_one = store(tmp_path, clustered(1, 8))
    assert measure_recall(Wrong(), with_one) is None


def test_an_index_that_is_still_of_the_right_recipe_is_extended(tmp_path: Path) -> None:
    vectors = clustered(400, 24)
    options = IndexOptions("rabitq")
    description, files = build_index(store(tmp_path, vectors[:200]), tmp_path, 1, options)
    descriptors = store(tmp_path, vectors[:240])
    slightly, more = build_index(descriptors, tmp_path, 2, options, (description, files))
    assert slightly.measured == description.measured and slightly.parameters["trained_rows"] == 200
    grown, _ = build_index(store(tmp_path, vectors), tmp_path, 3, options, (slightly, more))
    assert grown.measured is not None and grown.measured.rows == 400
    other, names = build_index(descriptors, tmp_path, 4, IndexOptions("sq8"), (description, files))
    assert all(name.startswith("index-4.") for name in names)
    found = open_index(descriptors, tmp_path, other, names).search(vectors[:5], 1)[1]
    assert found[:, 0].tolist() == [brute_force(vectors, vectors[i], 1)[0] for i in range(5)]


def test_damaged_files_are_reported(tmp_path: Path) -> None:
    descriptors = store(tmp_path, clustered(40, 16))
    description, files = build_index(descriptors, tmp_path, 1, IndexOptions("sq8"))
    (tmp_path / files[-1]).write_bytes(b"nonsense" * 9)
    with pytest.raises(MapError, match="the sq8 index of .* is damaged or of another version of FAISS: build the map"):
        open_index(descriptors, tmp_path, description, files)
    (tmp_path / files[-1]).unlink()
    with pytest.raises((MapError, FileNotFoundError)):
        open_index(descriptors, tmp_path, description, files)


def test_rotation_and_axes_keep_products(tmp_path: Path) -> None:
    from fol.retrieval.index.projection import Projection, principal_axes, random_rotation

    for dim in (48, 31, 528):  # 6 x 8 is too small a side, so dense; a prime; 22 x 24
        vectors = clustered(20, dim)
        rotation = random_rotation(dim, 0)
        assert len(rotation.matrices) == (2 if dim == 528 else 1)
        turned = rotation(vectors)
        np.testing.assert_allclose(turned @ turned.T, vectors @ vectors.T, atol=1e-5)
        spike = np.eye(1, dim, dtype=np.float32)
        assert np.abs(rotation(spike)).max() < 0.8, "one component is spread over the others"
        names = rotation.save(tmp_path, f"index-{dim}.projection")
        again = Projection.load([tmp_path / name for name in names])
        np.testing.assert_array_equal(again(vectors), turned)
    flat = clustered(50, 40) * (np.arange(40) < 5)  # varies in five dimensions alone
    axes = principal_axes(flat, 5, 0)
    np.testing.assert_allclose(axes(flat) @ axes(flat).T, flat @ flat.T, atol=1e-4)
    assert not random_rotation(1031, 0).matrices, "a large prime"
