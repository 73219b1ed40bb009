"""Names of images: how they are written in reports, and how other files refer to them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from fol.data.readers.csv_table import Row


def place_name(path: Path, root: Path) -> str:
    """``path`` relative to ``root`` with forward slashes; bytes that are not UTF-8 become ``\\xNN``."""
    return utf8_name(path.relative_to(root).as_posix())


def utf8_name(name: str) -> str:
    """``name`` as it can be written to files: bytes that are not UTF-8 become ``\\xNN``."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


class NameIndex:
    """Finds the index of an image by the name that a CSV gives it.

    Accepted besides the exact name: backslashes, a leading ``./`` or name of the folder itself (``prefixes``), and the
    other Unicode normalisation form (macOS decomposes letters in file names, editors do not).
    """

    def __init__(self, names: Sequence[str], prefixes: Sequence[str] = ()) -> None:
        self.prefixes = tuple(prefixes)
        self._exact = {name: index for index, name in enumerate(names)}
        self._normal: dict[str, int] = {}
        ambiguous = set()
        for index, name in enumerate(names):
            normal = unicodedata.normalize("NFC", name)
            if self._normal.setdefault(normal, index) != index:
                ambiguous.add(normal)
        for normal in ambiguous:
            del self._normal[normal]

    def find(self, name: str) -> int | None:
        """The image's index, None when there is none of that name."""
        if name in self._exact:
            return self._exact[name]
        normal = unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")
        for candidate in (normal, *(normal.removeprefix(f"{prefix}/") for prefix in self.prefixes)):
            if candidate in self._normal:
                return self._normal[candidate]
        return None

    def find_once(self, row: Row, column: str, lines: dict[int, int], where: str) -> int:
        """The index of the image that a cell names, whose line is added to ``lines``.

        Raises ``DataError`` for a name that is not ``where`` it should be, and for one that ``lines`` has.
        """
        name = row.text(column)
        index = self.find(name)
        if index is None:
            raise row.error(column, f"{name!r} is not an image {where}")
        if index in lines:
            raise row.error(column, f"{name!r} is already in line {lines[index]}")
        lines[index] = row.line
        return index
