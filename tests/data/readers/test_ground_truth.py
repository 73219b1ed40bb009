"""``ground_truth.csv``: lists of names, and every way to get one wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from fol.data.readers.ground_truth import GroundTruth, read_ground_truth
from fol.data.readers.names import NameIndex
from fol.errors import DataError

QUERIES = ["q0.jpg", "q 1.jpg"]
DATABASE = ["d0.jpg", "d1.jpg", "d 2.jpg", "[3].jpg", "sub/d4.jpg"]


def read(folder: Path, content: str) -> GroundTruth:
    path = folder / "ground_truth.csv"
    path.write_text(content, encoding="utf-8")
    return read_ground_truth(path, NameIndex(QUERIES, ["queries"]), QUERIES, NameIndex(DATABASE, ["database"]))


@pytest.mark.parametrize(
    ("cell", "indices"),
    [
        ("", []),
        ("d1.jpg d0.jpg", [0, 1]),
        ("d1.jpg  d1.jpg", [1]),
        ("d 2.jpg", [2]),  # one name, blank and all
        ('"[""d 2.jpg"", ""d0.jpg""]"', [0, 2]),
        ("[3].jpg", [3]),
        ("[3].jpg d0.jpg", [0, 3]),
        ("[]", []),
        ("database/sub/d4.jpg ./d0.jpg sub\\d4.jpg", [0, 4]),
    ],
)
def test_cells(tmp_path: Path, cell: str, indices: list[int]) -> None:
    truth = read(tmp_path, f"query,positives\nqueries/q0.jpg,{cell}\nq 1.jpg,\n")
    assert [found.tolist() for found in truth.positives] == [indices, []]
    assert [found.tolist() for found in truth.ignored] == [[], []]
    assert truth.positives[0].dtype == truth.positives[1].dtype == "int64"


def test_order_of_rows_and_further_columns(tmp_path: Path) -> None:
    text = "exact,ignore,positives,query\n,d1.jpg,d0.jpg,q 1.jpg\nx,,sub/d4.jpg,q0.jpg\n"
    truth = read(tmp_path, text)
    assert [found.tolist() for found in truth.positives] == [[4], [0]]
    assert [found.tolist() for found in truth.ignored] == [[], [1]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("query,positives\nq0.jpg,gone.jpg\n", "line 2, column positives: 'gone.jpg' is not an image of the database"),
        ("query,positives,ignore\nq0.jpg,,gone.jpg\n", "line 2, column ignore: 'gone.jpg' is not an image"),
        ("query,positives\nd0.jpg,d0.jpg\n", "line 2, column query: 'd0.jpg' is not an image of the queries"),
        ("query,positives\nq0.jpg,\nq0.jpg,\n", "line 3, column query: 'q0.jpg' is already in line 2"),
        ("query,positives\nq0.jpg,d0.jpg\n", "has no row for 1 queries, the first is q 1.jpg: add them"),
        ("query,positives,ignore\nq0.jpg,d0.jpg d1.jpg,d1.jpg\n", "column ignore: 1 images are also positives"),
        ("query\nq0.jpg\n", "has no column positives"),
        ("positives\nd0.jpg\n", "has no column query"),
        ('query,positives\nq0.jpg,"[1, 2]"\n', "'[1,' is not an image of the database"),
    ],
)
def test_errors_name_file_line_and_column(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/ground_truth.csv") and words in text and "\n" not in text
