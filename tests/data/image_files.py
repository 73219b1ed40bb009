"""PNG files by hand, and the error that a file which is no image gets."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from fol.data.images import load_image
from fol.errors import ImageError


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def one_line_error(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(path)
    text = str(caught.value)
    assert "\n" not in text and "\r" not in text
    return text
