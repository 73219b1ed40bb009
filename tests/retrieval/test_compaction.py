from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
import torch
from random_city import RandomCity, assert_holds, build_map

from fol.errors import MapError
from fol.matching.quantisation import QuantisedLocalFeatures
from fol.retrieval import LocalStoreOptions, PlaceMap
from fol.retrieval.local_options import Bits


def _sizes(path: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in path.iterdir() if file.name != ".lock"}


@pytest.mark.parametrize("bits", [16, 8])
def test_removed_places_leave_the_files(path: Path, city: RandomCity, bits: Bits) -> None:
    place_map = build_map(path, city, local=LocalStoreOptions(bits))
    reader = PlaceMap.open(path)
    assert place_map.compact() == 0  # there is nothing to take out
    place_map.remove([0, 3, 4, 19])
    left = [i for i in range(20) if i not in (0, 3, 4, 19)]
    before = sum(_sizes(path).values())
    seen: list[tuple[int, int]] = []
    freed = place_map.compact(lambda *state: seen.append(state))
    assert seen[-1] == (16, 16)
    assert_holds(place_map, city, left)
    assert_holds(PlaceMap.open(path), city, left)
    assert len(list(path.glob("descriptors-*"))) == len(list(path.glob("local-*.bin"))) == 1
    assert _sizes(path)[next(path.glob("descriptors-*")).name] == 16 * 16 * 4
    assert freed > 4 * 16 * 4 and sum(_sizes(path).values()) < before
    assert place_map.manifest.rows == 16 and len(place_map._snapshot.holes) == 0
    assert_holds(reader, city, list(range(20)))  # of the files that it opened
    # It goes on as any map: free ids are not given again, and the quantiser is the one it was built with.
    place_map.add_features(city.identity, city.items(range(20, 25)), batch_size=2)
    assert_holds(PlaceMap.open(path), city, [*left, *range(20, 25)])
    place_map.remove([1])
    place_map.compact()
    assert_holds(PlaceMap.open(path), city, [i for i in [*left, *range(20, 25)] if i != 1])
    stored, first = place_map.local_features([2]), reader.local_features([2])
    if isinstance(stored, QuantisedLocalFeatures) and isinstance(first, QuantisedLocalFeatures):
        assert torch.equal(stored.quantiser.mean, first.quantiser.mean)
        assert torch.equal(stored.codes, first.codes)


def test_maps_without_local_features_are_compacted_too(path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city, store_local=False)
    place_map.remove([5])
    place_map.compact()
    assert place_map.search(city.descriptor(6), 1).ids.tolist() == [6]
    assert place_map.bytes_per_image() == {"descriptors": 64.0, "local": 0.0, "index": 0.0}


def test_nothing_is_lost_where_it_cannot_be_done(path: Path, city: RandomCity, monkeypatch: pytest.MonkeyPatch) -> None:
    place_map = build_map(path, city)

    def stop(done: int, total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    place_map.remove([0])
    with pytest.raises(KeyboardInterrupt):
        place_map.add_features(city.identity, city.items(range(20, 24)), batch_size=2, progress=stop)
    with pytest.raises(MapError, match=r"an addition that was not finished: run it again first, or delete .*journal"):
        place_map.compact()
    report = place_map.add_features(city.identity, city.items(range(20, 24)), batch_size=2)
    assert report.resumed_from == 2
    with monkeypatch.context() as patched:
        _fill_disk(patched, 500)
        with pytest.raises(MapError, match=r"\(No space left on device\): it is as it was; make room and compact"):
            place_map.compact()
    assert_holds(PlaceMap.open(path), city, list(range(1, 24)))
    local = path / "local-1.bin"
    good = local.read_bytes()
    local.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(MapError, match=r"local-1.bin is damaged at byte \d+"):
        place_map.compact()
    local.write_bytes(good)
    place_map.compact()
    assert_holds(place_map, city, list(range(1, 24)))
    place_map.remove(place_map.ids)
    with pytest.raises(MapError, match="has no places left: add some, or delete it"):
        place_map.compact()


def _fill_disk(patched: pytest.MonkeyPatch, room: int) -> None:
    """A disk on which ``room`` more bytes can be written to the files that grow."""
    write = os.pwrite

    def pwrite(file: int, data: memoryview, position: int) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(file, data[:room], position)
        room -= written
        return written

    patched.setattr(os, "pwrite", pwrite)


@pytest.mark.parametrize("room", range(0, 1600, 200))
def test_a_full_disk_keeps_what_was_finished(
    path: Path, city: RandomCity, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    finished: list[int] = []

    def add(count: int, total: int) -> None:
        finished.append(count)

    with monkeypatch.context() as patched:
        _fill_disk(patched, room)
        with pytest.raises(MapError, match=r"cannot be written \(No space left on device\): \d+ finished images are k"):
            build_map(path, city, progress=add)
    assert _resumed(path, city) == finished[-1]
    place_map = PlaceMap.open(path)
    with monkeypatch.context() as patched:
        _fill_disk(patched, room)
        with pytest.raises(MapError, match=r"cannot be written \(No space left on device\)"):
            place_map.add_features(city.identity, city.items(range(20, 40)), batch_size=4)
    assert_holds(PlaceMap.open(path), city, list(range(20)))
    place_map.add_features(city.identity, city.items(range(20, 40)), batch_size=4)
    assert_holds(PlaceMap.open(path), city, list(range(40)))


def test_a_disk_that_is_full_at_the_last_step(path: Path, city: RandomCity, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    refused = pytest.raises(
        MapError, match=r"cannot be written \(No space left on device\): nothing is lost, make room"
    )
    with monkeypatch.context() as patched:
        patched.setattr("fol.retrieval.builder.write_places", full)
        with refused:
            build_map(path, city)
    assert _resumed(path, city) == 20
    place_map = PlaceMap.open(path)
    with monkeypatch.context() as patched:
        patched.setattr("fol.retrieval.manifest.write_atomically", full)
        for change in (
            lambda: place_map.add_features(city.identity, city.items([20])),
            lambda: place_map.remove([0]),
        ):
            with refused:
                change()
    assert_holds(PlaceMap.open(path), city, list(range(20)))
    place_map.remove([0])
    assert_holds(PlaceMap.open(path), city, list(range(1, 20)))


def _resumed(path: Path, city: RandomCity) -> int:
    report = PlaceMap.from_features(path, city.identity, city.items(range(20)), batch_size=6, calibrate=False)
    assert_holds(report.place_map, city, list(range(20)))
    return report.resumed_from


_FORK = multiprocessing.get_context("fork")


def _read_until(path: Path, city: RandomCity, started: Event, done: Event) -> None:
    torch.set_num_threads(1)
    seen: set[int] = set()
    opened = PlaceMap.open(path)
    while not done.is_set() or len(seen) < 2:
        place_map = PlaceMap.open(path)
        place_map.verify()
        ids = place_map.ids[:: max(1, len(place_map) // 7)]
        for reader, wanted in ((place_map, ids), (opened, opened.ids)):
            for place_id, local in zip(wanted.tolist(), reader.local_features(wanted), strict=True):
                assert len(local) == place_id % 6
        seen.add(len(place_map))
        started.set()
        if done.is_set():
            break


def test_other_processes_read_while_one_adds_removes_and_compacts(path: Path, city: RandomCity) -> None:
    place_map = build_map(path, city)
    started, done = _FORK.Event(), _FORK.Event()
    readers = [_FORK.Process(target=_read_until, args=(path, city, started, done)) for _ in range(2)]
    for reader in readers:
        reader.start()
    assert started.wait(60)
    changes: list[Callable[[int], object]] = [
        lambda i: place_map.add_features(city.identity, city.items(range(20 + 9 * i, 29 + 9 * i)), batch_size=2),
        lambda i: place_map.remove([i, 22 + i]),
        lambda i: place_map.compact(),
    ]
    for step in range(12):
        changes[step % 3](step // 3)
    done.set()
    for reader in readers:
        reader.join(60)
    assert [reader.exitcode for reader in readers] == [0, 0]
    left = np.setdiff1d(np.arange(56), [0, 1, 2, 3, 22, 23, 24, 25])
    assert_holds(PlaceMap.open(path), city, left.tolist())


def test_a_budget_of_tokens(path: Path, city: RandomCity) -> None:
    rich = replace(city, identity=replace(city.identity, max_tokens=40))
    place_map = build_map(path, rich, 60, local=LocalStoreOptions(bits=4, max_tokens=7))
    lengths = place_map.local_features(place_map.ids).lengths
    assert lengths == tuple(min(7, i % 41) for i in range(60))
    found = place_map.local_features([30])[0].positions
    every = rich.features(30).local.positions
    assert all(float((every - position).abs().sum(1).min()) < 0.05 for position in found)
