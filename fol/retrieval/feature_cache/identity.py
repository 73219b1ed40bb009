"""Which photo is which: by the file itself, so that a changed one is never taken for the old one.

Size, time of the last change and inode number. A hard link is the same photo, as ``fol data prepare`` makes them, and
so is a file that was renamed; a copy, a restored or an edited file is another. Reading the bytes instead would take as
long as decoding them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fol.types import Place

MISSING = np.uint64(0)  #: Key of a photo whose file is not there.


def photo_keys(places: Sequence[Place], *, short_side: int | None = None) -> NDArray[np.uint64]:
    """``[N]`` keys; ``short_side`` is the resizing that the photos get (``fol.extraction.prepared``).

    64 bits: among three million photos two would share a key once in four million data sets.
    """
    rule = f":{short_side}" if short_side else ""
    keys = np.empty(len(places), np.uint64)
    for i, place in enumerate(places):
        try:
            status = place.image.stat()
        except OSError:
            keys[i] = MISSING
            continue
        text = f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}{rule}".encode()
        keys[i] = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") or 1
    return keys
