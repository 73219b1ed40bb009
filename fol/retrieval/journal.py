"""Which batches of a running build are finished: one line per batch, appended after its data.

After ``kill -9`` every line is true. After a power cut the disk may hold lines whose data it lost; each line
therefore carries the checksums up to it, and those since the last sync are verified before work goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fol.errors import ConfigError, MapError
from fol.files import write_atomically
from fol.retrieval.index import IndexOptions
from fol.retrieval.local_options import LocalStoreOptions
from fol.retrieval.manifest import ModelIdentity
from fol.retrieval.records import RecordFile, checksum

JOURNAL = "journal.jsonl"
_SYNC_SECONDS = 5.0


@dataclass(frozen=True)
class Undertaking:
    """What is being done: building a map, or adding to the one that had ``rows`` records and ``next_id``.

    ``local`` says how local features are kept; None where the map has none.
    """

    kind: Literal["build", "add"]
    model: ModelIdentity
    index: IndexOptions
    local: LocalStoreOptions | None = None
    rows: int = 0
    next_id: int = 0

    def __str__(self) -> str:
        local = f"{self.local.bits}-bit local features" if self.local else "no local features"
        if self.local and self.local.max_tokens:
            local += f" of {self.local.max_tokens} tokens"
        return f"{self.model}, index {self.index} and {local}"


@dataclass(frozen=True)
class Progress:
    """State after a batch: ``done`` places of the list, ``rows`` records in files of ``sizes`` bytes and ``crcs``.

    ``places`` is the checksum of the finished part of the list, ``synced`` the records that were safe from a power cut,
    ``skipped`` (index, name, reason) of the photos of all batches so far that gave nothing.
    """

    done: int
    rows: int
    sizes: tuple[int, ...]
    crcs: tuple[int, ...]
    places: int = 0
    synced: int = 0
    skipped: tuple[tuple[int, str, str], ...] = field(default=(), repr=False)


class Journal:
    """The journal in ``folder``, open for appending."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._synced_at = time.monotonic()
        self._synced_rows = 0

    @staticmethod
    def start(folder: Path, what: Undertaking, state: Progress | None = None) -> None:
        """Begin, or begin again from a ``state`` whose data are on the disk: replaces an older journal."""
        lines = _line(asdict(what))
        if state is not None:
            lines += _line(asdict(replace(state, synced=state.rows)))
        write_atomically(folder / JOURNAL, lines)

    @staticmethod
    def undertaking(folder: Path) -> Undertaking | None:
        """What the journal in ``folder`` belongs to; None when there is none."""
        header, _ = _read(folder)
        if not header:
            return None
        try:
            local = None if header["local"] is None else LocalStoreOptions(**header["local"])
            model, index = ModelIdentity(**header["model"]), IndexOptions(**header["index"])
            return Undertaking(**{**header, "model": model, "index": index, "local": local})
        except (TypeError, KeyError, ConfigError) as error:
            raise MapError(_not_understood(folder)) from error

    @staticmethod
    def finished(folder: Path, files: Sequence[Path], start: Progress) -> Progress:
        """The last batch whose data are all there, or ``start`` (the state before the first) when none is.

        Data that were on the disk before the last sync are trusted; the rest is read once and verified.
        """
        _, entries = _read(folder)
        skipped: list[tuple[int, str, str]] = []
        states = []
        try:
            for entry in entries:
                skipped.extend((int(i), str(name), str(reason)) for i, name, reason in entry.pop("skipped"))
                numbers = {name: tuple(map(int, entry[name])) for name in ("sizes", "crcs")}
                states.append(Progress(**{**entry, **numbers}, skipped=tuple(skipped)))
        except (TypeError, KeyError, ValueError) as error:
            raise MapError(_not_understood(folder)) from error
        durable = max((state.synced for state in states), default=0)
        good = start
        for state in states:
            if state.rows > durable and not _intact(files, good, state):
                break
            good = state
        return good

    @staticmethod
    def remove(folder: Path) -> None:
        """Forget: what it led to is committed, or not wanted."""
        (folder / JOURNAL).unlink(missing_ok=True)

    def append(
        self, state: Progress, files: Sequence[RecordFile], newly_skipped: Sequence[tuple[int, str, str]]
    ) -> None:
        """Note a batch as finished; its records are in ``files``. Now and then waits for the disk."""
        if time.monotonic() - self._synced_at > _SYNC_SECONDS:
            for file in files:
                file.sync()
            self._synced_rows = state.rows
        entry = {**asdict(state), "synced": self._synced_rows, "skipped": list(newly_skipped)}
        os.write(self._file, _line(entry))
        if self._synced_rows == state.rows:
            os.fsync(self._file)
            self._synced_at = time.monotonic()

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def _not_understood(folder: Path) -> str:
    return f"{folder / JOURNAL} is damaged or of another version of fol: delete it to drop the unfinished work"


def _intact(files: Sequence[Path], before: Progress, after: Progress) -> bool:
    try:
        return all(
            checksum(path, stop, start, crc) == wanted
            for path, start, stop, crc, wanted in zip(
                files, before.sizes, after.sizes, before.crcs, after.crcs, strict=True
            )
        )
    except (MapError, FileNotFoundError):  # shorter than the journal says
        return False


def _line(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def _read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and batches; the half-written line that a power cut may leave at the end is dropped."""
    try:
        text = (folder / JOURNAL).read_bytes()
    except FileNotFoundError:
        return {}, []
    lines = []
    for line in text.split(b"\n")[:-1]:
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return (lines[0], lines[1:]) if lines else ({}, [])
