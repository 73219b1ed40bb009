from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from stat import S_ISDIR

import pytest

from fol.errors import DataError, MapError
from fol.files import exchange_directories, final_name, remove_leftovers, write_atomically, writer_lock


def test_a_file_is_replaced_whole_and_no_temporary_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"first, longer")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_function_may_write_the_file(tmp_path: Path) -> None:
    path = tmp_path / ("ß" * 120 + ".bin")  # 244 bytes: its temporary name must not get longer than 255
    write_atomically(path, lambda temporary: temporary.write_text("by hand"))
    assert path.read_text() == "by hand"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_file_is_all_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def interrupted(temporary: Path) -> None:
        temporary.write_bytes(b"ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, interrupted)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "nowhere" / "a.bin", b"")


@pytest.mark.parametrize(("durable", "synced"), [(True, ["file", "folder"]), (False, [])])
def test_what_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, synced: list[str]
) -> None:
    told = []
    monkeypatch.setattr(os, "fsync", lambda file: told.append("folder" if S_ISDIR(os.fstat(file).st_mode) else "file"))
    write_atomically(tmp_path / "a.bin", b"x", durable=durable)
    assert told == synced


def _write_until_killed(path: Path, writing: multiprocessing.synchronize.Event) -> None:
    def half(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        writing.set()
        signal.pause()

    write_atomically(path, half)


def test_two_processes_do_not_collide_and_what_a_killed_one_leaves_can_be_told(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writing = context.Event()
    path = tmp_path / "a.bin"
    process = context.Process(target=_write_until_killed, args=(path, writing))
    process.start()
    assert writing.wait(20)
    write_atomically(path, b"whole")
    (left,) = set(tmp_path.iterdir()) - {path}
    assert left.read_bytes() == b"half" and final_name(left.name) == "a.bin"
    process.kill()
    process.join()
    others = [tmp_path / name for name in (".hidden", ".12.tmp", "a.tmp", ".a-b.tmp")]
    for other in others:
        other.touch()
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == {path, *others}
    assert final_name("a.tmp") == "a.tmp"


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
