from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from fol.errors import DataError, MapError
from fol.files import exchange_directories, write_atomically, writer_lock


def test_a_file_is_replaced_whole_and_no_temporary_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"first, longer")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def _hold(folder: Path, ready: multiprocessing.synchronize.Event, leave: multiprocessing.synchronize.Event) -> None:
    with writer_lock(folder):
        ready.set()
        leave.wait(20)


def test_one_writer_at_a_time_across_processes_and_the_lock_dies_with_them(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, leave = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready, leave))
    process.start()
    assert ready.wait(20)
    with pytest.raises(DataError, match="is being written by another process"), writer_lock(tmp_path):
        pass
    process.kill()
    process.join()
    with writer_lock(tmp_path):
        pass


def test_one_writer_at_a_time_within_a_process(tmp_path: Path) -> None:
    with writer_lock(tmp_path):
        for _ in range(2):  # a failed attempt must not loosen the lock of the first
            with pytest.raises(DataError, match="is being written"), writer_lock(tmp_path):
                pass
        context = multiprocessing.get_context("fork")
        process = context.Process(target=_expect_busy, args=(tmp_path,))
        process.start()
        process.join()
        assert process.exitcode == 0
    with writer_lock(tmp_path):
        pass


def _expect_busy(folder: Path) -> None:
    # What the parent holds in this process's copy of its memory says nothing about the file's lock.
    from fol import files

    files._held.clear()
    try:
        with writer_lock(folder):
            os._exit(1)
    except DataError:
        os._exit(0)


def test_the_lock_of_a_map_says_so(tmp_path: Path) -> None:
    with writer_lock(tmp_path), pytest.raises(MapError, match="is being written"), writer_lock(tmp_path, MapError):
        pass


def test_a_process_forked_by_the_writer_does_not_keep_its_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    leave = context.Event()
    with writer_lock(tmp_path):
        loader = context.Process(target=leave.wait, args=(20,))
        loader.start()
    try:
        with writer_lock(tmp_path):
            pass
    finally:
        leave.set()
        loader.join()


def test_folders_swap_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not exchange_directories(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot exchange folders")
    assert (tmp_path / "a" / "b").exists() and (tmp_path / "b" / "a").exists()
    assert not exchange_directories(tmp_path / "a", tmp_path / "missing")
