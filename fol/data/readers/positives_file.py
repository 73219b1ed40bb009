"""Lists of positives by number: plain numeric ``.npy``, and the JSON that ``convert_npy`` writes.

    {"format": "fol.ground_truth/1", "positives": [[0, 1], [9, 10, 11], ...]}

Row i holds the indices into the database of what is right for query i. ``.npy`` files of dtype object (rows of uneven
length) hold a pickle, a program that runs when it is loaded; they are refused until ``convert_npy`` has turned them
into JSON on the user's word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fol.data.images import printable
from fol.data.readers.plain_pickle import load_plain
from fol.errors import DataError
from fol.files import write_atomically

FORMAT = "fol.ground_truth/1"


def find_positives(folder: Path, stems: Sequence[str]) -> Path | None:
    """The first of the files ``<stem>.json`` (converted) and ``<stem>.npy`` that is there."""
    candidates = (folder / f"{stem}{suffix}" for stem in stems for suffix in (".json", ".npy"))
    return next((path for path in candidates if path.is_file()), None)


def read_positives(
    path: Path, num_queries: int, num_database: int, *, pairs: bool = False
) -> tuple[NDArray[np.int64], ...]:
    """Per query ascending indices into the database, from ``.json`` or numeric ``.npy`` (a row for each query).

    ``pairs``: rows of a numeric file are (query, positive), as in VPR-Bench. Raises ``DataError`` for a pickled file,
    naming the command that converts it, for another number of rows than queries, and for an index out of range.
    """
    rows = _read_json(path) if path.suffix == ".json" else _rows(_read_numbers(path), path, pairs)
    shown = printable(path)
    if len(rows) != num_queries:
        raise DataError(f"{shown}: has {len(rows)} rows, but there are {num_queries} queries: they belong together")
    found = []
    for query, row in enumerate(rows):
        indices = np.unique(np.asarray(row, np.int64))
        if indices.size and not 0 <= indices[0] <= indices[-1] < num_database:
            wrong = int(indices[0] if indices[0] < 0 else indices[-1])
            raise DataError(
                f"{shown} query {query}: positive {wrong} is out of range, the database has {num_database} images"
            )
        found.append(indices)
    return tuple(found)


def read_names(path: Path) -> list[str]:
    """A one-dimensional ``.npy`` of texts; bytes that are not UTF-8 are kept as Python's file functions want them."""
    array = _load(path)
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise DataError(f"{printable(path)}: holds {array.dtype} {array.shape}, but a list of file names is needed")
    if array.dtype.kind == "U":
        return [str(name) for name in array.tolist()]
    return [name.decode("utf-8", "surrogateescape") for name in array.tolist()]


def read_index(path: Path, count: int) -> list[int]:
    """A one-dimensional ``.npy`` of indices into ``count`` things; raises ``DataError`` for one out of range."""
    rows = _rows(_read_numbers(path), path, pairs=False)
    indices = [row[0] for row in rows if len(row) == 1]
    if len(indices) < len(rows) or not all(0 <= index < count for index in indices):
        raise DataError(f"{printable(path)}: must hold a list of indices from 0 to {count - 1}")
    return indices


def convert_npy(path: Path, out: Path | None = None) -> Path:
    """Turn a pickled list of positives into JSON (``out``, or the same name with ``.json``) and return its path.

    Rows are lists of indices, or VPR-Bench's ``[query, [indices]]``. Only lists, numbers and arrays of them are
    taken from the pickle: nothing it names is called. An existing file is replaced in one step. Raises ``DataError``
    for a pickle that asks for anything else, for one that is damaged, and for rows that are no lists of positives.
    """
    out = path.with_suffix(".json") if out is None else out
    rows = _rows(_load_objects(path), path, pairs=path.name.startswith("ground_truth"))
    document = json.dumps({"format": FORMAT, "positives": rows}, separators=(",", ":"))
    try:
        write_atomically(out, document.encode())
    except OSError as error:
        raise DataError(f"{printable(out)}: cannot be written ({error.strerror}): give another path") from error
    return out


def _read_json(path: Path) -> list[list[int]]:
    shown = printable(path)
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{shown}: is not JSON ({printable(str(error))}): convert it again") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError(f'{shown}: is no list of positives: it lacks "format": "{FORMAT}"')
    rows = document.get("positives")
    if not isinstance(rows, list):
        raise DataError(f'{shown}: "positives" must be a list with a list of indices for each query')
    for number, row in enumerate(rows):
        if not isinstance(row, list) or not all(type(index) is int for index in row):
            raise DataError(f"{shown} query {number}: {str(row)[:40]!r} is no list of indices")
    return rows


def _rows(values: Any, path: Path, pairs: bool) -> list[list[int]]:
    """Nested lists, as an array or a pickle gives them, to one list of indices per query."""
    shown = printable(path)
    if not isinstance(values, list):
        raise DataError(f"{shown}: holds one value, but a list of positives for each query is needed")
    nested = bool(values) and all(
        isinstance(row, list) and len(row) == 2 and isinstance(row[1], list) and not isinstance(row[0], list)
        for row in values
    )
    if nested or (pairs and all(isinstance(row, list) and len(row) == 2 for row in values)):
        numbers = [_index(row[0], shown, query) for query, row in enumerate(values)]
        if numbers != list(range(len(numbers))) and sorted(numbers) == list(range(len(numbers))):
            raise DataError(f"{shown}: its rows are not in the order of the queries: sort them by their first column")
        values = [row[1] for row in values]
    return [
        [_index(index, shown, query) for index in (row if isinstance(row, list) else [row])]
        for query, row in enumerate(values)
    ]


def _index(value: Any, shown: str, query: int) -> int:
    if type(value) is int or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise DataError(f"{shown} query {query}: {str(value)[:40]!r} is no index of a database image")


def _read_numbers(path: Path) -> Any:
    array = _load(path)
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise DataError(f"{printable(path)}: holds {array.dtype} {array.shape}, but rows of indices are needed")
    return array.tolist()


def _load(path: Path) -> NDArray[Any]:
    """A ``.npy`` file without pickles."""
    shown = printable(path)
    try:
        with path.open("rb") as file:
            if _dtype(file).hasobject:
                raise DataError(
                    f"{shown}: holds a pickle, which is not opened unasked: "
                    f"if you trust it, run once: fol data convert-npy {shown}"
                )
            file.seek(0)
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return array
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror})") from error
    except (ValueError, MemoryError) as error:
        raise DataError(f"{shown}: is no .npy file, or damaged ({printable(str(error))[:80]})") from error


def _load_objects(path: Path) -> Any:
    """What a ``.npy`` file of objects (or numbers) holds, as nested lists."""
    shown = printable(path)
    try:
        with path.open("rb") as file:
            if not _dtype(file).hasobject:
                return _read_numbers(path)
            data = file.read()
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{shown}: is no .npy file, or damaged ({printable(str(error))[:80]})") from error
    return load_plain(data, shown)


def _dtype(file: BinaryIO) -> np.dtype[Any]:
    """Reads the header; raises ``ValueError``."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)[2]
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)[2]
    raise ValueError(f"version {version} of the format")
