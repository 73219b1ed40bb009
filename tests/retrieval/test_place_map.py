from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from random_city import RandomCity, assert_holds, build_map

from fol.errors import ConfigError, MapError
from fol.retrieval import ModelIdentity, PlaceMap, bytes_per_place
from fol.types import Features, LocalFeatures, Place

_FILES = ["descriptors-1.f32", "local-1.bin", "local-1.table", "local-1.quantiser", "places-1.parquet"]


def test_a_map_gives_back_what_it_was_built_from(path: Path, city: RandomCity) -> None:
    seen: list[tuple[int, int]] = []
    report = PlaceMap.from_features(
        path,
        city.identity,
        city.items(range(20)),
        total=20,
        batch_size=6,
        progress=lambda *state: seen.append(state),
    )
    assert (report.skipped, report.resumed_from) == ((), 0)
    assert seen == [(0, 20), (6, 20), (12, 20), (18, 20), (20, 20)]
    assert_holds(report.place_map, city, list(range(20)))
    opened = PlaceMap.open(path)
    assert_holds(opened, city, list(range(20)))
    assert opened.name == "my città.fol"
    assert opened.fingerprint == city.identity.fingerprint
    assert opened.manifest.model == city.identity
    assert 7 in opened and 20 not in opened and "7" not in opened
    assert sorted(f.name for f in path.parent.iterdir()) == [path.name]
    names = {".lock", "manifest.json", "descriptors-1.f32", "places-1.parquet", "local-1.bin", "local-1.table"}
    names.add("local-1.quantiser")
    assert {f.name for f in path.iterdir()} == names


def test_size_on_the_disk_is_known_before(path: Path, city: RandomCity) -> None:
    build_map(path, city)
    size = sum((path / name).stat().st_size for name in ("descriptors-1.f32", "local-1.bin", "local-1.table"))
    assert 20 * 4 * 16 < size <= 20 * bytes_per_place(city.identity)
    huge = replace(city.identity, max_tokens=10**7)
    with pytest.raises(MapError, match=r"needs \d+\.\d GB for 10000 places, \d+\.\d GB are free"):
        PlaceMap.from_features(path.parent / "huge.fol", huge, city.items(range(1)), total=10_000)
    assert [f.name for f in path.parent.iterdir()] == [path.name]


def test_searching(path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city)
    queries = torch.stack([city.descriptor(i) for i in (100, 101)])
    everything = torch.stack([city.descriptor(i) for i in range(20)])
    found = place_map.search_batch(queries, 50)
    for query, candidates in zip(queries, found, strict=True):
        order = (everything @ query).argsort(descending=True)
        assert candidates.ids.tolist() == order.tolist()  # 20 of the 50 asked for are there
        np.testing.assert_allclose(candidates.similarities, (everything @ query)[order], atol=1e-6)
        assert candidates.ids.dtype == np.int64 and candidates.similarities.dtype == np.float32
        alone = place_map.search(query.numpy(), 3, exclude=candidates.ids[:2])
        assert alone.ids.tolist() == candidates.ids[2:5].tolist()
    with pytest.raises(MapError, match="shape"):
        place_map.search(torch.ones(17) / 17**0.5, 3)
    with pytest.raises(MapError, match="not finite"):
        place_map.search(torch.full((16,), torch.nan), 3)
    with pytest.raises(ConfigError, match="k=0"):
        place_map.search(queries[0], 0)


def test_unknown_ids_are_named(path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city)
    for call in (place_map.local_features, place_map.places, place_map.descriptors, place_map.remove):
        with pytest.raises(MapError, match="has no place 20"):
            call([3, 20])
    with pytest.raises(MapError, match="has no place -1"):
        place_map.place(-1)
    assert len(PlaceMap.open(path)) == 20


def test_another_model_is_refused_by_name(path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city)
    other = replace(city.identity, name="fol_vitl14", fingerprint="cd34" * 16)
    wanted = (
        rf"map {path} was built with random \(ab12ab12\), this model is fol_vitl14 \(cd34cd34\): "
        "load that model, or build a map with this one"
    )
    with pytest.raises(MapError, match=wanted):
        place_map.add_features(other, city.items([20]))
    with pytest.raises(MapError, match=wanted):
        PlaceMap.open(path, other)  # type: ignore[arg-type]
    assert len(PlaceMap.open(path, city.identity)) == 20  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*_FILES, "manifest.json"])
def test_truncated_and_missing_files_are_named(path: Path, city: RandomCity, name: str) -> None:
    build_map(path, city)
    file = path / name
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(MapError, match=rf"{name} is (truncated|damaged).*(build the map again|restore)") as caught:
        PlaceMap.open(path)
    assert "\n" not in str(caught.value)
    file.unlink()
    with pytest.raises(MapError, match=rf"{name}"):
        PlaceMap.open(path)


@pytest.mark.parametrize("name", _FILES)
def test_flipped_bits_are_found(path: Path, city: RandomCity, name: str) -> None:
    build_map(path, city)
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data)
    with pytest.raises(MapError, match=rf"{name} is damaged"):
        PlaceMap.open(path).verify()


def test_a_map_moves_alone_and_with_its_photos(tmp_path: Path) -> None:
    home = tmp_path / "home sweet"
    city = RandomCity(root=home / "photos")
    city.root.mkdir(parents=True)
    build_map(home / "maps" / "a.fol", city)
    alone = tmp_path / "b.fol"
    shutil.copytree(home / "maps" / "a.fol", alone)
    assert_holds(PlaceMap.open(alone), city, list(range(20)))
    home.rename(tmp_path / "café")
    moved = PlaceMap.open(tmp_path / "café" / "maps" / "a.fol")
    assert_holds(moved, replace(city, root=tmp_path / "café" / "photos"), list(range(20)))


def test_images_that_give_no_usable_features_are_skipped_and_reported(path: Path, city: RandomCity) -> None:
    items = city.items(range(5))
    nan = torch.full((16,), torch.nan)
    items[1] = (items[1][0], Features(nan, items[1][1].local))
    local = city.features(4).local
    broken = LocalFeatures(local.descriptors.clone(), local.positions, local.weights * torch.inf)
    items[3] = (items[3][0], Features(items[3][1].descriptor, broken))
    items[4] = (replace(items[4][0], name="\udcff.jpg"), items[4][1])
    report = PlaceMap.from_features(path, city.identity, items)
    assert [(s.name, s.reason) for s in report.skipped] == [
        (city.place(1).name, "the model's features of it are not finite"),
        (city.place(3).name, "the model's features of it are not finite"),
        (r"\udcff.jpg", "its path or metadata are not valid UTF-8: rename the file or folder"),
    ]
    assert report.place_map.skipped == PlaceMap.open(path).skipped == report.skipped
    assert_holds(report.place_map, city, [0, 2])  # ids are positions in the list
    report = report.place_map.add_features(city.identity, city.items([5]))
    assert_holds(report.place_map, city, [0, 2, 5])
    assert len(report.place_map.skipped) == 3


def test_no_usable_image_no_map(path: Path, city: RandomCity) -> None:
    bad = [(place, Features(f.descriptor * torch.nan, f.local)) for place, f in city.items(range(3))]
    with pytest.raises(MapError, match=r"none of the 3 photos for .* could be used \(street/photo 0000 é.jpg: the"):
        PlaceMap.from_features(path, city.identity, bad)
    with pytest.raises(MapError, match="none of the 0 photos"):
        PlaceMap.from_features(path, city.identity, [])
    assert list(path.parent.iterdir()) == []
    place_map = build_map(path, city)
    with pytest.raises(MapError, match="none of the 3 photos"):
        place_map.add_features(city.identity, bad)
    assert_holds(PlaceMap.open(path), city, list(range(20)))
    place_map.add_features(city.identity, city.items([20]))
    assert_holds(PlaceMap.open(path), city, list(range(21)))


def test_features_of_another_size_stop_the_build_and_leave_nothing(path: Path, city: RandomCity) -> None:
    narrow = replace(city, identity=replace(city.identity, descriptor_dim=8))
    with pytest.raises(MapError, match=r"shape \[3, 8\] given to a map of 16-dimensional ones"):
        PlaceMap.from_features(path, city.identity, narrow.items(range(3)))
    assert list(path.parent.iterdir()) == []
    with pytest.raises(ConfigError, match="recipe 'ivf' is unknown"):
        build_map(path, city, index="ivf")


def test_maps_without_local_features(path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city, store_local=False)
    assert not place_map.has_local_features
    assert not (path / "local-1.bin").exists()
    assert place_map.local_features([3, 4]).lengths == (0, 0)
    assert place_map.search(city.descriptor(3), 1).ids.tolist() == [3]
    place_map.add_features(city.identity, city.items([20]))
    assert place_map.search(city.descriptor(20), 1).ids.tolist() == [20]
    single = ModelIdentity("single", "00" * 32, "fol", 16, 0, 0)
    items = [(place, Features(f.descriptor, LocalFeatures.empty())) for place, f in city.items(range(3))]
    other = PlaceMap.from_features(path.with_name("single.fol"), single, items).place_map
    assert not other.has_local_features and len(other) == 3


def test_places_may_lack_everything_but_a_name(path: Path, city: RandomCity) -> None:
    items = [(Place(f"{i}.jpg", Path(f"/r/{i}.jpg")), city.features(i)) for i in range(3)]
    place_map = PlaceMap.from_features(path, city.identity, items).place_map
    assert place_map.place(1) == items[1][0]
    assert np.isnan(place_map.positions()).all()


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


def _resident(path: Path) -> int:
    """KiB of a mapped file that this process has touched."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split(maxsplit=1)[0]
        if not first.endswith(":"):
            ours = line.endswith(str(path))
        elif ours and first == "Rss:":
            total += int(line.split()[1])
    return total


@pytest.mark.parametrize("dim", [32, pytest.param(8448, marks=pytest.mark.slow)])  # 8448: 0.2 GB of descriptors
def test_opening_a_large_map_reads_neither_descriptors_nor_local_features(tmp_path: Path, dim: int) -> None:
    identity = ModelIdentity("random", "ab12" * 16, "fol", dim, 4, 2)
    vectors = torch.nn.functional.normalize(torch.randn(6_000, 32, generator=torch.Generator().manual_seed(0)))
    local = LocalFeatures(torch.eye(4)[:2], torch.zeros(2, 2), torch.ones(2))

    def descriptor(i: int) -> torch.Tensor:
        return torch.nn.functional.pad(vectors[i], (0, dim - 32))

    items = ((Place(f"{i}", tmp_path / f"{i}"), Features(descriptor(i), local)) for i in range(6_000))
    path = tmp_path / "large.fol"
    PlaceMap.from_features(path, identity, items, batch_size=2000)
    before, start = _bytes_read(), time.perf_counter()
    place_map = PlaceMap.open(path)
    print(f"opened in {time.perf_counter() - start:.3f} s")
    places_size = (path / "places-1.parquet").stat().st_size
    assert _bytes_read() - before < places_size + 100_000
    assert _resident(path / "descriptors-1.f32") == 0
    before, start = _bytes_read(), time.perf_counter()
    assert place_map.search(descriptor(5_777), 10).ids[0] == 5_777
    print(f"searched in {time.perf_counter() - start:.3f} s")
    assert _bytes_read() - before < 100_000  # the descriptors are mapped, the local features not touched
    before = _bytes_read()
    place_map.local_features(np.arange(0, 6_000, 60))
    assert _bytes_read() - before < 100 * 200 + 10_000
