"""A folder of images to places: finds out where the labels are.

In this order: a sidecar CSV, ``@`` names, EXIF GPS, none. A sidecar is looked for in the folder first, then in each
sub-folder, and labels all images below where it is. Each image that no sidecar covers is taken by itself: an ``@``
name must follow its format, any other photo has the position of its EXIF or none. So a folder may be labelled in
part.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fol.data.images import list_images, printable
from fol.data.readers.at_names import is_at_name, parse_at_name
from fol.data.readers.exif import read_exif
from fol.data.readers.label import Label
from fol.data.readers.names import place_name
from fol.data.readers.sidecar_csv import find_sidecar, read_sidecar
from fol.errors import DataError
from fol.types import Place


def read_places(folder: str | os.PathLike[str], *, labels: bool = True) -> tuple[Place, ...]:
    """All images below ``folder`` as places, sorted by name (relative to ``folder``, forward slashes).

    ``labels`` False takes names and paths alone and looks for no coordinates. Only the headers of photos are read,
    and a photo that cannot be opened is still a place: extraction reports it. Raises ``DataError`` for a folder that
    is missing, is a file or holds no image, and for labels that do not follow their format.
    """
    root = Path(folder)
    images = list_images(root)
    if not images:
        raise DataError(f"{printable(root)}: holds no images{_what_else(root)}")
    found = _sidecar_labels(root, images) if labels else {}
    places = []
    for path in images:
        label = found.get(path) or (_own_label(path) if labels else Label())
        name = place_name(path, root)
        places.append(Place(name, path, label.position, label.heading, label.sequence, label.metadata))
    return tuple(sorted(places, key=lambda place: place.name))


def _own_label(path: Path) -> Label:
    return parse_at_name(path) if is_at_name(path) else read_exif(path)


def _sidecar_labels(folder: Path, images: Sequence[Path]) -> dict[Path, Label]:
    """Labels from the sidecar of ``folder``, or else from those of its sub-folders."""
    sidecar = find_sidecar(folder)
    if sidecar is not None:
        names = [place_name(path, folder) for path in images]
        return dict(zip(images, read_sidecar(sidecar, folder, names), strict=True))
    below: dict[str, list[Path]] = {}
    for path in images:
        parts = path.relative_to(folder).parts
        if len(parts) > 1:
            below.setdefault(parts[0], []).append(path)
    labels: dict[Path, Label] = {}
    for name, members in below.items():
        labels |= _sidecar_labels(folder / name, members)
    return labels


def _what_else(folder: Path) -> str:
    """What a folder without images holds, as the end of a sentence: most often photos of a format that is not read."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    common = Counter(path.suffix.lower() or "no extension" for path in files).most_common(1)
    if not common:
        return ""
    suffix, count = common[0]
    return f" ({count} files with {printable(suffix)}, which Pillow does not read here)"
