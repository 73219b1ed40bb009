"""Labels in a photo's EXIF: GPS position and image direction.

Nothing here is fatal. A photo without GPS, or that cannot be opened, has no position; where its GPS fields are there
but make no sense (phones without a fix write 0/0 and the like), the reason is kept as metadata ``gps_problem``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags

from fol.data.coordinates import position_from_latlon
from fol.data.images import header_exif, open_header, printable
from fol.data.readers.label import Label, normalise_heading
from fol.errors import DataError, ImageError
from fol.types import Position

_GPS = ExifTags.GPS


def read_exif(path: Path) -> Label:
    """Position, heading (``GPSImgDirection``) and what was wrong with them, from the file's header alone.

    Metadata ``heading_reference`` is ``magnetic`` where the camera says that the heading was not turned to true north.
    """
    try:
        with open_header(path) as image:
            gps: Mapping[int, Any] = header_exif(image).get_ifd(ExifTags.IFD.GPSInfo)
    except ImageError:
        return Label()
    except Exception:  # malformed EXIF; the photo itself may be fine
        return Label(metadata={"gps_problem": "the EXIF data is malformed"})
    metadata = {}
    position: Position | None = None
    if _GPS.GPSLatitude in gps or _GPS.GPSLongitude in gps:
        try:
            position = _position(gps)
        except (ValueError, DataError) as error:
            metadata["gps_problem"] = printable(str(error))
    heading = _heading(gps)
    if heading is not None and _text(gps.get(_GPS.GPSImgDirectionRef)) == "M":
        metadata["heading_reference"] = "magnetic"
    return Label(position, heading, metadata=metadata)


def _position(gps: Mapping[int, Any]) -> Position:
    """Raises ``ValueError`` or ``DataError`` with the reason."""
    latitude = _degrees(gps, _GPS.GPSLatitude, _GPS.GPSLatitudeRef, "NS")
    longitude = _degrees(gps, _GPS.GPSLongitude, _GPS.GPSLongitudeRef, "EW")
    if latitude == 0 and longitude == 0:
        raise ValueError("latitude and longitude are both 0, as cameras without a fix write")
    return position_from_latlon(latitude, longitude)


def _degrees(gps: Mapping[int, Any], tag: int, reference_tag: int, letters: str) -> float:
    name = ExifTags.GPSTAGS[tag]
    reference = _text(gps.get(reference_tag))[:1]
    if reference not in tuple(letters):
        raise ValueError(f"{name}Ref is {reference!r}, not {letters[0]} or {letters[1]}")
    value = gps.get(tag)
    parts = value if isinstance(value, tuple | list) else (value,)
    try:
        degrees, minutes, seconds = ([float(part) for part in parts] + [0.0, 0.0])[:3]
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{name} {value!r} is not degrees, minutes and seconds") from error
    # Also false for NaN, which 0/0 becomes. 60 itself comes from rounding.
    if len(parts) > 3 or not (0 <= degrees <= 180 and 0 <= minutes <= 60 and 0 <= seconds <= 60):
        raise ValueError(f"{name} {value!r} is not degrees, minutes and seconds")
    total = degrees + minutes / 60 + seconds / 3600
    return -total if reference == letters[1] else total


def _heading(gps: Mapping[int, Any]) -> float | None:
    try:
        heading = float(gps[_GPS.GPSImgDirection])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return normalise_heading(heading) if math.isfinite(heading) else None


def _text(value: object) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ").upper()
