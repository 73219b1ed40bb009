"""The data files of a map: append-only records of a fixed size, and checksums of their parts."""

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
    """Append-only file of fixed-size records with a running CRC-32.

    Opening one cuts off whatever lies after the ``records`` that are known to be good, which is what an
    interrupted writer leaves. Readers never look past the count that their manifest gives them.
    """

    def __init__(self, path: Path, record_bytes: int, records: int = 0, crc: int = 0) -> None:
        self.path = path
        self.record_bytes = record_bytes
        self.records = records
        self.crc = crc
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(self._file).st_size < self.bytes:
            os.close(self._file)
            raise MapError(f"{path} is truncated: it should hold {self.bytes} bytes; build the map again")
        os.ftruncate(self._file, self.bytes)

    @property
    def bytes(self) -> int:
        """Size of the records together."""
        return self.records * self.record_bytes

    def append(self, data: memoryview) -> None:
        """Add whole records, given as bytes. Raises ``OSError`` (the disk is full) with nothing counted."""
        position = self.bytes
        rest = data
        while len(rest):
            written = os.pwrite(self._file, rest, position)
            position += written
            rest = rest[written:]
        self.crc = zlib.crc32(data, self.crc)
        self.records += len(data) // self.record_bytes

    def sync(self) -> None:
        """Wait until the records are on the disk."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Give the file back; nothing is lost without it."""
        os.close(self._file)
