"""Folders whose photos are numbered, and counted by ground truth in the order of their numbers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from fol.data.images import list_images, printable
from fol.errors import DataError


def numbered_images(folder: Path) -> dict[int, Path]:
    """The photos below ``folder`` by the number that their name is, ascending.

    Raises ``DataError`` when the folder is missing or empty, for a name that is no number, a number that is there
    twice, and a gap: what follows a photo that is missing would be taken for its neighbour.
    """
    paths = list_images(folder)
    if not paths:
        raise DataError(f"{printable(folder)}: holds no images: complete the download")
    found: dict[int, Path] = {}
    for path in paths:
        if not (path.stem.isascii() and path.stem.isdecimal()):
            raise DataError(f"{printable(path)}: the name must be the photo's number, as in 0000012.jpg")
        other = found.setdefault(int(path.stem), path)
        if other != path:
            raise DataError(f"{printable(path)}: has the same number as {printable(other)}: remove one of them")
    numbers = sorted(found)
    step = min((b - a for a, b in pairwise(numbers)), default=1)
    for before, after in pairwise(numbers):
        if after - before != step:
            raise DataError(
                f"{printable(folder)}: photo {before + step} is missing between {found[before].name} and "
                f"{found[after].name}, and the ground truth counts photos: complete the download"
            )
    return {number: found[number] for number in numbers}
