"""Operations that change what lies in a map's folder. Each takes the writer's lock and commits by one rename.

Readers that have the map open are never disturbed: files are replaced by others with new names or grow at
their end, and what the newest manifest does not name is deleted only when the next change begins.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fol.errors import MapError
from fol.extraction import Skipped
from fol.files import LOCK, exchange_directories, final_name, sync_directory, writer_lock
from fol.retrieval.builder import QUANTISER_SUFFIX, MapWriter, write_places
from fol.retrieval.feeds import Feed
from fol.retrieval.index import IndexOptions
from fol.retrieval.journal import JOURNAL, Journal, Undertaking
from fol.retrieval.local_options import LocalStoreOptions
from fol.retrieval.local_records import HEAD_BYTES, TABLE_ROW, token_bytes
from fol.retrieval.manifest import MANIFEST, Calibration, Manifest, ModelIdentity
from fol.retrieval.places_table import PlacesTable
from fol.types import ProgressCallback

#: What a map consists of; older versions wrote to names that end in .tmp.
_OURS = re.compile(r"(manifest\.json|journal\.jsonl|\.lock|(places|descriptors|local|index)-\d+\.\w+)(\.tmp)?")


@dataclass(frozen=True)
class Written:
    """What a build or an addition did: photos without features, and how many places earlier runs had finished."""

    skipped: tuple[Skipped, ...]
    resumed_from: int


def bytes_per_place(model: ModelIdentity, local: LocalStoreOptions | None = None) -> int:
    """Disk space that one more place takes at most, less some dozens of bytes for its line in the table of places.

    ``local`` None takes the default of the model's preset.
    """
    size = 4 * model.descriptor_dim
    if model.local_dim:
        local = local or LocalStoreOptions.of_preset(model.preset)
        tokens = min(model.max_tokens, local.max_tokens or model.max_tokens)
        size += tokens * token_bytes(model.local_dim, local.bits) + HEAD_BYTES + TABLE_ROW.itemsize
    return size


def create(
    path: Path,
    model: ModelIdentity,
    index: IndexOptions,
    local: LocalStoreOptions | None,
    feed: Feed,
    overwrite: bool,
    progress: ProgressCallback | None,
) -> Written:
    """Build a map in ``PATH.partial`` and give it its name when it is complete."""
    partial = path.with_name(path.name + ".partial")
    _check_target(path, overwrite)
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MapError(f"{partial} cannot be made ({error.strerror}): choose another place for the map") from error
    with ExitStack() as stack:
        stack.enter_context(writer_lock(partial, MapError))
        if _check_target(path, overwrite):  # again: another process may just have finished it
            stack.enter_context(writer_lock(path, MapError))
            Journal.remove(path)
        found = Journal.undertaking(partial)
        if found is None or found.kind != "build":  # an old map that was being deleted, or nothing at all
            _delete_files(partial)
        writer = stack.enter_context(closing(MapWriter(partial, Undertaking("build", model, index, local), None)))
        try:
            _check_space(partial, feed, writer)
            writer.run(feed, progress)
            with _committing(partial):
                writer.finish(path)
        except MapError:
            if writer.state.rows == 0:
                _delete(partial)
            raise
        _publish(partial, path)
        Journal.remove(path)
        return Written(writer.skipped, writer.resumed_from)


def extend(folder: Path, model: ModelIdentity, feed: Feed, progress: ProgressCallback | None) -> Written:
    """Append places to a map."""
    with writer_lock(folder, MapError):
        base = Manifest.read(folder)
        clean(folder, base)
        what = Undertaking("add", base.model, base.index.requested, base.local, base.rows, base.next_id)
        with closing(MapWriter(folder, what, base)) as writer:
            _check_space(folder, feed, writer)
            writer.run(feed, progress)
            if writer.state.rows == base.rows:
                Journal.remove(folder)  # nothing usable: finish() says so
            with _committing(folder):
                writer.finish(folder)
        Journal.remove(folder)
        return Written(writer.skipped, writer.resumed_from)


def drop(folder: Path, ids: NDArray[np.int64]) -> int:
    """Take places out of a map; their records stay in the files as holes. Unknown ids raise ``MapError``."""
    with writer_lock(folder, MapError):
        base = Manifest.read(folder)
        clean(folder, base)
        path = folder / base.files["places"].name
        table = PlacesTable.read(path.read_bytes(), path)
        unknown = ids[~np.isin(ids, table.ids)]
        if len(unknown):
            raise MapError(f"{folder} has no place {unknown[0]}: nothing was removed")
        rest = table.without(ids)
        generation = base.generation + 1
        with _committing(folder):
            files = {**base.files, "places": write_places(folder, rest, generation)}
            replace(base, generation=generation, places=len(rest), files=files).write(folder)
        return len(table) - len(rest)


def note(folder: Path, calibration: Calibration) -> None:
    """Put a calibration into the manifest, in place of an older one for the same ranking."""
    with writer_lock(folder, MapError):
        base = Manifest.read(folder)
        key = (calibration.method, calibration.options)
        others = [c for c in base.calibration if (c.method, c.options) != key]
        with _committing(folder):
            replace(base, calibration=(*others, calibration)).write(folder)


@contextmanager
def _committing(folder: Path) -> Iterator[None]:
    """The last steps of a change, of which replacing the manifest is the very last: an error leaves the old state."""
    try:
        yield
    except OSError as error:
        raise MapError(
            f"{folder} cannot be written ({error.strerror}): nothing is lost, make room and run the same command again"
        ) from error


def _check_target(path: Path, overwrite: bool) -> bool:
    """Whether there is a map to replace; ``MapError`` when there is something that must not be replaced."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return False
    if not path.is_dir() or not all(_is_ours(file.name) for file in path.iterdir()):
        raise MapError(f"{path} holds other things than a map: choose another name")
    if not overwrite:
        raise MapError(f"{path} exists: choose another name, add to it, or replace it with overwrite=True")
    return True


def _publish(partial: Path, path: Path) -> None:
    if not path.exists() or not any(path.iterdir()):
        partial.rename(path)
        sync_directory(path.parent)
    elif exchange_directories(partial, path):
        _delete(partial)
    else:  # without an atomic exchange there is a moment without a map; running the build again ends it
        aside = path.with_name(path.name + ".replaced")
        path.rename(aside)
        partial.rename(path)
        sync_directory(path.parent)
        _delete(aside)


def _is_ours(name: str) -> bool:
    return _OURS.fullmatch(final_name(name)) is not None


def clean(folder: Path, manifest: Manifest) -> None:
    """Delete what an interrupted or an earlier change left, save an addition that can go on."""
    named = {file.name for file in (*manifest.files.values(), *manifest.index_files)}
    found = Journal.undertaking(folder)
    if found and (found.kind, found.rows, found.next_id) == ("add", manifest.rows, manifest.next_id):
        named.update([JOURNAL, *(file.name for file in folder.glob("*" + QUANTISER_SUFFIX))])
    _delete_files(folder, keep={*named, MANIFEST})


def _delete_files(folder: Path, keep: Collection[str] = ()) -> None:
    for file in folder.iterdir():
        if _is_ours(file.name) and file.name not in keep and file.name != LOCK:
            file.unlink()


def _delete(folder: Path) -> None:
    _delete_files(folder)
    (folder / LOCK).unlink(missing_ok=True)
    with suppress(OSError):  # somebody else put something in
        folder.rmdir()


def _check_space(folder: Path, feed: Feed, writer: MapWriter) -> None:
    if feed.total is None:
        return
    needed = (feed.total - writer.state.done) * bytes_per_place(writer.what.model, writer.what.local)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MapError(
            f"{folder} needs {needed / 1e9:.1f} GB for {feed.total - writer.state.done} places, "
            f"{free / 1e9:.1f} GB are free: make room, or leave out the local features with store_local=False"
        )
