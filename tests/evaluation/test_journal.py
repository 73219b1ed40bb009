"""The journal keeps whole batches and nothing else, whatever a kill leaves at its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.errors import DataError
from fol.evaluation.journal import Journal, QueryRanking, read_rankings

KEY = {"model": "abc", "candidates": 10}
BATCHES = [
    [QueryRanking("a", (1, 0), (0.9, 0.1 + 0.2), (0, 1), (7.0, 3.5), (7, 3), {"extract": 0.01}), QueryRanking("é/b")],
    [QueryRanking("c.jpg", skipped="c.jpg cannot be read"), QueryRanking("d", (2,), (1 / 3,), None)],
    [QueryRanking("e", (0,), (1.0,), (0,), (1e-17,), (0,), {})],
]


def write(folder: Path, batches: list[list[QueryRanking]]) -> Path:
    with Journal(folder, KEY) as journal:
        for batch in batches:
            journal.append(batch, {"rss": 100})
        return journal.path


def test_round_trip(tmp_path: Path) -> None:
    write(tmp_path, BATCHES[:2])
    with Journal(tmp_path, KEY) as journal:
        assert journal.resumed_from == 4
        assert list(journal.rankings.values()) == [*BATCHES[0], *BATCHES[1]]
        journal.append(BATCHES[2], {"rss": 50, "cuda": 3})
        assert journal.peak_memory == {"rss": 100, "cuda": 3}
        journal.finish(tmp_path / "rankings.jsonl")
    assert list(tmp_path.iterdir()) == [tmp_path / "rankings.jsonl"]
    assert read_rankings(tmp_path / "rankings.jsonl") == {r.name: r for batch in BATCHES for r in batch}


def test_other_options_leave_it_alone(tmp_path: Path) -> None:
    first = write(tmp_path, BATCHES)
    content = first.read_bytes()
    with Journal(tmp_path, KEY | {"candidates": 20}) as journal:
        assert journal.rankings == {}
        assert journal.path != first
    assert first.read_bytes() == content


def test_foreign_content_under_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, BATCHES)
    path.write_bytes(b"something else\n" * 10)
    with Journal(tmp_path, KEY) as journal:
        assert journal.resumed_from == 0
    assert b"something" not in path.read_bytes()


@settings(max_examples=60)
@given(st.data())
def test_cut_or_torn_anywhere(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("journal")
    path = write(folder, BATCHES)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(
        whole[:cut] + data.draw(st.sampled_from([b"", b"\0\0\0", b'{"queries": [{"na', b"null\n", b"{}\n"]))
    )
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    complete = max(0, sum(end <= cut for end in ends) - 1)
    with Journal(folder, KEY) as journal:
        assert list(journal.rankings.values()) == [r for batch in BATCHES[:complete] for r in batch]
        for batch in BATCHES[complete:]:
            journal.append(batch, {"rss": 100})
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone cannot be written .*choose another out"):
        Journal(tmp_path / "gone", KEY)


def test_reading_another_file(tmp_path: Path) -> None:
    path = tmp_path / "rankings.jsonl"
    path.write_text('{"journal": 99}\n')
    with pytest.raises(ValueError, match="version"):
        read_rankings(path)
