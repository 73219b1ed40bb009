"""The data files of a map, which are only ever appended to, and checksums of their parts."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from fol.errors import MapError

_CHUNK = 1 << 24


def checksum(path: Path, stop: int, start: int = 0, value: int = 0) -> int:
    """CRC-32 of bytes ``[start, stop)`` of a file, continued from ``value``; shorter files raise ``MapError``."""
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while start < stop:
            chunk = file.read(min(_CHUNK, stop - start))
            if not chunk:
                raise MapError(f"{path} is truncated: {start} bytes instead of {stop}")
            value = zlib.crc32(chunk, value)
            start += len(chunk)
    return value


class RecordFile:
    """Append-only file with a running CRC-32.

    Opening one cuts off whatever lies after the ``size`` bytes that are known to be good, which is what an
    interrupted writer leaves. Readers never look past the size that their manifest gives them.
    """

    def __init__(self, path: Path, size: int = 0, crc: int = 0) -> None:
        self.path = path
        self.size = size
        self.crc = crc
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(self._file).st_size < size:
            os.close(self._file)
            raise MapError(f"{path} is truncated: it should hold {size} bytes; build the map again")
        os.ftruncate(self._file, size)

    def append(self, data: memoryview | bytes) -> None:
        """Add bytes. Raises ``OSError`` (the disk is full) with nothing counted."""
        position = self.size
        rest = memoryview(data)
        while len(rest):
            written = os.pwrite(self._file, rest, position)
            position += written
            rest = rest[written:]
        self.crc = zlib.crc32(data, self.crc)
        self.size = position

    def sync(self) -> None:
        """Wait until the bytes are on the disk."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Give the file back; nothing is lost without it."""
        os.close(self._file)
