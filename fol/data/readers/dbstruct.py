"""``dbStruct``: the MATLAB structure in which NetVLAD's authors publish Pittsburgh, Tokyo 24/7 and Tokyo Time Machine.

Fields are read by name (Relja/netvlad, datasets/dbBase.m): their order differs between the files, as the Tokyo Time
Machine has time stamps in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fol.data.coordinates import position_from_utm
from fol.data.images import printable
from fol.errors import DataError
from fol.types import Position


@dataclass(frozen=True, eq=False)
class Side:
    """The database or the queries: file names as listed, ``metres [N, 2]``, and time stamps where the file has them."""

    names: tuple[str, ...]
    metres: NDArray[np.float64]
    times: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class DbStruct:
    """What the readers of the data sets use of the structure in the file ``path``."""

    path: Path
    database: Side
    queries: Side


def load_dbstruct(path: Path) -> DbStruct:
    """Reads a ``.mat`` file of MATLAB 5 to 7.

    Coordinates may be 2xN, as published, or Nx2. Raises ``DataError`` naming file and field for a file that is
    missing, is none or lacks a field, and for fields that do not fit together.
    """
    fields = _fields(path)
    return DbStruct(path, _side(path, fields, "db", "utmDb"), _side(path, fields, "q", "utmQ"))


def positions(struct: DbStruct, side: Side, zone: str) -> list[Position]:
    """Position of each photo in a UTM zone such as ``17T``; photos cut out of one panorama share theirs."""
    known: dict[tuple[float, float], Position] = {}
    for name, (easting, northing) in zip(side.names, side.metres.tolist(), strict=True):
        if (easting, northing) not in known:
            try:
                known[easting, northing] = position_from_utm(easting, northing, zone)
            except DataError as error:
                raise DataError(f"{printable(struct.path)}: {printable(name)}: {error}") from error
    return [known[easting, northing] for easting, northing in side.metres.tolist()]


def _fields(path: Path) -> Mapping[str, Any]:
    """The fields of the variable ``dbStruct`` by name."""
    from scipy.io import loadmat  # slow to import, and needed for few data sets

    shown = printable(path)
    try:
        with path.open("rb") as file:
            variables = loadmat(file)
    except NotImplementedError as error:
        raise DataError(
            f"{shown}: is of MATLAB 7.3, which is not read: in MATLAB load it and save(file, 'dbStruct', '-v7')"
        ) from error
    except Exception as error:  # the parser raises nearly anything for other files
        if isinstance(error, OSError) and error.strerror:  # the parser's own have none
            raise DataError(f"{shown}: cannot be read ({error.strerror})") from error
        raise DataError(f"{shown}: is not a whole .mat file ({type(error).__name__}): download it again") from error
    struct = variables.get("dbStruct")
    if not isinstance(struct, np.ndarray) or struct.dtype.names is None or struct.size != 1:
        found = ", ".join(name for name in variables if not name.startswith("__")) or "nothing"
        raise DataError(
            f"{shown}: has no structure dbStruct (it holds {printable(found)}): it is no list of a data set"
        )
    return dict(zip(struct.dtype.names, struct.reshape(-1)[0], strict=True))


def _side(path: Path, fields: Mapping[str, Any], side: str, coordinates: str) -> Side:
    field, listed = _field(path, fields, f"{side}ImageFns", f"{side}Image")
    names = tuple(_text(path, field, cell) for cell in np.asarray(listed).reshape(-1))
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{printable(path)}: field {field}: lists {printable(twice)} twice")
    times = fields.get(f"{side}TimeStamp")
    return Side(
        names,
        _metres(path, coordinates, _field(path, fields, coordinates)[1], len(names)),
        None if times is None else _times(path, f"{side}TimeStamp", times, len(names)),
    )


def _field(path: Path, fields: Mapping[str, Any], *names: str) -> tuple[str, Any]:
    for name in names:
        if name in fields:
            return name, fields[name]
    raise DataError(f"{printable(path)}: dbStruct has no field {names[0]} (it has {printable(', '.join(fields))})")


def _text(path: Path, field: str, cell: Any) -> str:
    """A cell with a text in it, or one row of a matrix of characters, which MATLAB fills with blanks."""
    while isinstance(cell, np.ndarray) and cell.size == 1:
        cell = cell.reshape(-1)[0]
    text = str(cell).strip() if isinstance(cell, str) else ""
    if not text:
        raise DataError(f"{printable(path)}: field {field}: has a cell without a file name")
    return text


def _metres(path: Path, field: str, values: Any, count: int) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" or array.ndim != 2 or 2 not in array.shape:
        raise DataError(f"{printable(path)}: field {field}: must be numbers, 2 for each photo")
    array = array.astype(np.float64)
    pairs = array.T if array.shape == (2, count) else array
    if pairs.shape != (count, 2):
        shape = "x".join(map(str, array.shape))
        raise DataError(f"{printable(path)}: field {field}: is {shape}, but {count} photos are listed")
    if not np.isfinite(pairs).all():
        raise DataError(f"{printable(path)}: field {field}: has values that are not finite")
    return np.ascontiguousarray(pairs)


def _times(path: Path, field: str, values: Any, count: int) -> tuple[str, ...]:
    """As text; the published ones are whole numbers."""
    cells = np.asarray(values).reshape(-1)
    if len(cells) != count:
        raise DataError(f"{printable(path)}: field {field}: has {len(cells)} values, but {count} photos are listed")
    if cells.dtype.kind in "iuf":
        return tuple(f"{value:.15g}" for value in cells.tolist())
    return tuple(_text(path, field, cell) for cell in cells)
