"""Photos inside a page: small JPEG pictures as data URIs, each once, within a number of bytes."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

from PIL import Image

from fol.data import load_image
from fol.errors import ImageError

#: Longest side of a photo in pixels: in a row of candidates, and where something is drawn on it.
SMALL, LARGE = 240, 480
_QUALITY = 76


class Album:
    """Photos by number. ``full`` once they take ``max_bytes``; what is begun may be finished."""

    def __init__(self, max_bytes: int) -> None:
        self.uris: list[str] = []
        self._max_bytes, self._bytes = max_bytes, 0
        self._numbers: dict[Path, int | None] = {}

    @property
    def full(self) -> bool:
        """Whether no further query should be begun."""
        return self._bytes >= self._max_bytes

    def add(self, path: Path, side: int = SMALL) -> int | None:
        """Number of a photo (of the size it was first added with); None when its file cannot be used."""
        if path not in self._numbers:
            try:
                self._numbers[path] = self.put(small_jpeg(load_image(path), side))
            except ImageError:
                self._numbers[path] = None
        return self._numbers[path]

    def put(self, uri: str) -> int:
        """Number of a picture that is a data URI already."""
        self.uris.append(uri)
        self._bytes += len(uri)
        return len(self.uris) - 1

    def uri(self, path: Path) -> str | None:
        """Data URI of a small photo; None when its file cannot be used."""
        number = self.add(path)
        return None if number is None else self.uris[number]


def small_jpeg(image: Image.Image, side: int) -> str:
    """Data URI of an RGB image, made smaller where its longest side has more than ``side`` pixels."""
    copy = image.copy()
    copy.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    encoded = BytesIO()
    copy.save(encoded, "JPEG", quality=_QUALITY, optimize=True)
    return _data_uri("jpeg", encoded.getvalue())


def png(image: Image.Image) -> str:
    """Data URI of an image without loss."""
    encoded = BytesIO()
    image.save(encoded, "PNG", optimize=True)
    return _data_uri("png", encoded.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
