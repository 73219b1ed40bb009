"""One part of a feature cache: files that one process appends to and any number read.

Two tables grow side by side, each with the keys of its photos in a file of its own: global descriptors and local
features. Keys are written last, so a photo is there with all of its data or not at all; what a kill left behind the
last key is cut off by the next writer. Photos that cannot be used are not noted: they are few, and tried again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fol.files import sync_directory
from fol.retrieval.descriptor_store import as_descriptors
from fol.retrieval.local_options import Bits, LocalStoreOptions
from fol.retrieval.local_records import TABLE_ROW, row_bytes
from fol.retrieval.local_store import LocalEncoder
from fol.types import LocalFeatures

BITS: Bits = 16  # float16: what is measured must not depend on which photos a quantiser happened to see first
DESCRIPTORS, DESCRIPTOR_KEYS = "descriptors.f32", "descriptors.keys"
LOCAL, LOCAL_TABLE, LOCAL_KEYS = "local.bin", "local.table", "local.keys"
TIMES = "times.jsonl"
_KEY = np.dtype("<u8")


class PartWriter:
    """Appends features to the files in ``folder``, whose only writer the caller must be. Close it after use."""

    def __init__(self, folder: Path, descriptor_dim: int, local_dim: int, max_tokens: int) -> None:
        self.folder, self.descriptor_dim = folder, descriptor_dim
        self._encoder = LocalEncoder(folder / "quantiser", max_tokens, local_dim, LocalStoreOptions(BITS), known=False)
        rows = len(read_keys(folder / DESCRIPTOR_KEYS))
        _cut(folder / DESCRIPTOR_KEYS, rows * _KEY.itemsize)
        _cut(folder / DESCRIPTORS, rows * 4 * descriptor_dim)
        images = len(read_keys(folder / LOCAL_KEYS))
        _cut(folder / LOCAL_KEYS, images * _KEY.itemsize)
        _cut(folder / LOCAL_TABLE, images * TABLE_ROW.itemsize)
        self._local_size = local_size(folder / LOCAL_TABLE, images, local_dim)
        _cut(folder / LOCAL, self._local_size)
        names = (DESCRIPTORS, DESCRIPTOR_KEYS, LOCAL, LOCAL_TABLE, LOCAL_KEYS)
        self._files = {name: (folder / name).open("ab", buffering=0) for name in names}
        sync_directory(folder)

    def append_descriptors(self, keys: NDArray[np.uint64], descriptors: Sequence[Tensor]) -> None:
        """One row per key; on return they are on the disk."""
        if len(keys):
            rows = as_descriptors(descriptors, self.descriptor_dim)
            self._write((DESCRIPTORS, rows.tobytes()), (DESCRIPTOR_KEYS, keys.astype(_KEY).tobytes()))

    def append_local(self, keys: NDArray[np.uint64], features: Sequence[LocalFeatures]) -> None:
        """One record per key; on return they are on the disk."""
        if len(keys):
            records, table = self._encoder.encode(features, self._local_size)
            self._write((LOCAL, records), (LOCAL_TABLE, table), (LOCAL_KEYS, keys.astype(_KEY).tobytes()))
            self._local_size += len(records)

    def note_time(self, photos: int, seconds: float) -> None:
        """How long extracting so many photos took."""
        with (self.folder / TIMES).open("a") as file:
            file.write(json.dumps({"photos": photos, "seconds": seconds}) + "\n")

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _write(self, *blocks: tuple[str, bytes]) -> None:
        """Write in this order, each to the disk before the next is begun."""
        for name, data in blocks:
            view = memoryview(data)
            while len(view):
                view = view[self._files[name].write(view) :]
            os.fsync(self._files[name].fileno())


def read_keys(path: Path) -> NDArray[np.uint64]:
    """The whole keys in a file; none where there is no file."""
    if not path.exists():
        return np.empty(0, np.uint64)
    data = path.read_bytes()
    return np.frombuffer(data, _KEY, len(data) // _KEY.itemsize).astype(np.uint64)


def local_size(table: Path, images: int, local_dim: int) -> int:
    """Bytes of the records of the first ``images`` lines of the table."""
    if not images:
        return 0
    with table.open("rb") as file:
        file.seek((images - 1) * TABLE_ROW.itemsize)
        last = np.frombuffer(file.read(TABLE_ROW.itemsize), TABLE_ROW)[0]
    return int(last["start"]) + int(last["head"]) + int(last["tokens"]) * row_bytes(local_dim, BITS)


def _cut(path: Path, size: int) -> None:
    """Make the file exactly so long."""
    with path.open("ab") as file:
        file.truncate(size)
