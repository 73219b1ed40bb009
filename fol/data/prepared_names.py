"""File names of prepared photos: the 15 fields of ``@`` names, unique in their folder."""

from __future__ import annotations

from collections.abc import Sequence

from fol.data.readers.at_names import FIELDS, format_at_name, is_at_name, parse_at_name
from fol.errors import DataError
from fol.types import Place

_NUMBER = {field: FIELDS.index(field) + 1 for field in FIELDS}  # of a field in name.split("@")
_LONGEST = 60  # bytes of a free text, so that the name stays below 255
_PANO_IDS = ("pano_id", "panorama", "key", "frame")


def prepared_names(places: Sequence[Place], northings: Sequence[float | None]) -> list[str]:
    """One file name per place, no two alike, the same whenever it is asked for.

    A photo whose name follows the convention already, with the place's position, keeps it. ``northings`` are made-up
    coordinates in metres for places without a position; where they are None as well, both fields are empty. A name
    that is taken gets a number in its note. Work is linear in the number of places.
    """
    used: set[str] = set()
    counts: dict[str, int] = {}
    names = []
    for place, northing in zip(places, northings, strict=True):
        name = place.image.name if _is_kept(place) else _name(place, northing)
        if name in used:
            base = name = _name(place, northing)
            while name in used:
                counts[base] = counts.get(base, 1) + 1
                name = _name(place, northing, counts[base])
        used.add(name)
        names.append(name)
    return names


def _is_kept(place: Place) -> bool:
    name = place.image.name
    if not is_at_name(name) or not name.isprintable():
        return False
    try:
        return parse_at_name(name).position == place.position
    except DataError:
        return False


def _name(place: Place, northing: float | None, number: int | None = None) -> str:
    position, metadata = place.position, place.metadata
    pano_id = next((metadata[key] for key in _PANO_IDS if metadata.get(key)), place.image.stem)
    note = _clean(metadata.get("note", ""))
    name = format_at_name(
        easting=0.0 if position is None else position.easting,
        northing=(northing or 0.0) if position is None else position.northing,
        zone=None if position is None else position.zone,
        latitude=None if position is None else position.latitude,
        longitude=None if position is None else position.longitude,
        pano_id=_clean(pano_id),
        heading=place.heading,
        timestamp=_clean(metadata.get("timestamp", ""), 15),
        note=note if number is None else f"{note}-{number}".removeprefix("-"),
        extension=_clean(place.image.suffix, 10),
    )
    fields = name.split("@")
    if position is None and northing is None:
        fields[_NUMBER["UTM_east"]] = fields[_NUMBER["UTM_north"]] = ""
    for field in ("tile_num", "pitch", "roll", "height"):
        fields[_NUMBER[field]] = _clean(metadata.get(field, ""), 10)
    return "@".join(fields)


def _clean(text: str, longest: int = _LONGEST) -> str:
    """``text`` without what separates fields, folders or words, cut to a number of bytes."""
    if text.isascii() and text.isalnum() and len(text) <= longest:
        return text
    kept = "".join(c if c.isprintable() and c not in "@/\\ " else "-" for c in text)
    return kept.encode()[:longest].decode(errors="ignore")
