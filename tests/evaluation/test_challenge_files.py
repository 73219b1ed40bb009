"""Prediction files of the challenge: what is written, what is read, what is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fol.data import PlaceDataset
from fol.errors import DataError
from fol.evaluation.challenge_files import challenge_key, prediction_rows, read_predictions, write_predictions
from fol.evaluation.journal import QueryRanking
from fol.types import Place

ROWS = [("q1", ("d1", "d2")), ("q2", ("d2", "d3"))]


def test_bytes_of_a_file(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.txt", ROWS)
    assert (tmp_path / "p.txt").read_bytes() == b"q1 d1 d2\nq2 d2 d3\n"
    assert [path.name for path in tmp_path.iterdir()] == ["p.txt"]
    read = np.loadtxt(tmp_path / "p.txt", ndmin=2, dtype=str)  # as the official script does
    assert read.tolist() == [["q1", "d1", "d2"], ["q2", "d2", "d3"]]


def test_a_zip_holds_one_csv(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.zip", ROWS)
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert archive.namelist() == ["predictions.csv"]
        assert archive.read("predictions.csv") == b"q1 d1 d2\nq2 d2 d3\n"
    assert read_predictions(tmp_path / "p.zip") == dict(ROWS)
    before = (tmp_path / "p.zip").read_bytes()
    write_predictions(tmp_path / "p.zip", ROWS)
    assert (tmp_path / "p.zip").read_bytes() == before


def test_zips_of_others(tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside/mine.csv", "q1 d1\n")
        archive.writestr("__MACOSX/inside/._mine.csv", "\x00")
    assert read_predictions(path) == {"q1": ("d1",)}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "two")
    with pytest.raises(DataError, match="holds 2 files"):
        read_predictions(path)


def test_comments_blank_lines_and_windows(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbf# Each row contains keys\r\n\r\nq1  d1\td2 # best two\r\n  q2 d2 d3\r\n")
    assert read_predictions(path) == dict(ROWS)


def test_sequences(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("a,b,c d,e,f g,h,i\n")
    assert read_predictions(path) == {"a,b,c": ("d,e,f", "g,h,i")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 d1 d2\n# note\nq2 d1\n", r"p.csv line 3: has 1 answers, line 1 has 2"),
        ("q1 d1\n\nq2 d1\nq1 d2\n", r"p.csv line 4: the query q1 is in line 1 already"),
        ("q1 d1 d2 d1\n", r"p.csv line 1: the answer d1 comes twice"),
        ("q1,d1,d2\n", r"p.csv line 1: has a query without answers"),
        ("a,b a,,b\n", r"p.csv line 1: 'a,,b' has a frame without a key"),
        ("# nothing\n\n", r"p.csv: holds no predictions"),
        ("q\xff d1\n", r"p.csv: is not UTF-8"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        read_predictions(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(tmp_path / "none.csv")


def test_damaged_zip(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.zip", [(f"q{i}", (f"d{i}",)) for i in range(500)])
    data = bytearray((tmp_path / "p.zip").read_bytes())
    data[200:400] = bytes(200)
    (tmp_path / "p.zip").write_bytes(data)
    with pytest.raises(DataError, match="no zip that can be read"):
        read_predictions(tmp_path / "p.zip")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("q 1", ("d1",))], "'q 1' cannot be a key"),
        ([("q1", ("images/d1.jpg",))], "cannot be a key"),
        ([("#q", ("d1",))], "cannot be a key"),
        ([("q", ("",))], "cannot be a key"),
        ([("q1", ("d1",)), ("q1", ("d2",))], "already"),
        ([("q1", ("d1", "d1"))], "twice"),
        ([("q1", ("d1",)), ("q2", ("d1", "d2"))], "equally many"),
        ([], "no predictions"),
    ],
)
def test_what_is_not_written(tmp_path: Path, rows: list[tuple[str, tuple[str, ...]]], message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text("older\n")
    with pytest.raises(DataError, match=message):
        write_predictions(path, rows)
    assert path.read_text() == "older\n"


_keys = st.from_regex(r"[A-Za-z0-9_-]{1,22}", fullmatch=True)


@given(st.dictionaries(_keys, st.lists(_keys, min_size=3, max_size=3, unique=True), min_size=1), st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, list[str]], packed: bool
) -> None:
    path = tmp_path_factory.mktemp("files") / ("p.zip" if packed else "p.csv")
    write_predictions(path, list(rows.items()))
    found = read_predictions(path)
    assert list(found.items()) == [(query, tuple(answers)) for query, answers in rows.items()]


def _dataset() -> PlaceDataset:
    def places(prefix: str, number: int) -> tuple[Place, ...]:
        return tuple(
            Place(f"city/{prefix}{i}.jpg", Path(f"{prefix}{i}.jpg"), metadata={"key": f"{prefix.upper()}{i}"})
            for i in range(number)
        )

    nothing = tuple(np.empty(0, np.int64) for _ in range(3))
    return PlaceDataset("msls", Path("msls"), places("d", 4), places("q", 3), nothing, nothing, "msls_test@city")


RANKINGS = {
    "city/q0.jpg": QueryRanking("city/q0.jpg", (3, 1, 0), (0.9, 0.8, 0.7), (1, 3, 0), (5.0, 2.0), (5, 2)),
    "city/q1.jpg": QueryRanking("city/q1.jpg", skipped="cannot be read"),
    "city/q2.jpg": QueryRanking("city/q2.jpg", (2, 0), (0.9, 0.8), (2, 0), (5.0, 2.0), (5, 2)),
}


def test_rows_of_an_evaluation() -> None:
    assert prediction_rows(_dataset(), RANKINGS) == [
        ("Q0", ("D1", "D3", "D0")),
        ("Q1", ("unanswered-1", "unanswered-2", "unanswered-3")),
        ("Q2", ("D2", "D0", "unanswered-1")),
    ]
    assert prediction_rows(_dataset(), RANKINGS, top=1, stage="global") == [
        ("Q0", ("D3",)),
        ("Q1", ("unanswered-1",)),
        ("Q2", ("D2",)),
    ]


def test_rows_that_cannot_be_made() -> None:
    with pytest.raises(DataError, match=r"q2.jpg has no ranking"):
        prediction_rows(_dataset(), {name: RANKINGS[name] for name in list(RANKINGS)[:2]})
    single = {name: QueryRanking(name, (0,), (0.5,)) for name in RANKINGS}
    assert len(prediction_rows(_dataset(), single, stage="global")) == 3
    with pytest.raises(DataError, match="stage=global"):
        prediction_rows(_dataset(), single)
    other = RANKINGS | {"city/q0.jpg": QueryRanking("city/q0.jpg", (4,), (0.5,))}
    with pytest.raises(DataError, match="another data set"):
        prediction_rows(_dataset(), other, stage="global")
    with pytest.raises(DataError, match="top=0"):
        prediction_rows(_dataset(), RANKINGS, top=0)


def test_keys() -> None:
    assert challenge_key(Place("cph/query/images/-aB_9.jpg", Path("x.jpg"))) == "-aB_9"
    assert challenge_key(Place("@1@2@.jpg", Path("x.jpg"), metadata={"pano_id": "aB"})) == "aB"
    assert challenge_key(Place("x.jpg", Path("x.jpg"), metadata={"pano_id": "aB", "key": "cD"})) == "cD"
