"""Writing that survives a kill: atomic files, append-only record files, one writer at a time."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fol.errors import MapError

LOCK = ".lock"
_CHUNK = 1 << 24


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by a file holding ``data``; after a kill it is the old one or the new one, whole."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(folder: Path) -> None:
    """Make the names created, replaced and removed in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems cannot sync a directory
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


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


_held: set[tuple[int, int]] = set()
_held_guard = threading.Lock()


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Be the only writer of ``folder``; raises ``MapError`` at once when somebody else is.

    A POSIX record lock on ``.lock``: it ends with the process however that ends, and unlike ``flock`` it is not
    inherited by loading processes that outlive a killed parent for some seconds. It does not tell two threads
    apart, so those are told apart here.
    """
    path = folder / LOCK
    busy = f"{folder} is being written by another process: wait until it has finished, then try again"
    with _held_guard:
        # Looked up by name before opening: closing any handle of a file drops this process's lock on it.
        if path.exists() and _identity(path.stat()) in _held:
            raise MapError(busy)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise MapError(f"{folder} cannot be written ({error.strerror}): check its permissions") from error
        identity = _identity(os.fstat(file))
        _held.add(identity)
    try:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            renamed = _identity(path.stat()) != identity  # the folder moved between opening and locking
        except OSError as error:
            raise MapError(busy) from error
        if renamed:
            raise MapError(busy)
        yield
    finally:
        with _held_guard:
            _held.discard(identity)
        os.close(file)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def exchange_directories(first: Path, second: Path) -> bool:
    """Swap two directories' names in one atomic step; False where the file system or the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    failed = rename(here, os.fsencode(first.absolute()), here, os.fsencode(second.absolute()), exchange)
    if not failed:
        sync_directory(first.parent)
    return not failed
