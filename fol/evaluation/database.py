"""Which image of a data set each place of a map is."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fol.data import PlaceDataset, printable
from fol.errors import MapError
from fol.retrieval import PlaceMap
from fol.types import Place

_PHOTOS_COMPARED = 20


@dataclass(frozen=True)
class DatabaseIndex:
    """``index``: place id of the map -> index into the data set's database; ``not_in_map``: names that have none."""

    index: dict[int, int]
    not_in_map: tuple[str, ...]


def match_database(place_map: PlaceMap, dataset: PlaceDataset) -> DatabaseIndex:
    """Match the map's places with the data set's database by name, and by file where names start from another folder.

    Raises ``MapError`` naming the first place of the map that is not in the database, the first database image
    that the map lacks although it could have been indexed, or the first that is another photo of the same name.
    """
    path, root = printable(place_map.path), printable(dataset.root)
    ids = [int(i) for i in place_map.ids]
    places = place_map.places(place_map.ids)
    by_name = {place.name: position for position, place in enumerate(dataset.database)}
    by_file = {place.image.absolute(): position for position, place in enumerate(dataset.database)}
    index: dict[int, int] = {}
    for place_id, place in zip(ids, places, strict=True):
        position = by_file.get(place.image.absolute(), by_name.get(place.name))
        if position is None:
            raise MapError(
                f"{path} has {printable(place.name)}, which is not in the database of {root}: "
                "build a map of that database alone with `fol index`"
            )
        index[place_id] = position
    found = set(index.values())
    missing = [place.name for position, place in enumerate(dataset.database) if position not in found]
    unusable = {skipped.name for skipped in place_map.skipped}
    for name in missing:
        if name.encode("utf-8", "replace").decode() not in unusable:  # maps hold names as far as they are UTF-8
            raise MapError(
                f"{path} lacks {printable(name)} of the database of {root} ({len(missing)} in all): "
                "build the map again from the whole database"
            )
    _check_photos(places, [dataset.database[index[place_id]] for place_id in ids], place_map.path)
    return DatabaseIndex(index, tuple(missing))


def _check_photos(places: Sequence[Place], database: Sequence[Place], path: Path) -> None:
    """Names such as 0001.jpg exist in many data sets; a map of another one would only show as a bad recall."""
    step = max(1, len(places) // _PHOTOS_COMPARED)
    for place, other in list(zip(places, database, strict=True))[::step]:
        if place.image.absolute() == other.image.absolute() or not (place.image.is_file() and other.image.is_file()):
            continue
        if not filecmp.cmp(place.image, other.image, shallow=False):
            raise MapError(
                f"{printable(path)} was built from {printable(place.image)}, another photo than "
                f"{printable(other.image)} of the same name: build a map of this data set with `fol index`"
            )
