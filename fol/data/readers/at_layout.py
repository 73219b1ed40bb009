"""Benchmarks whose labels are ``@east@north@...`` file names: SF-XL, SVOX, St Lucia, Eynsham and all that
VPR-datasets-downloader writes.

    <root>[/test | /images/test]/database/**/@...@.jpg    (SVOX: gallery)
    <root>[/test | /images/test]/queries/**/@...@.jpg     (SF-XL: queries_v1, queries_night, ...)

SF-XL has 2.8 million database images: folders are listed, no file is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fol.data.images import image_extensions, printable
from fol.data.photo_set import PhotoSet
from fol.data.readers.at_names import is_at_name, parse_at_name
from fol.data.readers.names import utf8_name
from fol.errors import DataError
from fol.types import Place

_LAYOUTS = ("", "test", "images/test")
_DATABASES = ("database", "gallery")


def read_at_layout(root: Path, database: str | None = None, queries: str = "queries") -> PhotoSet:
    """All photos of one database folder and one queries folder, each sorted by name (relative to its folder).

    ``database`` None takes ``database`` or ``gallery``, whichever is there. Both are looked for in ``root``,
    ``root/test`` and ``root/images/test``; of other splits give the folder itself (``<root>/images/val``).

    Metadata as the names give it: ``panorama`` (the field pano_id), ``tile_num``, ``pitch``, ``timestamp``, ``note``.
    Positions without a zone are metres in a local frame. Raises ``DataError`` for a folder that is missing, naming
    those that are there, for one without images, and for an image whose name does not follow the convention.
    """
    names = _DATABASES if database is None else (database,)
    found = find_database(root, names)
    if found is None:
        raise DataError(
            f"{printable(root)}: has no folder {' or '.join(names)}, in test/ and images/test/ neither: "
            f"give the folder that holds it{_beside(root)}"
        )
    base, name = found
    if not (base / queries).is_dir():
        raise DataError(f"{printable(base / queries)}: no such folder{_beside(base, name)}")
    return PhotoSet(root, read_at_folder(base / name), read_at_folder(base / queries))


def find_database(root: Path, names: Sequence[str] = _DATABASES) -> tuple[Path, str] | None:
    """The first of ``names`` that is a folder in ``root``, ``root/test`` or ``root/images/test``, after where it is."""
    folders = ((root / layout, name) for layout in _LAYOUTS for name in names)
    return next(((base, name) for base, name in folders if (base / name).is_dir()), None)


def read_at_folder(folder: Path) -> tuple[Place, ...]:
    """All images below one folder, sorted by their name relative to it; raises ``DataError`` as ``read_at_layout``."""
    places = []
    extensions = image_extensions()
    for inside, parent, file in _files(folder, "", ()):
        if os.path.splitext(file)[1].lower() not in extensions:  # noqa: PTH122 (millions of names: no Path for each)
            continue
        path = parent / file
        if not is_at_name(file):
            raise DataError(f"{printable(path)}: the name does not start with @, as @east@north@... names do")
        try:
            label = parse_at_name(file)
        except DataError as error:
            raise DataError(f"{printable(parent)}/{error}") from error
        metadata = dict(label.metadata)
        if "pano_id" in metadata:
            metadata["panorama"] = metadata.pop("pano_id")
        places.append(Place(utf8_name(inside + file), path, label.position, label.heading, None, metadata))
    if not places:
        raise DataError(f"{printable(folder)}: holds no images named @east@north@...")
    places.sort(key=lambda place: place.name)
    return tuple(places)


def _files(folder: Path, inside: str, above: Sequence[str]) -> Iterator[tuple[str, Path, str]]:
    """Each visible file as (its folder relative to the first one, with a slash; its folder; its name)."""
    below = []
    above = [*above, os.path.realpath(folder)]
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir():
                    yield inside, folder, entry.name
                elif not entry.is_symlink() or os.path.realpath(entry.path) not in above:  # not into itself again
                    below.append(entry.name)
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot be read ({error.strerror})") from error
    for name in sorted(below):
        yield from _files(folder / name, f"{inside}{name}/", above)


def _beside(folder: Path, besides: str = "") -> str:
    """The folders that are there, as the end of a sentence."""
    if not folder.is_dir():
        return " (there is no such folder)"
    found = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name != besides)
    return f" (there are {printable(', '.join(found[:20]))})" if found else " (it has no other folders)"
