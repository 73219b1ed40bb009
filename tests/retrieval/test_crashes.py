"""What is left after ``kill -9``, at every moment between two file operations and at random ones."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from random_city import RandomCity

from fol.errors import MapError
from fol.retrieval import PlaceMap

_FORK = multiprocessing.get_context("fork")
_FILE_OPERATIONS = {
    "pwrite",
    "write",
    "ftruncate",
    "fsync",
    "fdatasync",
    "replace",
    "rename",
    "unlink",
    "rmdir",
    "open",
}
_BATCH = 4


def _kill_at(operation: int) -> None:
    """Kill this process right before its n-th file operation."""
    left = operation

    def watch(frame: FrameType, event: str, called: Any) -> None:
        nonlocal left
        if event == "c_call" and called.__name__ in _FILE_OPERATIONS:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)


def _in_a_child(
    work: Callable[[Callable[[int, int], None]], object], kill_at: int = 0, kill_after: float = 0
) -> tuple[bool, int]:
    """Run and kill; gives whether it came to its end and the last progress that it reported."""
    done = _FORK.Value("i", -1)

    def child() -> None:
        torch.set_num_threads(1)
        if kill_at:
            _kill_at(kill_at)
        work(lambda count, total: setattr(done, "value", count))

    process = _FORK.Process(target=child)
    process.start()
    if kill_after:
        time.sleep(kill_after)
        process.kill()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0, done.value


def _contents(path: Path) -> dict[str, object]:
    """Every byte that the manifest vouches for, and the manifest less its date."""
    manifest = PlaceMap.open(path).manifest
    files = (*manifest.files.values(), *manifest.index_files)
    contents: dict[str, object] = {f.name: (path / f.name).read_bytes()[: f.bytes] for f in files}
    return contents | {"manifest": replace(manifest, created="")}


def _every_moment() -> Iterator[int]:
    yield from range(1, 500)
    raise AssertionError("the work never came to its end")


@pytest.fixture
def start(tmp_path: Path, city: RandomCity) -> Path:
    path = tmp_path / "start.fol"
    PlaceMap.from_features(path, city.identity, city.items(range(9)), calibrate=False)
    return path


def test_a_build_killed_anywhere_goes_on_to_the_same_map(tmp_path: Path, city: RandomCity) -> None:
    items = city.items(range(11))
    items[5] = (items[5][0], replace(items[5][1], descriptor=torch.full((16,), torch.nan)))  # one is skipped

    def build(path: Path, progress: Callable[[int, int], None] | None = None) -> int:
        return PlaceMap.from_features(
            path, city.identity, items, batch_size=_BATCH, calibrate=False, progress=progress
        ).resumed_from

    build(tmp_path / "undisturbed.fol")
    wanted = _contents(tmp_path / "undisturbed.fol")
    path = tmp_path / "killed.fol"
    for moment in _every_moment():
        finished, reported = _in_a_child(lambda progress: build(path, progress), kill_at=moment)
        if path.exists():  # whole, or not there at all
            assert _contents(path) == wanted
        else:
            with pytest.raises(MapError):
                PlaceMap.open(path)
            assert build(path) >= max(reported, 0)
            assert _contents(path) == wanted
        PlaceMap.open(path).verify()
        if finished:
            break
        shutil.rmtree(path)
        shutil.rmtree(tmp_path / "killed.fol.partial", ignore_errors=True)
    assert moment > 30


def test_a_build_killed_again_and_again_at_random_finishes(tmp_path: Path) -> None:
    city = RandomCity()
    items = city.items(range(600))

    def build(path: Path, progress: Callable[[int, int], None] | None = None) -> int:
        return PlaceMap.from_features(
            path, city.identity, items, batch_size=_BATCH, calibrate=False, progress=progress
        ).resumed_from

    begin = time.perf_counter()
    build(tmp_path / "undisturbed.fol")
    duration = time.perf_counter() - begin
    wanted = _contents(tmp_path / "undisturbed.fol")
    dice = random.Random(0)
    for attempt in range(3):
        path = tmp_path / f"killed {attempt}.fol"
        last = 0
        for _ in range(4):
            _, reported = _in_a_child(
                lambda progress, path=path: build(path, progress), kill_after=dice.uniform(0.05, duration)
            )
            assert reported == -1 or reported >= last  # nothing that was finished is lost
            last = max(last, reported)
            if path.exists():
                break
        if not path.exists():
            assert build(path) >= last
        assert _contents(path) == wanted


def test_an_addition_killed_anywhere_leaves_the_old_map_or_the_new(
    tmp_path: Path, start: Path, city: RandomCity
) -> None:
    items = city.items(range(9, 18))

    def add(path: Path, progress: Callable[[int, int], None] | None = None) -> int:
        return PlaceMap.open(path).add_features(city.identity, items, batch_size=_BATCH, progress=progress).resumed_from

    shutil.copytree(start, tmp_path / "undisturbed.fol")
    add(tmp_path / "undisturbed.fol")
    old, new = _contents(start), _contents(tmp_path / "undisturbed.fol")
    assert old != new
    path = tmp_path / "killed.fol"
    for moment in _every_moment():
        shutil.copytree(start, path)
        reader = PlaceMap.open(path)
        finished, reported = _in_a_child(lambda progress: add(path, progress), kill_at=moment)
        found = _contents(path)
        assert found in (old, new)
        PlaceMap.open(path).verify()
        if found == old:
            assert add(path) >= max(reported, 0)
            assert _contents(path) == new
        assert reader.search(city.descriptor(8), 1).ids.tolist() == [8]
        assert reader.local_features([8]).lengths == (8 % 6,)
        # What is left over does not stand in the way of the next change.
        assert PlaceMap.open(path).remove([0]) == 1
        assert not (path / "journal.jsonl").exists()
        PlaceMap.open(path).verify()
        if finished:
            break
        shutil.rmtree(path)
    assert moment > 20


def test_a_removal_killed_anywhere_leaves_the_old_map_or_the_new(tmp_path: Path, start: Path) -> None:
    old = _contents(start)
    path = tmp_path / "killed.fol"
    for moment in _every_moment():
        shutil.copytree(start, path)
        finished, _ = _in_a_child(lambda progress: PlaceMap.open(path).remove([2, 3]), kill_at=moment)
        place_map = PlaceMap.open(path)
        if len(place_map) == 9:
            assert _contents(path) == old
            place_map.remove([2, 3])
        assert place_map.ids.tolist() == [0, 1, 4, 5, 6, 7, 8]
        place_map.verify()
        if finished:
            break
        shutil.rmtree(path)
    assert moment > 5


def test_a_compaction_killed_anywhere_leaves_the_old_map_or_the_new(tmp_path: Path, start: Path) -> None:
    PlaceMap.open(start).remove([2, 3])
    shutil.copytree(start, tmp_path / "undisturbed.fol")
    PlaceMap.open(tmp_path / "undisturbed.fol").compact()
    old, new = _contents(start), _contents(tmp_path / "undisturbed.fol")
    assert old != new
    path = tmp_path / "killed.fol"
    for moment in _every_moment():
        shutil.copytree(start, path)
        reader = PlaceMap.open(path)
        finished, _ = _in_a_child(lambda progress: PlaceMap.open(path).compact(), kill_at=moment)
        found = _contents(path)
        assert found in (old, new)
        place_map = PlaceMap.open(path)
        place_map.verify()
        assert (place_map.compact() > 0) == (found == old)
        assert _contents(path) == new
        assert {f.name for f in path.iterdir()} == {f.name for f in (tmp_path / "undisturbed.fol").iterdir()}
        assert reader.local_features([8]).lengths == place_map.local_features([8]).lengths == (8 % 6,)
        if finished:
            break
        shutil.rmtree(path)
    assert moment > 15


def test_a_replacement_killed_anywhere_leaves_the_old_map_or_the_new(
    tmp_path: Path, start: Path, city: RandomCity
) -> None:
    other = replace(city, seed=1)

    def rebuild(path: Path) -> None:
        PlaceMap.from_features(
            path, other.identity, other.items(range(9)), batch_size=_BATCH, overwrite=True, calibrate=False
        )

    shutil.copytree(start, tmp_path / "undisturbed.fol")
    rebuild(tmp_path / "undisturbed.fol")
    old, new = _contents(start), _contents(tmp_path / "undisturbed.fol")
    path = tmp_path / "killed.fol"
    for moment in _every_moment():
        shutil.copytree(start, path)
        finished, _ = _in_a_child(lambda progress: rebuild(path), kill_at=moment)
        assert _contents(path) in (old, new)
        rebuild(path)
        assert _contents(path) == new
        assert not (tmp_path / "killed.fol.partial").exists()
        if finished:
            break
        shutil.rmtree(path)
    assert moment > 30
