from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fol.errors import ConfigError, MapError
from fol.matching.quantisation import QuantisedLocalFeatures
from fol.retrieval.local_options import Bits, LocalStoreOptions
from fol.retrieval.local_records import TABLE_ROW, row_bytes
from fol.retrieval.local_store import LocalEncoder, LocalStore, read_quantiser
from fol.types import LocalFeatures, LocalFeaturesBatch

_ALL_BITS: list[Bits] = [16, 8, 4, 2, 1]


def _features(length: int, dim: int, seed: int, common: float = 0.5) -> LocalFeatures:
    """Unit rows with a common direction, anywhere in an image of 4000 pixels."""
    generator = torch.Generator().manual_seed(seed)
    return LocalFeatures(
        normalize(common + torch.randn(length, dim, generator=generator), dim=1),
        4000 * torch.rand(length, 2, generator=generator),
        torch.rand(length, generator=generator),
    )


def _store(folder: Path, features: list[LocalFeatures], dim: int, bits: Bits, batch: int = 3) -> LocalStore:
    paths = [folder / name for name in ("local-1.bin", "local-1.table", "local-1.quantiser")]
    for path in paths:
        path.unlink(missing_ok=True)
    encoder = LocalEncoder(paths[2], 4096, dim, LocalStoreOptions(bits), known=False)
    for first in range(0, len(features), batch):
        with paths[0].open("ab") as file, paths[1].open("ab") as table:
            records, lines = encoder.encode(features[first : first + batch], file.tell())
            file.write(records)
            table.write(lines)
    quantiser = read_quantiser(paths[2]) if paths[2].exists() else None
    return LocalStore(paths[0], paths[1], paths[0].stat().st_size, len(features), dim, bits, quantiser)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=6),
    rows=st.lists(st.integers(0, 5), max_size=8),
    dim=st.sampled_from([1, 3, 8]),
    bits=st.sampled_from(_ALL_BITS),
)
def test_what_is_read_is_what_was_written_in_the_order_asked(
    tmp_path: Path, lengths: list[int], rows: list[int], dim: int, bits: Bits
) -> None:
    features = [_features(length, dim, seed) for seed, length in enumerate(lengths)]
    store = _store(tmp_path, features, dim, bits)
    rows = [row for row in rows if row < len(lengths)]
    batch = store.read(rows)
    assert batch.lengths == tuple(lengths[row] for row in rows)
    assert batch.positions.dtype == batch.weights.dtype == torch.float32
    for i, (row, found) in enumerate(zip(rows, batch, strict=True)):
        wanted = features[row]
        assert torch.allclose(found.positions, wanted.positions, atol=4000 / 65535)
        if bits == 16:
            assert torch.equal(found.descriptors, wanted.descriptors.half().float())
            assert torch.equal(found.weights, wanted.weights.half().float())
            continue
        assert isinstance(batch, QuantisedLocalFeatures)
        assert torch.allclose(found.weights, wanted.weights, atol=0.5001 / 255)
        rows_of = slice(sum(batch.lengths[:i]), sum(batch.lengths[: i + 1]))
        codes, bias = store.quantiser.encode(wanted.descriptors)
        # The bias is kept in steps of its range in the image, 65,535 or 255 of them.
        assert torch.allclose(batch.bias[rows_of], bias, atol=1e-4 if bits == 8 else 0.5 * 2 / 255)
        if bits == 8:
            assert torch.equal(batch.codes[rows_of], codes)


@pytest.mark.parametrize("common", [0.0, 3.0])  # 3: cosines of 0.9 between any two
@pytest.mark.parametrize(("bits", "error"), [(8, 0.05), (4, 0.13), (2, 0.4), (1, 0.8)])
def test_similarities_survive(tmp_path: Path, bits: Bits, error: float, common: float) -> None:
    features = [_features(200, 128, seed, common) for seed in range(4)]
    batch = _store(tmp_path, features, 128, bits).read([2, 3])
    assert isinstance(batch, QuantisedLocalFeatures)
    quantiser = batch.quantiser
    query = features[0].descriptors
    codes, bias = quantiser.encode(query)
    found = (
        codes.float() @ batch.codes.float().T / quantiser.scale**2 + bias[:, None] + batch.bias - quantiser.squared_mean
    )
    wanted = query @ torch.cat([features[2].descriptors, features[3].descriptors]).T
    off = found - wanted
    # What the codes lose is in proportion to how much the similarities differ at all, and has no preferred sign.
    assert off.std() < error * wanted.std()
    assert abs(off.mean()) < 0.02 * wanted.std() + 1e-4


def test_the_quantiser_of_the_first_batch_is_kept(tmp_path: Path) -> None:
    features = [_features(20, 8, seed) for seed in range(6)]
    _store(tmp_path, features[:3], 8, 8)
    path = tmp_path / "local-1.quantiser"
    first = read_quantiser(path)
    assert torch.allclose(first.mean, torch.cat([f.descriptors for f in features[:3]]).mean(0))
    content = path.read_bytes()
    LocalEncoder(path, 4096, 8, LocalStoreOptions(), known=True).encode(features[3:], 0)
    assert path.read_bytes() == content
    LocalEncoder(path, 4096, 8, LocalStoreOptions(), known=False).encode(
        features[3:], 0
    )  # of a build that starts again
    assert path.read_bytes() != content


def test_positions_and_weights_cost_a_third_of_a_byte(tmp_path: Path) -> None:
    """Tokens of a model: 225 of 23 x 23 patches, 16 cells each, weights between the patches' ones."""
    generator = torch.Generator().manual_seed(0)
    region = torch.rand(1, 1, 6, 6, generator=generator)
    region = torch.nn.functional.interpolate(region, (23, 23), mode="bicubic", align_corners=True).clamp(0.01, 1)
    weights = torch.nn.functional.interpolate(region, (89, 89), mode="bilinear", align_corners=True)[0, 0]
    weights = weights / weights.max()
    chosen = torch.zeros(529, dtype=torch.bool).scatter(0, region.flatten().topk(225).indices, True).view(23, 23)
    near = (torch.arange(89) + 2) // 4
    mask = chosen[near][:, near]
    y, x = mask.nonzero().T
    positions = torch.stack([(3.5 * x + 7) * (1920 / 322), (3.5 * y + 7) * (1080 / 322)], dim=1)
    tokens = len(x)
    local = LocalFeatures(_features(tokens, 128, 1).descriptors, positions, weights[mask])
    for bits, budget in ((8, 440_000), (2, 122_000), (1, 62_000)):
        store = _store(tmp_path, [local], 128, bits)
        assert (store.size + TABLE_ROW.itemsize) * 3370 / tokens <= budget
        (found,) = store.read([0])
        assert torch.allclose(found.positions, positions, atol=1e-3)
        assert torch.allclose(found.weights, weights[mask], atol=1 / 255 + 1e-6)
    store = _store(tmp_path, [local], 128, 16)
    assert torch.equal(store.read([0])[0].weights, weights[mask].half().float())


def test_tokens_in_any_order_keep_it(tmp_path: Path) -> None:
    raster = torch.tensor([[7.0, 7.0], [10.5, 7.0], [7.0, 10.5]])
    for positions in (raster, raster.flip(0), raster[[0, 0, 1]], torch.zeros(3, 2), raster[:1] - 40, raster[:1]):
        good = _features(len(positions), 3, 0)
        local = LocalFeatures(good.descriptors, positions, good.weights)
        for bits in (16, 8):
            (found,) = _store(tmp_path, [local], 3, bits).read([0])
            assert torch.allclose(found.positions, positions, atol=1e-4)
            assert torch.allclose(found.weights, good.weights, atol=0.003)


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


@pytest.mark.parametrize("bits", _ALL_BITS)
def test_only_the_records_asked_for_are_read(tmp_path: Path, bits: Bits) -> None:
    store = _store(tmp_path, [_features(50, 16, seed) for seed in range(60)], 16, bits)
    size = store.path.stat().st_size / 60
    before = _bytes_read()
    store.read([17, 50, 3])
    assert _bytes_read() - before < 3 * size + 1000  # and /proc/self/io itself


def test_features_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    encoder = LocalEncoder(tmp_path / "q", 4, 3, LocalStoreOptions(), known=False)
    with pytest.raises(MapError, match="5 local features in one image, but the model states at most 4"):
        encoder.encode([_features(5, 3, 0)], 0)
    with pytest.raises(MapError, match="do not fit a map of 3-dimensional ones"):
        encoder.encode([_features(3, 2, 0)], 0)
    good = _features(3, 3, 0)
    with pytest.raises(MapError, match="do not fit"):
        encoder.encode([LocalFeatures(good.descriptors, good.positions[:2], good.weights)], 0)
    assert not (tmp_path / "q").exists()
    with pytest.raises(ConfigError, match=r"local.bits=3: choose one of 1, 2, 4, 8, 16"):
        LocalStoreOptions(bits=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", _ALL_BITS)
def test_damage_is_named(tmp_path: Path, bits: Bits) -> None:
    store = _store(tmp_path, [_features(9, 8, seed) for seed in range(2)], 8, bits)
    good = store.path.read_bytes()
    line = store.table([1])[0]
    start, head = int(line["start"]), int(line["head"])
    for byte in range(start, start + head):  # any byte of a head
        store.path.write_bytes(good[:byte] + bytes([good[byte] ^ 16]) + good[byte + 1 :])
        assert store.read([0]).lengths == (9,)
        with pytest.raises(MapError, match=f"local-1.bin is damaged at byte {start}: restore it from a copy, or build"):
            store.read([0, 1])
    rows = start + head + 3  # the rows are checked where the whole record is
    store.path.write_bytes(good[:rows] + bytes([good[rows] ^ 16]) + good[rows + 1 :])
    with pytest.raises(MapError, match=f"local-1.bin is damaged at byte {start}"):
        store.raw(line)
    for size in (len(good) - 1, start + 1, start):
        store.path.write_bytes(good[:size])
        assert store.read([0]).lengths == (9,)
        with pytest.raises(MapError, match=f"local-1.bin is damaged at byte {start}"):
            store.read([1])


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    store = _store(tmp_path, [_features(9, 8, seed) for seed in range(2)], 8, 8)
    path = tmp_path / "local-1.table"
    good = np.fromfile(path, TABLE_ROW)
    for field, value in (("start", 2**63), ("start", store.size + 1), ("tokens", 2**32 - 1), ("head", 2**31)):
        table = good.copy()
        table[field][1] = value
        table.tofile(path)
        assert len(store.read([0])) == 1
        with pytest.raises(MapError, match=r"local-1.table is damaged at record 1: build the map again"):
            store.read([0, 1])
    path.write_bytes(good.tobytes()[:-1])
    with pytest.raises(MapError, match=r"local-1.table is truncated at record 1: build the map again"):
        store.read([1])
    quantiser = tmp_path / "local-1.quantiser"
    quantiser.write_bytes(quantiser.read_bytes()[:-1])
    with pytest.raises(MapError, match=r"local-1.quantiser is damaged"):
        read_quantiser(quantiser)


@pytest.mark.parametrize("bits", [8, 1])
def test_threads_share_a_store(tmp_path: Path, bits: Bits) -> None:
    store = _store(tmp_path, [_features(40 + seed, 16, seed) for seed in range(30)], 16, bits)
    wanted = [store.read([row]) for row in range(30)]
    wrong: list[int] = []

    def work(seed: int) -> None:
        for row in np.random.default_rng(seed).permutation(np.repeat(np.arange(30), 5)).tolist():
            found, expected = store.read([row]), wanted[row]
            assert isinstance(found, QuantisedLocalFeatures) and isinstance(expected, QuantisedLocalFeatures)
            if not torch.equal(found.codes, expected.codes) or not torch.equal(found.bias, expected.bias):
                wrong.append(row)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_no_tokens_at_all(tmp_path: Path) -> None:
    for bits in _ALL_BITS:
        store = _store(tmp_path, [_features(0, 8, 0)] * 2, 8, bits)
        batch = store.read([1, 0])
        assert batch.lengths == (0, 0) and list(map(len, batch)) == [0, 0]
        assert isinstance(batch, LocalFeaturesBatch if bits == 16 else QuantisedLocalFeatures)
        assert store.read([]).lengths == ()


def test_rows_have_no_padding() -> None:
    assert [row_bytes(128, bits) for bits in _ALL_BITS] == [256, 128, 64, 32, 16]
    assert [row_bytes(3, bits) for bits in _ALL_BITS] == [6, 3, 2, 1, 1]
