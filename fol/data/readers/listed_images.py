"""Files of images whose names a benchmark's own lists give."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from fol.data.images import image_extensions, printable
from fol.errors import DataError


class ListedImages:
    """Finds the file of a listed image below ``root``, where downloads differ from the lists in case or extension.

    Each folder is listed once, when the first of its images is asked for.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, Mapping[str, str]] = {}

    def path(self, name: str, listed_in: Path) -> Path:
        """The file of that very name; else one whose name differs in case; else one with another extension.

        Where there is none it is the path as listed, for ``fol data verify`` to miss. Raises ``DataError`` for a name
        that leads out of ``root``.
        """
        if PurePosixPath(name).is_absolute() or ".." in name.split("/") or not name:
            raise DataError(f"{printable(listed_in)}: {name!r} is no path below {printable(self._root)}")
        folder, _, file = name.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = _names(self._root / folder)
        files = self._folders[folder]
        found = files.get(file) or files.get(file.lower()) or files.get(_stem(file)) or file
        return self._root / folder / found


def _names(folder: Path) -> Mapping[str, str]:
    """File names by themselves, by their lower-case form, and by that without extension (sorted: the first wins)."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 (no need of a Path for each name)
    except OSError:  # not downloaded yet
        return {}
    extensions = image_extensions()
    found: dict[str, str] = {}
    for name in names:
        if os.path.splitext(name)[1].lower() in extensions:  # noqa: PTH122
            found.setdefault(_stem(name), name)
            found.setdefault(name.lower(), name)
    found.update((name, name) for name in names)
    return found


def _stem(name: str) -> str:
    """Lower-case name with a slash for the extension, so that no file can be called the same."""
    return os.path.splitext(name)[0].lower() + "/"  # noqa: PTH122
