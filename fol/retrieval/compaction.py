"""Taking the records of removed places out of a map's files.

New files get what is left, one after the other, and replacing the manifest commits them all; before that nothing of
the map has changed, after that the old files are deleted. Readers that have the map open keep the files they opened.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fol.errors import MapError
from fol.files import writer_lock
from fol.retrieval.builder import described, write_places
from fol.retrieval.changes import clean
from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index import build_index
from fol.retrieval.journal import JOURNAL, Journal
from fol.retrieval.local_store import LocalStore
from fol.retrieval.manifest import Manifest, MapFile
from fol.retrieval.places_table import PlacesTable
from fol.retrieval.records import RecordFile
from fol.retrieval.snapshot import open_local
from fol.types import ProgressCallback

_BATCH = 256


def compact(folder: Path, progress: ProgressCallback | None) -> int:
    """Rewrite the files of a map without the records of removed places; gives the bytes that the map is smaller by.

    Every record is compared with its checksum on the way. Raises ``MapError``, with the map as it was, for a damaged
    record, a disk without room for the new files beside the old ones, an addition that was begun and not finished,
    and a map without places.
    """
    with writer_lock(folder, MapError):
        base = Manifest.read(folder)
        clean(folder, base)
        if Journal.undertaking(folder):
            raise MapError(
                f"{folder} has an addition that was not finished: run it again first, or delete {folder / JOURNAL} "
                "to drop it"
            )
        if not base.places:
            raise MapError(f"{folder} has no places left: add some, or delete it")
        if base.places == base.rows:
            return 0
        before = _size(base)
        _check_space(folder, base)
        try:
            manifest = _rewritten(folder, base, progress)
            manifest.write(folder)
        except OSError as error:
            raise MapError(
                f"{folder} cannot be written ({error.strerror}): it is as it was; make room and compact it again"
            ) from error
        clean(folder, manifest)
        return before - _size(manifest)


def _rewritten(folder: Path, base: Manifest, progress: ProgressCallback | None) -> Manifest:
    path = folder / base.files["places"].name
    table = PlacesTable.read(path.read_bytes(), path)
    generation = base.generation + 1
    files = dict(base.files)
    with ExitStack() as stack:

        def begin(role: str, suffix: str) -> RecordFile:
            name = f"{role}-{generation}{suffix}"
            return stack.enter_context(closing(RecordFile(folder / name)))

        descriptors = DescriptorStore(folder / base.files["descriptors"].name, base.model.descriptor_dim, base.rows)
        written = {"descriptors": begin("descriptors", ".f32")}
        local = open_local(folder, base) if base.local else None
        if local:
            written |= {"local": begin("local", ".bin"), "local_table": begin("local", ".table")}
        for done, rows in _batches(table.rows):
            written["descriptors"].append(np.ascontiguousarray(descriptors.read(rows)).reshape(-1).view(np.uint8).data)
            if local:
                _copy(local, rows, written["local"], written["local_table"])
            if progress:
                progress(done, len(table))
        for role, file in written.items():
            file.sync()
            files[role] = MapFile(file.path.name, file.size, file.crc)
    files["places"] = write_places(folder, table.renumbered(), generation)
    store = DescriptorStore(folder / files["descriptors"].name, base.model.descriptor_dim, len(table))
    index, index_files = build_index(store, folder, generation, base.index.requested)
    return replace(
        base,
        generation=generation,
        rows=len(table),
        files=files,
        index=index,
        index_files=tuple(described(folder / name) for name in index_files),
    )


def _batches(rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        yield start + len(batch), batch


def _copy(store: LocalStore, rows: NDArray[np.int64], file: RecordFile, table: RecordFile) -> None:
    lines = store.table(rows)
    for line in lines:
        data = store.raw(line)
        line["start"] = file.size
        file.append(data)
    table.append(lines.tobytes())


def _size(manifest: Manifest) -> int:
    return sum(file.bytes for file in (*manifest.files.values(), *manifest.index_files))


def _check_space(folder: Path, base: Manifest) -> None:
    needed = _size(base) * base.places // base.rows
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MapError(
            f"{folder} needs {needed / 1e9:.1f} GB beside its files until it is compact, {free / 1e9:.1f} GB are free: "
            "make room"
        )
