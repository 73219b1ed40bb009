"""AmsterTime: archive photos of Amsterdam and the same views today (Yildiz et al. 2022, release v1.0).

    <root>/new/<id>.png     database, today
    <root>/old/<id>.jpg     queries, from the archive

The two photos of an id show the same place, and no other is right (VPR-datasets-downloader: download_amstertime.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fol.data.images import list_images, printable
from fol.data.photo_set import PhotoSet
from fol.data.readers.names import place_name, utf8_name
from fol.errors import DataError
from fol.types import Place

_DATABASE, _QUERIES = "new", "old"


def read_amstertime(root: Path) -> PhotoSet:
    """All pairs, sorted by id on both sides; the metadata ``key`` is the id.

    Raises ``DataError`` for a folder that is missing or empty, an id that is there twice, and one without its partner.
    """
    database, queries = (_by_id(root / name) for name in (_DATABASE, _QUERIES))
    for ours, name, theirs in ((queries, _DATABASE, database), (database, _QUERIES, queries)):
        for key, path in ours.items():
            if key not in theirs:
                raise DataError(f"{printable(path)}: has no partner {printable(key)} in {name}/: complete the download")
    return PhotoSet(
        root,
        _places(root / _DATABASE, database),
        _places(root / _QUERIES, queries),
        tuple(np.array([index], np.int64) for index in range(len(queries))),
    )


def _by_id(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(
            f"{printable(folder)}: no such folder: AmsterTime has {_DATABASE}/ and {_QUERIES}/ side by side"
        )
    found: dict[str, Path] = {}
    for path in list_images(folder):
        other = found.setdefault(path.stem, path)
        if other != path:
            raise DataError(f"{printable(path)}: has the same id as {printable(other)}: remove one of them")
    if not found:
        raise DataError(f"{printable(folder)}: holds no images: complete the download")
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))  # 2 before 10


def _places(folder: Path, photos: dict[str, Path]) -> tuple[Place, ...]:
    return tuple(
        Place(place_name(path, folder), path, metadata={"key": utf8_name(path.stem)}) for path in photos.values()
    )
