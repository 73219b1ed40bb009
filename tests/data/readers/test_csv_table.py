"""CSV by column name: encodings, delimiters and broken files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fol.data.readers.csv_table import read_header, read_rows
from fol.errors import DataError


def write(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_rows(tmp_path: Path, start: bytes, end: bytes) -> None:
    lines = [b"Image, LAT ,Longitude,Note", 'é b.jpg,1,2,"a, ""b"""'.encode(), b"", b"c.jpg,,,"]
    rows = read_rows(write(tmp_path, start + end.join(lines) + end), ["image"])
    assert [row.line for row in rows] == [2, 4]
    assert rows[0].cells == {"image": "é b.jpg", "lat": "1", "lon": "2", "Note": 'a, "b"'}
    assert rows[0].number("lat") == 1 and rows[1].number("lat") is None and rows[0].text("gone") == ""


def test_lines_count_breaks_inside_cells(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, 'image,note\n"a.jpg","two\nlines"\nb.jpg,x\n'), ["image"])
    assert [row.line for row in rows] == [3, 4]


def test_long_cells(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, "query,positives\nq," + "x.jpg " * 100_000 + "\n"), ["query"])
    assert len(rows[0].text("positives").split()) == 100_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "table.csv: is empty"),
        (b"\n\n", "table.csv: is empty"),
        (b"file,lat\n", "has no column image (it has file, lat)"),
        (b"image;lat;lon\na;1;2\n", "has no column image (columns are separated by commas)"),
        (b"image,lat,LATITUDE\n", "names the column lat twice"),
        (b"image,lat\na.jpg\n", "line 2: has 1 cells, but the header names 2"),
        (b"image,lat\na.jpg,1,2\n", "line 2: has 3 cells"),
        (b"image,note\na.jpg,caf\xe9\n", "is not UTF-8"),
        (b'image,note\na.jpg,"open\n', "is not a CSV file"),
        ("image,lat\n".encode("utf-16"), "is not UTF-8"),
    ],
)
def test_broken_files(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(write(tmp_path, content), ["image"])
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["x", "nan", "inf", "1e999", "1_0", "1,5", "0x10", "--1", "\u0661"])
def test_bad_numbers(tmp_path: Path, text: str) -> None:
    (row,) = read_rows(write(tmp_path, f'image,lat\na.jpg,"{text}"\n'), ["image"])
    with pytest.raises(DataError, match=r"table.csv line 2, column lat: .* is not a number"):
        row.number("lat")


@pytest.mark.parametrize(("text", "value"), [("-1.5", -1.5), ("+2", 2), (".5", 0.5), ("1e3", 1000), ("7.", 7)])
def test_good_numbers(tmp_path: Path, text: str, value: float) -> None:
    (row,) = read_rows(write(tmp_path, f"image,lat\na.jpg, {text} \n"), ["image"])
    assert row.number("lat") == value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_header_is_recognised_whatever_the_file(tmp_path: Path, encoding: str, delimiter: str) -> None:
    text = delimiter.join(['"image"', "Easting", "utm_north"]) + "\r\na,1,2"
    assert read_header(write(tmp_path, text.encode(encoding))) == ("image", "utm_east", "utm_north")


def test_missing_file(tmp_path: Path) -> None:
    for call in (read_header, lambda path: read_rows(path, [])):
        with pytest.raises(DataError, match="cannot be read"):
            call(tmp_path / "gone.csv")
    assert read_header(write(tmp_path, b"")) == ()


def test_columns_as_the_file_names_them(tmp_path: Path) -> None:
    path = write(tmp_path, ",easting,Lat\n0,1,2\n")
    assert read_rows(path, ["easting"], aliases=False)[0].cells == {"": "0", "easting": "1", "Lat": "2"}
    assert read_rows(path, ["utm_east"])[0].cells == {"": "0", "utm_east": "1", "lat": "2"}
    with pytest.raises(DataError, match="no column utm_east"):
        read_rows(path, ["utm_east"], aliases=False)


def test_cells_that_must_be_there(tmp_path: Path) -> None:
    row = read_rows(write(tmp_path, "a,b,c\n7.0,7.5,\n"), ["a"])[0]
    assert (row.whole("a"), row.filled("b")) == (7, 7.5)
    with pytest.raises(DataError, match="line 2, column b: 7.5 is not a whole number"):
        row.whole("b")
    with pytest.raises(DataError, match="line 2, column c: is empty"):
        row.filled("c")
