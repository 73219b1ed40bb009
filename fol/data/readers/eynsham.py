"""Eynsham as its authors publish it (Cummins and Newman, Zenodo 1243106): two laps of a road, five views a panorama.

    <root>/Images/*grab_<seconds>.*.ppm    grey, five files in a row are the views of one Ladybug panorama
    <root>/Route_map/Eynsham.kml           the longitude, latitude of each panorama but the first

Known from VPR-datasets-downloader (download_eynsham.py), whose reading this is: files in the order of their names, the
first panorama left out, the last two entries of the KML's list (split at blanks) left out, the first 4,787 panoramas
the database and the others the queries. Its own release comes with ``@`` names.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from fol.data.coordinates import position_from_latlon
from fol.data.images import list_images, printable
from fol.data.photo_set import PhotoSet
from fol.data.readers.names import place_name
from fol.errors import DataError
from fol.types import Place, Position

_VIEWS = 5
_FIRST_LAP = 4787  # panoramas
_COORDINATES = re.compile(r"<coordinates>(.*?)</coordinates>", re.DOTALL)
_SECONDS = re.compile(r"grab_([0-9]+)")


def read_eynsham(root: Path, *, first_lap: int = _FIRST_LAP) -> PhotoSet:
    """All views of both laps with the position, ``panorama``, ``tile_num`` (0 to 4) and ``timestamp`` of each.

    ``root`` holds ``Images/`` and ``Route_map/``, or the folder ``Eynsham/`` that does; ``first_lap`` is how many
    panoramas are the database. Raises ``DataError`` for files that are missing or too few for the coordinates, and for
    coordinates that are none.
    """
    base = root / "Eynsham" if (root / "Eynsham" / "Images").is_dir() else root
    kml, folder = base / "Route_map" / "Eynsham.kml", base / "Images"
    positions = _route(kml)
    images = [path for path in list_images(folder) if path.suffix.lower() == ".ppm"][_VIEWS:]
    if len(images) < _VIEWS * len(positions):
        raise DataError(
            f"{printable(folder)}: has {len(images) + _VIEWS} .ppm photos, but the route {len(positions)} panoramas "
            f"of {_VIEWS} views besides the first: complete the download"
        )
    if len(positions) <= first_lap:
        raise DataError(f"{printable(kml)}: has {len(positions)} panoramas, the first lap alone {first_lap}")
    places = [
        Place(place_name(path, folder), path, position, metadata=_metadata(path, number, tile))
        for number, position in enumerate(positions)
        for tile, path in enumerate(images[_VIEWS * number : _VIEWS * (number + 1)])
    ]
    return PhotoSet(root, tuple(places[: _VIEWS * first_lap]), tuple(places[_VIEWS * first_lap :]))


def _metadata(path: Path, number: int, tile: int) -> dict[str, str]:
    found = _SECONDS.search(path.name)
    if found is None:
        raise DataError(f"{printable(path)}: the name has no time, as in grab_1204200000.ppm")
    time = datetime.fromtimestamp(int(found[1]), UTC).strftime("%Y%m%d_%H%M%S")
    return {"panorama": f"{number:04d}", "tile_num": str(tile), "timestamp": time}


def _route(kml: Path) -> list[Position]:
    """One position per panorama from the second on."""
    shown = printable(kml)
    try:
        lists = _COORDINATES.findall(kml.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror}): it has the positions of all photos") from error
    entries = max(lists, key=len, default="").replace("\n", "").split(" ")[:-2]
    positions = []
    for number, entry in enumerate(entries):
        try:
            longitude, latitude = (float(part) for part in entry.split(",")[:2])
            positions.append(position_from_latlon(latitude, longitude))
        except (ValueError, DataError) as error:
            raise DataError(f"{shown}: coordinates {number} are {entry[:40]!r}, not longitude,latitude") from error
    if not positions:
        raise DataError(f"{shown}: has no list of <coordinates>")
    return positions
