from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fol.errors import MapError
from fol.retrieval.local_store import LocalStore, encode, record_dtype
from fol.types import LocalFeatures


def _features(length: int, dim: int, seed: int) -> LocalFeatures:
    generator = torch.Generator().manual_seed(seed)
    return LocalFeatures(
        normalize(torch.randn(length, dim, generator=generator), dim=1),
        4000 * torch.rand(length, 2, generator=generator),
        torch.rand(length, generator=generator),
    )


def _store(folder: Path, features: list[LocalFeatures], max_tokens: int, dim: int) -> LocalStore:
    path = folder / "local-1.bin"
    path.write_bytes(encode(features, max_tokens, dim))
    return LocalStore(path, max_tokens, dim, len(features))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=6),
    rows=st.lists(st.integers(0, 5), max_size=8),
    dim=st.sampled_from([1, 3, 8]),
)
def test_what_is_read_is_what_was_written_in_the_order_asked(
    tmp_path: Path, lengths: list[int], rows: list[int], dim: int
) -> None:
    features = [_features(length, dim, seed) for seed, length in enumerate(lengths)]
    store = _store(tmp_path, features, 7, dim)
    rows = [row for row in rows if row < len(lengths)]
    batch = store.read(rows)
    assert batch.lengths == tuple(lengths[row] for row in rows)
    assert batch.descriptors.dtype == batch.positions.dtype == batch.weights.dtype == torch.float32
    for row, found in zip(rows, batch, strict=True):
        assert torch.equal(found.descriptors, features[row].descriptors.half().float())
        assert torch.equal(found.positions, features[row].positions)
        assert torch.equal(found.weights, features[row].weights.half().float())


def test_records_do_not_overlap_and_large_ones_fill_pages() -> None:
    for tokens, dim in [(1, 1), (5, 8), (3600, 128), (961, 64)]:
        layout = record_dtype(tokens, dim)
        fields = layout.fields
        assert fields is not None
        ends = [
            fields[name][1] + fields[name][0].itemsize for name in ("length", "positions", "weights", "descriptors")
        ]
        starts = [fields[name][1] for name in ("positions", "weights", "descriptors")]
        assert all(end <= start for end, start in zip(ends, starts, strict=False))
        assert ends[-1] <= layout.itemsize
        assert fields["positions"][1] % 4 == 0 and fields["descriptors"][1] % 64 == 0
    # 3600 x 128 x 2 bytes of descriptors, 3600 x (8 + 2) of positions and weights: 957,600, less than a page more.
    assert 957_600 < record_dtype(3600, 128).itemsize <= 957_600 + 16 + 63 + 4095
    assert record_dtype(3600, 128).itemsize % 4096 == 0


def test_padding_is_never_returned(tmp_path: Path) -> None:
    features = [_features(2, 3, 0)]
    store = _store(tmp_path, features, 4, 3)
    layout = record_dtype(4, 3)
    record = np.fromfile(store.path, layout)
    record["descriptors"][0, 2:] = 7
    record["weights"][0, 2:] = 7
    record["positions"][0, 2:] = 7
    record.tofile(store.path)
    (found,) = store.read([0])
    assert len(found) == 2
    assert torch.equal(found.descriptors, features[0].descriptors.half().float())
    assert found.weights.max() <= 1


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


def test_only_the_records_asked_for_are_read(tmp_path: Path) -> None:
    store = _store(tmp_path, [_features(50, 16, seed) for seed in range(300)], 50, 16)
    size = record_dtype(50, 16).itemsize
    assert store.path.stat().st_size == 300 * size
    before = _bytes_read()
    store.read([17, 250, 3])
    assert _bytes_read() - before < 3 * size + 1000  # and /proc/self/io itself


def test_features_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MapError, match="5 local features in one image, but the model states at most 4"):
        encode([_features(5, 3, 0)], 4, 3)
    with pytest.raises(MapError, match="do not fit a map of 2-dimensional ones"):
        encode([_features(3, 3, 0)], 4, 2)
    good = _features(3, 3, 0)
    with pytest.raises(MapError, match="do not fit"):
        encode([LocalFeatures(good.descriptors, good.positions[:2], good.weights)], 4, 3)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    store = _store(tmp_path, [_features(2, 3, 0), _features(2, 3, 1)], 4, 3)
    data = bytearray(store.path.read_bytes())
    data[record_dtype(4, 3).itemsize] = 200
    store.path.write_bytes(data)
    assert len(store.read([0])) == 1
    with pytest.raises(MapError, match="is damaged at record 1"):
        store.read([0, 1])
    store.path.write_bytes(data[:-1])
    store.path.write_bytes(data[: record_dtype(4, 3).itemsize - 1])
    with pytest.raises(MapError, match="is truncated at record 0"):
        store.read([0])
