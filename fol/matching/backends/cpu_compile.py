"""numba's compiler with its results kept on disk, also where the package itself cannot be written to."""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config

_lock = threading.Lock()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` as machine code that runs without Python's lock: made at its first call, in seconds, then kept.

    It takes functions of modules, which is why those that call the intrinsics of ``cpu_tiles`` are written out one by
    one, near equal as they are. A closure made in a factory would be compiled anew in every process: numba finds it on
    disk by a hash of what it closes over, and an intrinsic pickles with a fresh identifier in each process.
    """
    folder = _folder()
    with _cache_in(folder):
        kernel: Callable[..., Any] = numba.njit(nogil=True, cache=folder is not None)(function)
    return kernel


@cache
def _folder() -> Path | None:
    """Where machine code is kept, ``$FOL_HOME/kernels/<digest>``; None where nothing can be written.

    numba looks at the file of a function alone to see whether its code is out of date, so the digest of all files that
    the code is made from is part of the name.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for file in sorted(Path(__file__).parent.glob("cpu*.py")):
        digest.update(file.read_bytes())
    home = os.environ.get("FOL_HOME")
    parent = Path(config.CACHE_DIR or (Path(home) if home else Path.home() / ".cache" / "fol") / "kernels")
    folder = parent / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        warnings.warn(
            f"compiled matching code cannot be kept in {folder}, so every process compiles it anew; "
            "set FOL_HOME to a folder that can be written",
            stacklevel=2,
        )
        return None
    return folder


@contextmanager
def _cache_in(folder: Path | None) -> Iterator[None]:
    """numba asks its configuration for the folder when a function is declared."""
    if folder is None:
        yield
        return
    with _lock:
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder)
        try:
            yield
        finally:
            config.CACHE_DIR = before
