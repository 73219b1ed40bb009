"""CSV files read by column name, with errors that name file, line and column."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fol.data.images import printable
from fol.data.readers.label import parse_number
from fol.errors import DataError

#: Other spellings of the columns that the readers know, lower case.
ALIASES = {
    "latitude": "lat",
    "longitude": "lon",
    "lng": "lon",
    "easting": "utm_east",
    "northing": "utm_north",
    "utm_easting": "utm_east",
    "utm_northing": "utm_north",
}
_KNOWN = frozenset(
    {"image", "query", "positives", "ignore", "split", "file", "heading", "sequence"}
    | {"utm_east", "utm_north", "utm_zone", "lat", "lon"}
)
_LONGEST_CELL = 2**31 - 1  # a query of a long traverse has megabytes of positives


@dataclass(frozen=True)
class Row:
    """One line of a CSV; ``line`` counts from 1, the header included."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """The cell without surrounding blanks, empty when there is no such column."""
        return self.cells.get(column, "").strip()

    def number(self, column: str) -> float | None:
        """The cell as a number, None when it is empty; raises ``DataError``."""
        text = self.text(column)
        try:
            return parse_number(text) if text else None
        except ValueError as error:
            raise self.error(column, str(error)) from error

    def filled(self, column: str) -> float:
        """The cell as a number; raises ``DataError``, also when it is empty."""
        value = self.number(column)
        if value is None:
            raise self.error(column, "is empty")
        return value

    def whole(self, column: str) -> int:
        """The cell as an integer; raises ``DataError``."""
        value = self.filled(column)
        if value != int(value):
            raise self.error(column, f"{value} is not a whole number")
        return int(value)

    def error(self, column: str, problem: str) -> DataError:
        """The error to raise for a cell."""
        return DataError(f"{printable(self.path)} line {self.line}, column {column}: {printable(problem)}")


def read_header(path: Path) -> tuple[str, ...]:
    """Column names as ``read_rows`` knows them, whatever the delimiter and encoding: for finding out what a file is."""
    try:
        with path.open("rb") as file:
            start = file.readline(1 << 16)
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    encoding = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    line = start.decode(encoding, "replace").splitlines()[:1]
    return tuple(_canonical(name.strip('"')) for name in _split(line[0])) if line else ()


def read_rows(path: Path, required: Sequence[str], *, aliases: bool = True) -> list[Row]:
    """All rows of a comma-separated UTF-8 file, with or without a byte-order mark; blank lines are skipped.

    Without ``aliases`` columns have the names that the file gives them, exactly: for formats that are fixed.

    Raises ``DataError`` when the file cannot be read or decoded, when a ``required`` column is missing or a column
    named twice, and when a row has more or fewer cells than the header.
    """
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_rows(path, csv.reader(file, strict=True), required, aliases))
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: is not UTF-8 ({error.reason}): save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{printable(path)}: is not a CSV file ({printable(str(error))})") from error
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    finally:
        csv.field_size_limit(limit)


def _rows(path: Path, lines: Iterator[list[str]], required: Sequence[str], aliases: bool) -> Iterator[Row]:
    shown = printable(path)
    header = [_canonical(name) if aliases else name.strip() for name in next(lines, [])]
    if not any(header):
        raise DataError(f"{shown}: is empty; its first line must name the columns {', '.join(required)}")
    for column in required:
        if column not in header:
            hint = "columns are separated by commas" if len(header) == 1 else f"it has {', '.join(header)}"
            raise DataError(f"{shown}: has no column {column} ({printable(hint)})")
    twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
    if twice is not None:
        raise DataError(f"{shown}: names the column {printable(twice) or '(empty)'} twice")
    for cells in lines:
        line: int = lines.line_num  # type: ignore[attr-defined]
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise DataError(f"{shown} line {line}: has {len(cells)} cells, but the header names {len(header)}")
        yield Row(path, line, dict(zip(header, cells, strict=True)))


def _split(line: str) -> list[str]:
    return line.replace(";", ",").replace("\t", ",").split(",")


def _canonical(name: str) -> str:
    """Known columns in lower case under their first spelling, others as written."""
    name = name.strip()
    lower = ALIASES.get(name.lower(), name.lower())
    return lower if lower in _KNOWN else name
