"""``pseudo_utm.csv``: made-up coordinates per split."""

from __future__ import annotations

from pathlib import Path

import pytest

from fol.data.readers.pseudo_utm import read_pseudo_utm
from fol.errors import DataError
from fol.types import Place, Position

SPLITS = {
    "database": [Place("a.jpg", Path("a.jpg")), Place("b.jpg", Path("b.jpg"))],
    "queries": [Place("a.jpg", Path("q/a.jpg"), Position(9, 9))],
}
HEADER = "split,file,utm_east,utm_north\n"


def read(folder: Path, content: str) -> dict[str, tuple[Place, ...]]:
    (folder / "pseudo_utm.csv").write_text(content)
    return read_pseudo_utm(folder / "pseudo_utm.csv", SPLITS)


def test_positions(tmp_path: Path) -> None:
    found = read(tmp_path, HEADER + "queries,a.jpg,5,6\ndatabase,b.jpg,3,4\ndatabase,database/a.jpg,1,2\n")
    assert [place.position for place in found["database"]] == [Position(1, 2), Position(3, 4)]
    assert found["queries"] == (Place("a.jpg", Path("q/a.jpg"), Position(5, 6)),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("split,file,utm_east\n", "has no column utm_north"),
        (HEADER + "test,a.jpg,1,2\n", "line 2, column split: 'test' is none of database, queries"),
        (HEADER + "queries,b.jpg,1,2\n", "line 2, column file: 'b.jpg' is not an image of queries"),
        (
            HEADER + "queries,a.jpg,1,2\nqueries,a.jpg,1,2\n",
            "line 3, column file: 'a.jpg' of queries has a row already",
        ),
        (HEADER + "queries,a.jpg,x,2\n", "line 2, column utm_east: 'x' is not a number"),
        (HEADER + "queries,a.jpg,1,\n", "line 2, column utm_north: is empty"),
        (HEADER + "queries,a.jpg,1,9e9\n", "column utm_east, utm_north: northing 9000000000.0 is out of range"),
        (HEADER + "queries,a.jpg,1,2\n", "has no row for 2 images of database, the first is a.jpg"),
    ],
)
def test_errors(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path}/pseudo_utm.csv") and words in str(caught.value)
