"""Maps whose index has files of its own, through ``kill -9`` and through every change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from random_city import RandomCity, assert_holds, build_map
from test_crashes import _contents, _in_a_child

from fol.errors import ConfigError, MapError
from fol.retrieval import IndexOptions, PlaceMap
from fol.retrieval.index import refined


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refined, "_rows_per_part", lambda code_bytes: 8)
    monkeypatch.setattr(refined, "_FEWEST_CANDIDATES", 4)


@pytest.mark.parametrize("recipe", ["sq8", "rabitq", "ivf_sq8"])
def test_building_adding_removing_and_compacting(recipe: str, path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city, index=recipe)
    assert place_map.manifest.index.recipe == recipe and place_map.manifest.index.reason == "as asked for"
    place_map.remove([3, 19])
    left = [i for i in range(20) if i not in (3, 19)]
    assert_holds(place_map, city, left)
    reader = PlaceMap.open(path)
    place_map.add_features(city.identity, city.items(range(20, 27)), batch_size=2)
    assert place_map.manifest.index.parameters["trained_rows"] == 20
    now = left + list(range(20, 27))
    assert_holds(PlaceMap.open(path), city, now)
    place_map.compact()
    assert place_map.manifest.index.parameters["rows"] == len(now)
    assert_holds(PlaceMap.open(path), city, now)
    assert reader.search(city.descriptor(5), 1).ids.tolist() == [5]
    files = {file.name for file in path.iterdir() if file.name.startswith("index-")}
    assert files == {file.name for file in place_map.manifest.index_files}


def test_an_addition_killed_anywhere_leaves_the_old_index_or_the_new(tmp_path: Path, city: RandomCity) -> None:
    start, path = tmp_path / "start.fol", tmp_path / "killed.fol"
    PlaceMap.from_features(start, city.identity, city.items(range(9)), index="rabitq", calibrate=False)
    items = city.items(range(9, 18))

    def add(path: Path) -> None:
        PlaceMap.open(path).add_features(city.identity, items, calibrate=False)

    shutil.copytree(start, tmp_path / "undisturbed.fol")
    add(tmp_path / "undisturbed.fol")
    old, new = _contents(start), _contents(tmp_path / "undisturbed.fol")
    assert {"index-1.rows0", "index-1.rows8"} < set(old) and {"index-1.rows0", "index-2.rows8"} < set(new)
    for moment in range(1, 500, 3):
        shutil.copytree(start, path)
        finished, _ = _in_a_child(lambda progress: add(path), kill_at=moment)
        found = _contents(path)
        assert found in (old, new)
        PlaceMap.open(path).verify()
        if found == old:
            add(path)
            assert _contents(path) == new
        if finished:
            break
        shutil.rmtree(path)
    assert finished and moment > 20


def test_a_build_goes_on_with_the_index_that_it_had(path: Path, city: RandomCity) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_map(path, city, index=IndexOptions("auto", 10**9), progress=stop)
    with pytest.raises(MapError, match="index auto within 1 GB and .* this is .*, index rabitq and"):
        build_map(path, city, index="rabitq")
    place_map = build_map(path, city, index=IndexOptions("auto", 10**9))
    assert place_map.manifest.index.recipe == "flat" and "20 x 16" in place_map.manifest.index.reason
    with pytest.raises(ConfigError, match="choose one of auto"):
        build_map(path.with_name("other.fol"), city, index="best")


@pytest.mark.parametrize("name", ["index-1.trained", "index-1.rows8"])
def test_lost_and_flipped_files_are_named(name: str, path: Path, city: RandomCity) -> None:
    build_map(path, city, index="sq8")
    data = bytearray((path / name).read_bytes())
    data[-1] ^= 1
    (path / name).write_bytes(data)
    with pytest.raises(MapError, match=rf"{name} is damaged"):
        PlaceMap.open(path).verify()
    (path / name).unlink()
    with pytest.raises(MapError, match=rf"{name} is missing"):
        PlaceMap.open(path)
