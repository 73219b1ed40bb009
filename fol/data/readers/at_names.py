"""Labels in file names: ``@east@north@zone number@zone letter@lat@lon@...@.jpg``.

The convention of VPR-datasets-downloader (``util.py``, get_dst_image_name): 15 fields, each preceded by ``@``. Only
the first two are required, here as for the programs that read such names. Readers look at the last component of a
path alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePath

from fol.data.coordinates import parse_zone, position_from_utm
from fol.data.images import printable
from fol.data.readers.label import Label, normalise_heading, parse_number
from fol.errors import DataError

#: Names of the fields, in order; the 15th is the file's extension.
FIELDS = (
    "UTM_east",
    "UTM_north",
    "UTM_zone_number",
    "UTM_zone_letter",
    "latitude",
    "longitude",
    "pano_id",
    "tile_num",
    "heading",
    "pitch",
    "roll",
    "height",
    "timestamp",
    "note",
)
_METADATA = ("pano_id", "tile_num", "pitch", "roll", "height", "timestamp", "note")
_LONGEST_NAME = 255  # bytes, of the common file systems
_FORBIDDEN = re.compile(r"[@/\\\x00-\x1f]")


def is_at_name(path: str | PurePath) -> bool:
    """Whether a file's name is meant to follow the convention: it starts with ``@``."""
    return os.path.basename(path).startswith("@")  # noqa: PTH119 (millions of names: no Path for each)


def parse_at_name(path: str | PurePath) -> Label:
    """Position, heading and metadata (pano_id, tile_num, pitch, roll, height, timestamp, note; only those given).

    Fewer than 15 fields are fine, further ones belong to the note. Without a zone number the coordinates are a local
    frame. Raises ``DataError`` naming the file and the field.
    """
    name = os.path.basename(path)  # noqa: PTH119
    if not name.startswith("@"):
        raise DataError(f"{printable(path)}: the name does not start with @, as @east@north@... names do")
    values = os.path.splitext(name)[0].split("@", len(FIELDS))[1:]  # noqa: PTH122
    values[-1] = values[-1].rstrip("@")
    fields = {field: value for field, value in zip(FIELDS, map(str.strip, values), strict=False) if value}
    try:
        position = position_from_utm(
            _required(path, fields, "UTM_east"),
            _required(path, fields, "UTM_north"),
            _zone(path, fields),
            _number(path, fields, "latitude"),
            _number(path, fields, "longitude"),
        )
    except DataError as error:
        shown = printable(path)
        raise error if str(error).startswith(shown) else DataError(f"{shown}: {error}") from error
    heading = _number(path, fields, "heading")
    return Label(
        position,
        None if heading is None else normalise_heading(heading),
        metadata={name: fields[name] for name in _METADATA if name in fields},
    )


def format_at_name(
    *,
    easting: float,
    northing: float,
    zone: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    pano_id: str = "",
    heading: float | None = None,
    timestamp: str = "",
    note: str = "",
    extension: str = ".jpg",
) -> str:
    """A file name with all 15 fields, zero-padded: metres to 0.01, degrees to 0.00001, heading to 1.

    Raises ``DataError`` for coordinates out of range, an ``@``, slash or control character in a text, and names over
    255 bytes.
    """
    position_from_utm(easting, northing, zone, latitude, longitude)
    for field, text in (("pano_id", pano_id), ("timestamp", timestamp), ("note", note), ("extension", extension)):
        if _FORBIDDEN.search(text):
            raise DataError(
                f"{field} {text!r} cannot be part of a file name: it has an @, a slash or a control character"
            )
    number, letter = parse_zone(zone) if zone else (None, "")
    values = (
        _padded(easting, 7, 2),
        _padded(northing, 7, 2),
        "" if number is None else f"{number:02d}",
        letter,
        "" if latitude is None else _padded(latitude, 3, 5),
        "" if longitude is None else _padded(longitude, 4, 5),
        pano_id,
        "",
        "" if heading is None else f"{round(normalise_heading(heading)) % 360:03d}",
        *("", "", ""),
        timestamp,
        note,
        extension,
    )
    name = "@" + "@".join(values)
    if len(name.encode()) > _LONGEST_NAME:
        raise DataError(f"{name!r} is longer than {_LONGEST_NAME} bytes: shorten the note or the pano_id")
    return name


def _padded(value: float, integer_digits: int, decimals: int) -> str:
    """Zero-padded; a sign takes the place of one integer digit."""
    return f"{round(value, decimals) + 0.0:0{integer_digits + 1 + decimals}.{decimals}f}"  # + 0.0: never -0


def _zone(path: str | PurePath, fields: Mapping[str, str]) -> str | None:
    number, letter = fields.get("UTM_zone_number", ""), fields.get("UTM_zone_letter", "")
    if not number:
        if letter:
            raise DataError(f"{printable(path)}: field UTM_zone_number is empty, but there is a UTM_zone_letter")
        return None
    return number + letter


def _required(path: str | PurePath, fields: Mapping[str, str], field: str) -> float:
    value = _number(path, fields, field)
    if value is None:
        raise DataError(f"{printable(path)}: field {field} is empty")
    return value


def _number(path: str | PurePath, fields: Mapping[str, str], field: str) -> float | None:
    text = fields.get(field, "")
    try:
        return parse_number(text) if text else None
    except ValueError as error:
        raise DataError(f"{printable(path)}: field {field}: {printable(str(error))}") from error
