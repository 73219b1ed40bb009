"""The cache of features: the same features as extracted, of the right photo and model, whatever happened meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import fol
from fol.errors import ConfigError, DataError
from fol.extraction import extract_places
from fol.retrieval.feature_cache import Demand, FeatureCache, check_room, fill, photo_keys
from fol.retrieval.feature_cache.part import DESCRIPTORS, LOCAL, LOCAL_KEYS
from fol.types import Extractor, Features, Place


def draw(path: Path, seed: int) -> Place:
    blocks = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks).resize((90 + seed, 70), Image.Resampling.BILINEAR).save(path)
    return Place(path.name, path)


@pytest.fixture(scope="module")
def model() -> Extractor:
    return fol.load_model("fol_tiny_untrained", image_size=(140, 140))


@pytest.fixture
def places(tmp_path: Path) -> list[Place]:
    return [draw(tmp_path / f"photos/{i}.png", i) for i in range(6)]


def extracted(model: Extractor, places: list[Place], short_side: int | None = None) -> list[Features]:
    batches = extract_places(model, places, batch_size=1, short_side=short_side)
    return [features for batch in batches for _, features in batch.features]


def check(cache: FeatureCache, keys: np.ndarray, expected: list[Features]) -> None:
    rows = cache.descriptors(keys)
    assert rows.ids.tolist() == list(range(len(keys)))
    want = torch.stack([features.descriptor for features in expected]).numpy()
    assert np.allclose(rows.read(rows.ids), want, atol=2e-6)
    backwards = np.arange(len(keys))[::-1]
    for found, number in zip(cache.local_features(keys[backwards]), backwards.tolist(), strict=True):
        local = expected[number].local
        assert len(found) == len(local)
        assert torch.allclose(found.descriptors, local.descriptors, atol=1e-3)
        assert torch.allclose(found.positions, local.positions, atol=0.05)
        assert torch.allclose(found.weights, local.weights, atol=1e-3)


def test_gives_what_was_extracted(tmp_path: Path, model: Extractor, places: list[Place]) -> None:
    cache, keys = FeatureCache(tmp_path / "cache", model), photo_keys(places)
    assert not cache.has_descriptors(keys).any()
    seen: list[tuple[int, int]] = []
    assert fill(cache, model, places[2:5], keys[2:5], local=True, batch_size=2) == {}
    fill(cache, model, places, keys, local=True, batch_size=2, progress=lambda *at: seen.append(at))
    assert seen == [(3, 6), (5, 6), (6, 6)]  # three were there
    check(cache, keys, extracted(model, places))
    check(FeatureCache(tmp_path / "cache", model), keys, extracted(model, places))


def test_local_features_of_some_later(tmp_path: Path, model: Extractor, places: list[Place]) -> None:
    cache, keys = FeatureCache(tmp_path / "cache", model), photo_keys(places)
    fill(cache, model, places, keys, local=False)
    assert cache.has_descriptors(keys).all()
    assert not cache.has_local(keys).any()
    fill(cache, model, [places[4], places[1]], keys[[4, 1]], local=True)
    assert np.flatnonzero(cache.has_local(keys)).tolist() == [1, 4]
    with pytest.raises(KeyError):
        cache.local_features(keys)
    fill(cache, model, places, keys, local=True)
    check(cache, keys, extracted(model, places))
    rows = sum(len(np.fromfile(part / "descriptors.keys", "<u8")) for part in cache.folder.iterdir())
    assert rows == 6  # no descriptor is there twice


def test_nothing_to_do_reads_no_photo(tmp_path: Path, model: Extractor, places: list[Place]) -> None:
    cache, keys = FeatureCache(tmp_path / "cache", model), photo_keys(places)
    fill(cache, model, places, keys, local=True)
    for place in places:
        place.image.unlink()
    assert fill(cache, model, places, keys, local=True) == {}


def test_a_changed_photo_is_another(tmp_path: Path, model: Extractor, places: list[Place]) -> None:
    cache, keys = FeatureCache(tmp_path / "cache", model), photo_keys(places)
    fill(cache, model, places, keys, local=True)
    draw(places[3].image, 77)
    again = photo_keys(places)
    assert np.flatnonzero(again != keys).tolist() == [3]
    assert np.flatnonzero(~cache.has_descriptors(again)).tolist() == [3]
    fill(cache, model, places, again, local=True)
    check(cache, again, extracted(model, places))


def test_same_size_and_time_but_another_file(tmp_path: Path) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    for path, content in ((first, b"one"), (second, b"two")):
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
    one, two = photo_keys([Place("a", first), Place("a", second)])
    assert one != two


def test_a_hard_link_is_the_same_photo(tmp_path: Path, model: Extractor, places: list[Place]) -> None:
    cache, keys = FeatureCache(tmp_path / "cache", model), photo_keys(places)
    fill(cache, model, places, keys, local=True)
    link = tmp_path / "link.png"
    link.hardlink_to(places[2].image)
    assert photo_keys([Place("link", link)])[0] == keys[2]


def test_other_models_and_transforms_have_folders_of_their_own(tmp_path: Path, model: Extractor) -> None:
    others = [
        fol.load_model("fol_tiny_untrained", image_size=(154, 154)),
        fol.load_model("fol_tiny_untrained", image_size=(140, 140), preset="official"),
        fol.load_model("fol_vits14_untrained", image_size=(140, 140)),
    ]
    folders = {FeatureCache(tmp_path / "cache", each).folder for each in [model, *others]}
    assert len(folders) == 4


def test_resizing_queries_is_part_of_the_key(tmp_path: Path, model: Extractor, places: list[Place]) -> None:
    cache = FeatureCache(tmp_path / "cache", model)
    plain, small = photo_keys(places), photo_keys(places, short_side=20)
    assert not np.isin(plain, small).any()
    fill(cache, model, places, plain, local=True)
    fill(cache, model, places, small, local=True, short_side=20)
    check(cache, plain, extracted(model, places))
    check(cache, small, extracted(model, places, short_side=20))


def test_unusable_photos_are_told_and_tried_again(tmp_path: Path, model: Extractor, places: list[Place]) -> None:
    places[1].image.write_bytes(b"no photo")
    places.append(Place("gone.png", tmp_path / "gone.png"))
    cache, keys = FeatureCache(tmp_path / "cache", model), photo_keys(places)
    assert set(fill(cache, model, places, keys, local=True)) == {"1.png", "gone.png"}
    draw(places[1].image, 1)
    draw(places[-1].image, 20)
    keys = photo_keys(places)
    assert fill(cache, model, places, keys, local=True) == {}
    check(cache, keys, extracted(model, places))


@pytest.mark.parametrize("torn", [DESCRIPTORS, LOCAL, LOCAL_KEYS])
def test_what_a_kill_left_behind_is_cut_off(tmp_path: Path, model: Extractor, places: list[Place], torn: str) -> None:
    cache, keys = FeatureCache(tmp_path / "cache", model), photo_keys(places)
    fill(cache, model, places[:3], keys[:3], local=True)
    with (cache.folder / "part-000" / torn).open("ab") as file:
        file.write(b"\x17" * 5)
    check(FeatureCache(tmp_path / "cache", model), keys[:3], extracted(model, places[:3]))  # a reader cuts nothing
    cache = FeatureCache(tmp_path / "cache", model)
    fill(cache, model, places, keys, local=True)
    check(cache, keys, extracted(model, places))


def test_two_writers_at_once(tmp_path: Path, model: Extractor, places: list[Place]) -> None:
    keys = photo_keys(places)
    cache = FeatureCache(tmp_path / "cache", model)
    with cache.writer() as other:
        fill(cache, model, places[:3], keys[:3], local=True)
        assert [part.name for part in sorted(cache.folder.iterdir())] == ["part-000", "part-001"]
        found = extracted(model, places[3:])
        other.append_local(keys[3:], [features.local for features in found])
        other.append_descriptors(keys[3:], [features.descriptor for features in found])
    cache.reload()
    check(cache, keys, extracted(model, places))


def test_another_process_may_write_at_once(tmp_path: Path, model: Extractor, places: list[Place]) -> None:
    cache = FeatureCache(tmp_path / "cache", model)
    code = (
        "import sys; from pathlib import Path; from fol.files import writer_lock\n"
        "with writer_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    (cache.folder / "part-000").mkdir()
    command = [sys.executable, "-c", code, str(cache.folder / "part-000")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        holder.stdout.readline()
        fill(cache, model, places, photo_keys(places), local=True)
        assert (cache.folder / "part-001" / DESCRIPTORS).stat().st_size > 0
        holder.stdin.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path, model: Extractor) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made"):
        FeatureCache(tmp_path / "file", model)


def test_demand_by_arithmetic(tmp_path: Path, model: Extractor) -> None:
    cache = FeatureCache(tmp_path / "cache", model)
    image = model.max_tokens * (2 * model.local_dim + 2) + 1400 + 24 + 8
    demand = Demand.of(cache, descriptors=100, local=90, database=80, queries=10, candidates=5)
    assert demand == Demand(100 * (4 * model.descriptor_dim + 8), 90 * image, 60 * image)
    few = Demand.of(cache, descriptors=100, local=90, database=20, queries=10, candidates=5)
    assert few.candidates_local == 30 * image


def test_room_decides_what_is_kept(tmp_path: Path, model: Extractor) -> None:
    cache = FeatureCache(tmp_path / "cache", model)
    demand = Demand(1000, 50_000, 4000)
    assert check_room(cache, demand, 51_000)
    assert not check_room(cache, demand, 50_999)
    assert not check_room(cache, demand, 5000)
    with pytest.raises(ConfigError, match="max_disk=5e-06 GB"):
        check_room(cache, demand, 4999)
    with pytest.raises(ConfigError, match="are free: give cache="):
        check_room(cache, Demand(10**18, 0, 0), None)


def test_sf_xl_fits_on_500_gb(tmp_path: Path) -> None:
    """All four test sets of SF-XL with FoL ViT-L at 504 px: 8448-d descriptors, at most 3600 local features of 128."""
    large = SimpleNamespace(fingerprint="f" * 64, descriptor_dim=8448, local_dim=128, max_tokens=3600)
    cache = FeatureCache(tmp_path / "cache", large)  # type: ignore[arg-type]
    database, queries = 2_805_840, 1000 + 598 + 466 + 76
    photos = database + queries
    demand = Demand.of(cache, descriptors=photos, local=photos, database=database, queries=queries, candidates=100)
    assert round(demand.descriptors / 1e9, 1) == 94.9
    assert round(demand.all_local / 1e12, 1) == 2.6  # what nobody needs
    assert round(demand.candidates_local / 1e9) == 201
    assert demand.descriptors + demand.candidates_local < 500e9
