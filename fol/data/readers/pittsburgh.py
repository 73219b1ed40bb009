"""Pitts30k and Pitts250k as published: a ``.mat`` file for each split, and the folders of photos.

<images>/000/000829_pitch1_yaw1.jpg         24 views (2 pitches, 12 directions) of each panorama
<queries>/000/000546_pitch1_yaw1.jpg        ``queries_real`` beside the numbered folders
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fol.data.photo_set import PhotoSet
from fol.data.readers.dbstruct import DbStruct, Side, load_dbstruct, positions
from fol.data.readers.listed_images import ListedImages
from fol.types import Place

ZONE = "17T"
_QUERIES = "queries_real"


def read_dbstruct(mat: Path, images: Path, queries: Path | None = None) -> PhotoSet:
    """Photos of the split that ``mat`` lists (``pitts30k_test.mat`` and the like), in its order.

    ``images`` holds the numbered folders 000 to 010, ``queries`` (None: ``queries_real`` in ``images``) those of the
    queries. Names are those of the list, on both sides. Metadata: ``panorama`` (``000/000829``; of queries
    ``queries_real/000/000829``, as each side counts its own) and ``note`` (``pitch1_yaw1``). The direction of a view is
    known only relative to its panorama, so ``Place.heading`` is None.

    Raises ``DataError`` naming file and field; photos that are missing are left to ``fol data verify``.
    """
    struct = load_dbstruct(mat)
    queries = images / _QUERIES if queries is None else queries
    database = _places(struct, struct.database, images)
    return PhotoSet(images, database, _places(struct, struct.queries, queries, f"{_QUERIES}/"))


def _places(struct: DbStruct, side: Side, folder: Path, prefix: str = "") -> tuple[Place, ...]:
    files = ListedImages(folder)
    return tuple(
        Place(name, files.path(name, struct.path), position, metadata=_metadata(name, prefix))
        for name, position in zip(side.names, positions(struct, side, ZONE), strict=True)
    )


def _metadata(name: str, prefix: str) -> Mapping[str, str]:
    panorama, _, view = name.rpartition(".")[0].partition("_")
    return {"panorama": prefix + panorama} | ({"note": view} if view else {})
