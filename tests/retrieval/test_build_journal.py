from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from fol.errors import MapError
from fol.retrieval.index import IndexOptions
from fol.retrieval.journal import JOURNAL, Journal, Progress, Undertaking
from fol.retrieval.local_options import LocalStoreOptions
from fol.retrieval.manifest import ModelIdentity
from fol.retrieval.records import RecordFile

_WHAT = Undertaking("build", ModelIdentity("m", "ab" * 32, "fol", 1, 8, 4), IndexOptions("flat"), LocalStoreOptions(2))
_START = Progress(0, 0, (0,), (0,))


def _batches(folder: Path, contents: list[bytes]) -> list[Progress]:
    """One journal line per content, which is a batch of 4-byte records after which one photo was skipped."""
    Journal.start(folder, _WHAT)
    journal, file = Journal(folder), RecordFile(folder / "data")
    states = [_START]
    for content in contents:
        file.append(memoryview(content))
        skip = (states[-1].done + len(content) // 4, "bad.jpg", "broken")
        states.append(
            Progress(
                skip[0] + 1,
                file.size // 4,
                (file.size,),
                (file.crc,),
                places=len(states),
                skipped=(*states[-1].skipped, skip),
            )
        )
        journal.append(states[-1], [file], [skip])
    journal.close()
    file.close()
    return states


def _finished(folder: Path) -> Progress:
    return replace(Journal.finished(folder, [folder / "data"], _START), synced=0)


def test_every_batch_counts_after_a_kill(tmp_path: Path) -> None:
    states = _batches(tmp_path, [b"aaaa", b"bbbbcccc", b""])
    assert Journal.undertaking(tmp_path) == _WHAT
    assert _finished(tmp_path) == states[-1]
    assert states[-1].crcs == (zlib.crc32(b"aaaabbbbcccc"),)


@pytest.mark.parametrize(("data", "kept"), [(b"aaaabbbbccc", 1), (b"aaaabbbb\0\0\0\0", 1), (b"aaa", 0), (b"", 0)])
def test_batches_whose_data_a_power_cut_lost_do_not_count(tmp_path: Path, data: bytes, kept: int) -> None:
    states = _batches(tmp_path, [b"aaaa", b"bbbbcccc"])
    (tmp_path / "data").write_bytes(data)
    assert _finished(tmp_path) == states[kept]


def test_half_a_line_does_not_count(tmp_path: Path) -> None:
    states = _batches(tmp_path, [b"aaaa", b"bbbb"])
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-3])
    assert _finished(tmp_path) == states[1]


def test_synced_data_are_not_read_again(tmp_path: Path) -> None:
    states = _batches(tmp_path, [b"aaaa", b"bbbb"])
    Journal.start(tmp_path, _WHAT, states[-1])
    (tmp_path / "data").unlink()
    assert _finished(tmp_path) == states[-1]


def test_lines_of_another_version_are_not_guessed_at(tmp_path: Path) -> None:
    _batches(tmp_path, [b"aaaa"])
    path = tmp_path / JOURNAL
    good = path.read_text()
    path.write_text(good.replace('"done"', '"finished"'))
    with pytest.raises(MapError, match="journal.jsonl is damaged or of another version of fol: delete it"):
        _finished(tmp_path)
    path.write_text(good.replace('"kind"', '"sort"'))
    with pytest.raises(MapError, match="of another version"):
        Journal.undertaking(tmp_path)


def test_no_journal_no_undertaking(tmp_path: Path) -> None:
    assert Journal.undertaking(tmp_path) is None
    assert Journal.finished(tmp_path, [tmp_path / "data"], _START) == _START
    Journal.remove(tmp_path)
