"""Writing that survives a kill: files replaced in one step, one writer of a folder at a time."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fol.errors import DataError, FolError

LOCK = ".lock"
_TEMPORARY = re.compile(r"\.\d+-(.+)\.tmp", re.DOTALL)
_LONGEST = 60  # characters of a name that are kept in a temporary one, which must stay below 256 bytes


def write_atomically(path: Path, data: bytes | Callable[[Path], object], *, durable: bool = True) -> None:
    """Replace ``path`` by a file holding ``data``; after a kill it is the old one or the new one, whole.

    ``data`` may be a function that writes the file to the path that it is given. The temporary file beside ``path``
    bears the number of the process, so that two do not collide; it is gone after an error, and left by a kill until
    ``remove_leftovers``. With ``durable`` the new file outlives a power cut once this returns.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name[-_LONGEST:]}.tmp")
    try:
        if isinstance(data, bytes):
            temporary.write_bytes(data)
        else:
            data(temporary)
        if durable:
            sync_file(temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_directory(path.parent)


def source_digest(files: Iterable[Path], root: Path) -> str:
    """SHA-256 over names below ``root`` and contents of source files: what was made with edited code is not mixed."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def final_name(name: str) -> str:
    """The name (its end, where it is long) that a temporary file was to get; any other name as it is."""
    found = _TEMPORARY.fullmatch(name)
    return found[1] if found else name


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of killed writers in ``folder``, whose only writer the caller must be."""
    for path in folder.iterdir():
        if final_name(path.name) != path.name:
            path.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


_held: set[tuple[int, int]] = set()
_held_guard = threading.Lock()


@contextmanager
def writer_lock(folder: Path, error: type[FolError] = DataError) -> Iterator[None]:
    """Be the only writer of ``folder``; raises ``error`` at once when somebody else is.

    A POSIX record lock on ``.lock``: it ends with the process however that ends, and unlike ``flock`` it is not
    inherited by loading processes that outlive a killed parent for some seconds. It does not tell two threads
    apart, so those are told apart here.
    """
    path = folder / LOCK
    busy = f"{folder} is being written by another process: wait until it has finished, then try again"
    with _held_guard:
        # Looked up by name before opening: closing any handle of a file drops this process's lock on it.
        if path.exists() and _identity(path.stat()) in _held:
            raise error(busy)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as problem:
            raise error(f"{folder} cannot be written ({problem.strerror}): check its permissions") from problem
        identity = _identity(os.fstat(file))
        _held.add(identity)
    try:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            renamed = _identity(path.stat()) != identity  # the folder moved between opening and locking
        except OSError as problem:
            raise error(busy) from problem
        if renamed:
            raise error(busy)
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
