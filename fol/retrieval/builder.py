"""Writing the files of a map batch by batch, so that a kill at any moment costs at most the running batch."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fol import __version__
from fol.data import printable
from fol.errors import MapError
from fol.extraction import Skipped, unusable
from fol.files import write_atomically
from fol.retrieval.descriptor_store import DescriptorStore, as_descriptors
from fol.retrieval.feeds import Feed
from fol.retrieval.index import build_index
from fol.retrieval.journal import JOURNAL, Journal, Progress, Undertaking
from fol.retrieval.local_store import LocalEncoder
from fol.retrieval.manifest import Manifest, MapFile
from fol.retrieval.places_table import PlacesTable, root_of
from fol.retrieval.records import RecordFile, checksum
from fol.types import Features, Place, ProgressCallback

_FIRST_NAMES = {"descriptors": "descriptors-1.f32", "local": "local-1.bin", "local_table": "local-1.table"}
QUANTISER_SUFFIX = ".quantiser"


class MapWriter:
    """Appends records to the files in ``folder``; ``finish`` commits them with a new manifest.

    ``base`` is the manifest of the map that is added to; None starts one. The caller holds the lock. Raises
    ``MapError`` when ``folder`` holds the unfinished work of something else.
    """

    def __init__(self, folder: Path, what: Undertaking, base: Manifest | None) -> None:
        self.folder, self.what, self.base = folder, what, base
        model = what.model
        self._roles = ("descriptors", "local", "local_table") if what.local else ("descriptors",)
        known = dict(base.files) if base else {role: MapFile(_FIRST_NAMES[role], 0, 0) for role in self._roles}
        paths = [folder / known[role].name for role in self._roles]
        start = Progress(
            0,
            what.rows,
            tuple(known[role].bytes for role in self._roles),
            tuple(known[role].crc32 for role in self._roles),
        )
        self.state = self._unfinished(start, paths)
        self.resumed_from = self.state.done
        self._root = Path(base.images_root) if base else None
        self._tables: list[PlacesTable] = []
        self._files: list[RecordFile] = []
        self._local: LocalEncoder | None = None
        if what.local:
            self._local = LocalEncoder(
                folder / known["quantiser"].name if "quantiser" in known else paths[1].with_suffix(QUANTISER_SUFFIX),
                model.max_tokens,
                model.local_dim,
                what.local,
                known=self.state.done > 0 or "quantiser" in known,
            )
        try:
            for path, size, crc in zip(paths, self.state.sizes, self.state.crcs, strict=True):
                self._files.append(RecordFile(path, size, crc))
            for file in self._files:
                file.sync()
            Journal.start(folder, what, self.state if self.resumed_from else None)
            self._journal = Journal(folder)
        except OSError as error:
            self._close_files()
            raise MapError(f"{folder} cannot be written: {error.strerror}") from error

    def _unfinished(self, start: Progress, paths: Sequence[Path]) -> Progress:
        state = Journal.finished(self.folder, paths, start)
        found = Journal.undertaking(self.folder)
        if not state.done or found is None or (found.rows, found.next_id) != (self.what.rows, self.what.next_id):
            return start  # nothing to lose, or left over from what was committed since
        if (found.model, found.index, found.local) != (self.what.model, self.what.index, self.what.local):
            raise MapError(
                f"{self.folder} holds {state.done} finished images of a build with {found}, this is {self.what}: "
                f"{self._way_out}"
            )
        return state

    @property
    def _way_out(self) -> str:
        what = self.folder if self.what.kind == "build" else self.folder / JOURNAL
        return f"finish that one with the arguments it had, or delete {what} to start again"

    def run(self, feed: Feed, progress: ProgressCallback | None) -> None:
        """Write all that ``feed`` gives, less what is finished already."""
        places = feed.skip(self.state.done)
        if len(places) != self.state.done or _list_checksum(places) != self.state.places:
            raise MapError(
                f"{self.folder} holds {self.state.done} finished images, but of another list of photos: {self._way_out}"
            )
        gone = {index for index, _, _ in self.state.skipped}
        self._note_places([(i, place) for i, place in enumerate(places) if i not in gone], self.what.rows)
        if progress:
            progress(self.state.done, feed.total or self.state.done)
        for batch in feed.batches():
            self.append(*batch)
            if progress:
                progress(self.state.done, feed.total or self.state.done)

    def append(self, places: Sequence[Place], outcomes: Sequence[Features | str]) -> None:
        """Write one batch and note it as finished."""
        kept: list[tuple[int, Place]] = []
        features: list[Features] = []
        skipped: list[tuple[int, str, str]] = []
        for index, (place, outcome) in enumerate(zip(places, outcomes, strict=True), self.state.done):
            problem = _problem(place, outcome)
            if isinstance(outcome, str) or problem:
                skipped.append((index, _name(place.name), problem or str(outcome)))
            else:
                kept.append((index, place))
                features.append(outcome)
        self._note_places(kept, self.state.rows)
        try:
            if features:
                self._write(features)
            state = Progress(
                done=self.state.done + len(places),
                rows=self.state.rows + len(kept),
                sizes=tuple(file.size for file in self._files),
                crcs=tuple(file.crc for file in self._files),
                places=_list_checksum(places, self.state.places),
                skipped=(*self.state.skipped, *skipped),
            )
            self._journal.append(state, self._files, skipped)
        except OSError as error:
            raise MapError(
                f"{self.folder} cannot be written ({error.strerror}): {self.state.done} finished images are kept, "
                "make room and run the same command again"
            ) from error
        self.state = state

    def _note_places(self, kept: Sequence[tuple[int, Place]], first_row: int) -> None:
        if not kept:
            return
        if self._root is None:
            self._root = root_of(kept[0][1])
        ids = [self.what.next_id + index for index, _ in kept]
        rows = range(first_row, first_row + len(kept))
        self._tables.append(PlacesTable.of(ids, rows, [place for _, place in kept], self._root))

    def _write(self, features: Sequence[Features]) -> None:
        model = self.what.model
        descriptors = as_descriptors([f.descriptor for f in features], model.descriptor_dim)
        blocks: list[memoryview | bytes] = [descriptors.reshape(-1).view(np.uint8).data]
        if self._local:
            blocks += self._local.encode([f.local for f in features], self._files[1].size)
        for file, block in zip(self._files, blocks, strict=True):
            file.append(block)

    def finish(self, destination: Path) -> Manifest:
        """Commit: the new manifest, in ``folder``, of a map that will be at ``destination``.

        Raises ``MapError`` when not one photo could be used; nothing is committed then.
        """
        if self._root is None or not self._tables:
            reason = f" ({self.state.skipped[0][1]}: {self.state.skipped[0][2]})" if self.state.skipped else ""
            raise MapError(f"none of the {self.state.done} photos for {destination} could be used{reason}")
        for file in self._files:
            file.sync()
        base = self.base
        generation = base.generation + 1 if base else 1
        tables = self._tables
        if base:
            data = (self.folder / base.files["places"].name).read_bytes()
            tables = [PlacesTable.read(data, self.folder / base.files["places"].name), *tables]
        table = PlacesTable.concatenated(tables)
        files = {"places": write_places(self.folder, table, generation)}
        for role, record_file in zip(self._roles, self._files, strict=True):
            files[role] = MapFile(record_file.path.name, record_file.size, record_file.crc)
        if self._local and self._local.quantiser:
            files["quantiser"] = described(self._local.path)
        previous = (base.index, [f.name for f in base.index_files]) if base else None
        store = DescriptorStore(self._files[0].path, self.what.model.descriptor_dim, self.state.rows)
        index, index_files = build_index(store, self.folder, generation, self.what.index, previous)
        manifest = Manifest(
            model=self.what.model,
            index=index,
            local=self.what.local,
            generation=generation,
            places=len(table),
            rows=self.state.rows,
            next_id=self.what.next_id + self.state.done,
            files=files,
            images_root=str(self._root),
            images_relative=base.images_relative if base else os.path.relpath(self._root, destination.absolute()),
            created=base.created if base else datetime.now(UTC).isoformat(timespec="seconds"),
            created_by=base.created_by if base else f"fol {__version__}",
            index_files=tuple(described(self.folder / name) for name in index_files),
            skipped=(*(base.skipped if base else ()), *self.skipped),
            calibration=base.calibration if base else (),
        )
        manifest.write(self.folder)
        return manifest

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Photos of this undertaking that gave nothing, those of interrupted runs included."""
        return tuple(Skipped(name, reason) for _, name, reason in self.state.skipped)

    def close(self) -> None:
        """Give the files back."""
        self._journal.close()
        self._close_files()

    def _close_files(self) -> None:
        for file in self._files:
            file.close()


def write_places(folder: Path, table: PlacesTable, generation: int) -> MapFile:
    """Write the places as a new file of the map."""
    data = table.to_bytes()
    name = f"places-{generation}.parquet"
    write_atomically(folder / name, data)
    return MapFile(name, len(data), zlib.crc32(data))


def described(path: Path) -> MapFile:
    """A file that is finished, with its checksum."""
    size = path.stat().st_size
    return MapFile(path.name, size, checksum(path, size))


def _list_checksum(places: Sequence[Place], value: int = 0) -> int:
    """Checksum over names and files, to know on resuming that the photos are the same ones."""
    for place in places:
        try:
            status = place.image.stat()
            file = [status.st_size, status.st_mtime_ns]
        except OSError:
            file = []
        value = zlib.crc32(json.dumps([place.name, file]).encode(), value)
    return value


def _problem(place: Place, outcome: Features | str) -> str:
    """Why this place cannot go into a map; empty when it can."""
    texts = [place.name, str(place.image), place.sequence or "", *place.metadata, *place.metadata.values()]
    if not all(map(_is_text, texts)):
        return "its path or metadata are not valid UTF-8: rename the file or folder"
    return "" if isinstance(outcome, str) else unusable(outcome)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a file name that are not UTF-8
        return False
    return True


def _name(name: str) -> str:
    return name if _is_text(name) else printable(name)
