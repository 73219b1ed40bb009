from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from random_city import RandomCity, assert_holds, build_map

from fol.errors import MapError
from fol.retrieval import LocalStoreOptions, PlaceMap


def test_adding_and_removing(path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city)
    local_file = (path / "local-1.bin").read_bytes()
    assert place_map.remove([3, 19, 3]) == 2
    left = [i for i in range(20) if i not in (3, 19)]
    assert_holds(place_map, city, left)
    for i in (3, 19):
        assert i not in place_map.search(city.descriptor(i), 20).ids
        with pytest.raises(MapError, match=f"no place {i}"):
            place_map.local_features([i])
    report = place_map.add_features(city.identity, city.items(range(20, 25)), batch_size=2)
    assert report.place_map is place_map
    assert_holds(place_map, city, left + list(range(20, 25)))  # 19 is free and not given again
    assert_holds(PlaceMap.open(path), city, left + list(range(20, 25)))
    assert (path / "local-1.bin").read_bytes()[: len(local_file)] == local_file
    place_map.remove(place_map.ids)
    assert len(place_map) == len(place_map.search(city.descriptor(0), 5)) == 0
    with pytest.raises(MapError, match="has no place 0"):
        place_map.place(0)
    place_map.add_features(city.identity, city.items([25]))
    assert_holds(place_map, city, [25])


def test_a_reader_goes_on_with_what_it_opened(path: Path, city: RandomCity) -> None:
    writer = build_map(path, city)
    reader = PlaceMap.open(path)
    for step in range(4):  # more than one, as files are deleted by the change after the one that replaced them
        writer.remove([step])
        writer.add_features(city.identity, city.items([20 + step]))
        assert_holds(reader, city, list(range(20)))
    assert_holds(PlaceMap.open(path), city, list(range(4, 24)))
    assert 1 <= len(list(path.glob("places-*"))) <= 2
    build_map(path, replace(city, seed=1), overwrite=True)
    assert_holds(reader, city, list(range(20)))
    assert_holds(PlaceMap.open(path), replace(city, seed=1), list(range(20)))


def test_two_objects_that_write_in_turn(path: Path, city: RandomCity) -> None:
    first = build_map(path, city)
    second = PlaceMap.open(path)
    first.remove([0])
    second.remove([1])  # starts from what is on the disk, not from what it opened
    with pytest.raises(MapError, match="no place 0"):
        second.remove([0])
    first.add_features(city.identity, city.items([20]))
    assert_holds(first, city, list(range(2, 21)))


def test_two_writers_do_not_collide(path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city)
    other = PlaceMap.open(path)

    def meddle(done: int, total: int) -> None:
        for change in (
            lambda: other.remove([1]),
            lambda: other.add_features(city.identity, city.items([30])),
            lambda: build_map(path, city, overwrite=True),
        ):
            with pytest.raises(MapError, match="is being written by another process"):
                change()

    place_map.add_features(city.identity, city.items([20]), progress=meddle)
    assert_holds(PlaceMap.open(path), city, list(range(21)))

    def build_too(done: int, total: int) -> None:
        with pytest.raises(MapError, match="is being written by another process"):
            build_map(path.with_name("new.fol"), city)

    build_map(path.with_name("new.fol"), city, progress=build_too)
    assert_holds(PlaceMap.open(path.with_name("new.fol")), city, list(range(20)))


def test_an_existing_map_is_replaced_only_on_request_and_only_when_complete(path: Path, city: RandomCity) -> None:
    build_map(path, city)
    with pytest.raises(MapError, match="exists: choose another name, add to it, or replace it with overwrite=True"):
        build_map(path, city)
    other = replace(city, seed=1)

    def fail(done: int, total: int) -> None:
        assert_holds(PlaceMap.open(path), city, list(range(20)))
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_map(path, other, overwrite=True, progress=fail)
    assert_holds(PlaceMap.open(path), city, list(range(20)))
    report = PlaceMap.from_features(
        path, other.identity, other.items(range(20)), batch_size=6, overwrite=True, calibrate=False
    )
    assert report.resumed_from == 12
    assert_holds(report.place_map, other, list(range(20)))
    assert [f.name for f in path.parent.iterdir()] == [path.name]


def test_nothing_but_a_map_is_ever_replaced(tmp_path: Path, city: RandomCity) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").touch()
    for target in (photos, photos / "a.jpg"):
        with pytest.raises(MapError, match="holds other things than a map"):
            build_map(target, city, overwrite=True)
    with pytest.raises(MapError, match="cannot be made"):
        build_map(photos / "a.jpg" / "map.fol", city)
    assert (photos / "a.jpg").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_holds(build_map(empty, city), city, list(range(20)))


def test_what_killed_writers_left_is_deleted_and_other_files_are_not(path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city)
    names = (".4711-manifest.json.tmp", ".4711-places-2.csv.tmp", "journal.jsonl.tmp")  # the last as older versions did
    for name in names:
        (path / name).write_bytes(b"half")
    place_map.remove([0])
    assert not any((path / name).exists() for name in names)
    (path / names[0]).write_bytes(b"half")
    assert_holds(build_map(path, city, overwrite=True), city, list(range(20)))
    (path / ".4711-notes.txt.tmp").touch()
    with pytest.raises(MapError, match="holds other things than a map"):
        build_map(path, city, overwrite=True)


def test_unfinished_work_is_not_mixed_with_other_work(path: Path, city: RandomCity) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    def interrupt(work: Callable[[], object]) -> None:
        with pytest.raises(KeyboardInterrupt):
            work()

    interrupt(lambda: build_map(path, city, progress=stop))
    with pytest.raises(MapError, match=r"is not finished: run the same build again"):
        PlaceMap.open(path)
    with pytest.raises(MapError, match=r"no manifest.json"):
        PlaceMap.open(path.with_name(path.name + ".partial"))
    changed = replace(city.identity, fingerprint="cd" * 32, name="other")
    with pytest.raises(
        MapError, match=r"12 finished images of a build with random \(ab12ab12\).* this is other \(cdcdcdcd\)"
    ):
        build_map(path, replace(city, identity=changed))
    with pytest.raises(MapError, match="with random .* 8-bit local features, this is random .* and 2-bit local"):
        build_map(path, city, local=LocalStoreOptions(bits=2))
    with pytest.raises(MapError, match=r"12 finished images, but of another list of photos: .* delete .*partial to"):
        PlaceMap.from_features(path, city.identity, city.items(range(1, 20)), batch_size=6)
    with pytest.raises(MapError, match="another list of photos"):  # a shorter one
        PlaceMap.from_features(path, city.identity, city.items(range(5)), batch_size=6)
    assert_holds(build_map(path, city), city, list(range(20)))

    place_map = PlaceMap.open(path)
    interrupt(lambda: place_map.add_features(city.identity, city.items(range(20, 40)), batch_size=6, progress=stop))
    with pytest.raises(MapError, match=r"12 finished images, but of another list of photos.*delete .*journal.jsonl to"):
        place_map.add_features(city.identity, city.items(range(50, 70)))
    place_map.remove([0])
    assert_holds(PlaceMap.open(path), city, list(range(1, 20)))
    report = place_map.add_features(city.identity, city.items(range(20, 40)), batch_size=6)
    assert report.resumed_from == 12
    assert_holds(PlaceMap.open(path), city, list(range(1, 40)))


def test_a_photo_that_changed_meanwhile_is_noticed(tmp_path: Path) -> None:
    city = RandomCity(root=tmp_path / "photos")
    for i in range(20):
        image = city.place(i).image
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(b"photo")

    def stop(done: int, total: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_map(tmp_path / "a.fol", city, progress=stop)
    city.place(3).image.write_bytes(b"another photo")
    with pytest.raises(MapError, match="another list of photos"):
        build_map(tmp_path / "a.fol", city)
