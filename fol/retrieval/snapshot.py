"""One committed state of a map, opened. Immutable, so that searches go on while a newer state is committed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fol.errors import MapError
from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index import DescriptorIndex, open_index
from fol.retrieval.local_store import LocalStore, read_quantiser
from fol.retrieval.manifest import Manifest, MapFile
from fol.retrieval.places_table import PlacesTable
from fol.retrieval.records import checksum

# May be longer than the manifest says: an addition is under way or was killed.
_APPENDED = ("descriptors", "local", "local_table")
_ATTEMPTS = 5

_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Manifest and open files; ``holes`` are the rows of removed places, ascending."""

    manifest: Manifest
    table: PlacesTable
    descriptors: DescriptorStore
    index: DescriptorIndex
    local: LocalStore | None
    holes: NDArray[np.int64]
    images_root: Path

    @staticmethod
    def open(folder: Path) -> Snapshot:
        """Open the newest state; reads the manifest and the places. Raises ``MapError``."""
        return _of_newest(folder, _open)


def verify(folder: Path) -> None:
    """Compare the checksum of every file of the newest state; ``MapError`` names the first that differs."""

    def compare(folder: Path, manifest: Manifest) -> None:
        _open(folder, manifest)
        for file in (*manifest.files.values(), *manifest.index_files):
            if checksum(folder / file.name, file.bytes) != file.crc32:
                raise MapError(f"{folder / file.name} is damaged (its checksum differs): build the map again")

    _of_newest(folder, compare)


def _of_newest(folder: Path, read: Callable[[Path, Manifest], _Result]) -> _Result:
    for _ in range(_ATTEMPTS):
        manifest = Manifest.read(folder)
        try:
            return read(folder, manifest)
        except FileNotFoundError as error:
            # A writer may have replaced the state and cleaned up since the manifest was read.
            if Manifest.read(folder).generation == manifest.generation:
                name = Path(str(error.filename)).name
                raise MapError(f"{folder} is damaged, {name} is missing: build the map again") from error
    raise MapError(f"{folder} changes faster than it can be read: try again")


def _open(folder: Path, manifest: Manifest) -> Snapshot:
    for role, file in manifest.files.items():
        _check_size(folder, file, may_be_longer=role in _APPENDED)
    for file in manifest.index_files:
        _check_size(folder, file, may_be_longer=False)
    files, model = manifest.files, manifest.model
    path = folder / files["places"].name
    data = path.read_bytes()
    if zlib.crc32(data) != files["places"].crc32:
        raise MapError(f"{path} is damaged (its checksum differs): build the map again")
    table = PlacesTable.read(data, path)
    descriptors = DescriptorStore(folder / files["descriptors"].name, model.descriptor_dim, manifest.rows)
    index = open_index(descriptors, folder, manifest.index, [file.name for file in manifest.index_files])
    local = open_local(folder, manifest) if manifest.local else None
    holes = np.setdiff1d(np.arange(manifest.rows), table.rows, assume_unique=True)
    return Snapshot(manifest, table, descriptors, index, local, holes, _images_root(folder, manifest))


def open_local(folder: Path, manifest: Manifest) -> LocalStore:
    """The local features of a map that has some."""
    assert manifest.local is not None
    file, table = manifest.files["local"], manifest.files["local_table"]
    quantiser = read_quantiser(folder / manifest.files["quantiser"].name) if "quantiser" in manifest.files else None
    return LocalStore(
        folder / file.name,
        folder / table.name,
        file.bytes,
        manifest.rows,
        manifest.model.local_dim,
        manifest.local.bits,
        quantiser,
    )


def _check_size(folder: Path, file: MapFile, may_be_longer: bool) -> None:
    found = (folder / file.name).stat().st_size
    if found < file.bytes:
        raise MapError(
            f"{folder / file.name} is truncated ({found} of {file.bytes} bytes): restore it from a copy, "
            "or build the map again with overwrite=True"
        )
    if found > file.bytes and not may_be_longer:
        raise MapError(f"{folder / file.name} has {found} bytes instead of {file.bytes}: build the map again")


def _images_root(folder: Path, manifest: Manifest) -> Path:
    """Where the photos are now: where they were, or where they are if they moved together with the map."""
    root = Path(manifest.images_root)
    moved = folder / manifest.images_relative
    return moved.resolve() if not root.is_dir() and moved.is_dir() else root
