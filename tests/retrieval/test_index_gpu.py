from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from descriptor_sets import brute_force, clustered, near, store

from fol.retrieval.index.building import measure_recall
from fol.retrieval.index.gpu import GpuFlatIndex

VECTORS = clustered(500, 40)
QUERIES = near(VECTORS, np.arange(0, 500, 50))


def check(index: GpuFlatIndex) -> None:
    for banned in (None, np.arange(0, 500, 3)):
        similarities, rows = index.search(QUERIES, 5, banned)
        assert rows.tolist() == [brute_force(VECTORS, query, 5, banned) for query in QUERIES]
        np.testing.assert_allclose(similarities, np.einsum("qd,qkd->qk", QUERIES, VECTORS[rows]), atol=1e-6)
    assert index.search(QUERIES[:1], 5, np.arange(497))[1].tolist() == [
        brute_force(VECTORS, QUERIES[0], 3, np.arange(497))
    ]
    assert index.search(QUERIES, 1000)[1].shape == (10, 500)


def test_the_same_code_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = GpuFlatIndex(store(tmp_path, VECTORS), torch.device("cpu"))
    monkeypatch.setattr("fol.retrieval.index.gpu._SCORES_BYTES", 4 * 500 * 3)  # three queries at once
    monkeypatch.setattr("fol.retrieval.index.gpu._LOADED_BYTES", 4 * 40 * 64)  # eight blocks
    check(index)
    assert index._rows is not None
    assert measure_recall(index, index.descriptors) is not None, "candidates are found in half precision"


def test_without_a_device_the_cpu_answers_the_same(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no CUDA device with room"):
        check(GpuFlatIndex(store(tmp_path, VECTORS), None))


@pytest.mark.gpu
def test_on_a_cuda_device(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    descriptors = store(tmp_path, VECTORS)
    index = GpuFlatIndex.open(descriptors, tmp_path, GpuFlatIndex.build(descriptors, tmp_path, 1, None))
    check(index)
    assert index._rows is not None and index._rows.dtype == torch.half
