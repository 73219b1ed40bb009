"""The journal of a running evaluation: rankings on disk batch by batch, so that a killed run goes on where it stopped.

One JSON document per line. The first says what was evaluated with what; every further line is one batch of queries
and reaches the disk before the next batch starts. A line is complete or it does not count, so batches are never split
and a run that goes on repeats the very batches an undisturbed one has.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from fol.errors import DataError
from fol.evaluation.match_accuracy import MatchCount

VERSION = 1


@dataclass(frozen=True)
class QueryRanking:
    """What both stages answered to one query; lists are best first and hold database indices of the data set.

    ``retrieved`` with ``similarities`` (cosine) is the first stage. ``reranked`` with ``scores`` and ``num_matches``
    (both only for the part that the second stage looked at) is the second; None for single-stage models.
    ``true_matches``: those with the closest true view, where the data set knows its geometry. ``seconds`` per stage.
    ``skipped`` is the reason why the photo could not be used, and then the lists are empty.
    """

    name: str
    retrieved: tuple[int, ...] = ()
    similarities: tuple[float, ...] = ()
    reranked: tuple[int, ...] | None = None
    scores: tuple[float, ...] = ()
    num_matches: tuple[int, ...] = ()
    seconds: Mapping[str, float] | None = None
    skipped: str | None = None
    true_matches: MatchCount | None = None


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What the system says about writing below ``folder`` becomes a ``DataError`` with the way out."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror}): make room there, or choose another out"
        ) from error


class Journal:
    """Append-only file of rankings; a context manager that closes the file.

    ``folder`` must be held by one writer. The file is named after ``key`` (what was evaluated, JSON values), so a
    run with other options starts its own and leaves this one alone. Raises ``DataError`` when it cannot be written.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self._header = json.dumps({"journal": VERSION, "key": key}, sort_keys=True, allow_nan=False).encode() + b"\n"
        self.path = folder / f"journal-{hashlib.sha256(self._header).hexdigest()[:12]}.jsonl"
        self.rankings: dict[str, QueryRanking] = {}
        self.peak_memory: dict[str, int] = {}
        with writing(folder):
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                good = 0
                for end, rankings, memory in _complete_batches(self.path, self._header):
                    self._take(rankings, memory)
                    good = end
                os.ftruncate(self._file, good)
                os.lseek(self._file, 0, os.SEEK_END)
                if not good:
                    self._write(self._header)
            except BaseException:
                os.close(self._file)
                raise
        #: Queries that were already there when the journal was opened.
        self.resumed_from = len(self.rankings)

    def append(self, rankings: Sequence[QueryRanking], peak_memory: Mapping[str, int]) -> None:
        """Add one batch; on return it is on the disk. ``peak_memory`` in bytes per kind of memory so far."""
        line = {"queries": [asdict(ranking) for ranking in rankings], "peak_memory": dict(peak_memory)}
        with writing(self.path.parent):
            self._write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._take(rankings, peak_memory)

    def same_in(self, folder: Path) -> dict[str, QueryRanking]:
        """What another process's journal of the same evaluation, in ``folder``, holds now."""
        path = folder / self.path.name
        if not path.exists():
            return {}
        batches = _complete_batches(path, self._header)
        return {ranking.name: ranking for _, rankings, _ in batches for ranking in rankings}

    def add_all(self, rankings: Mapping[str, QueryRanking]) -> None:
        """Add those that are not here yet."""
        new = [ranking for name, ranking in rankings.items() if name not in self.rankings]
        if new:
            self.append(new, {})

    def finish(self, path: Path) -> None:
        """Give the complete journal its final name."""
        with writing(path.parent):
            self.path.replace(path)
        self.path = path

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def _take(self, rankings: Sequence[QueryRanking], peak_memory: Mapping[str, int]) -> None:
        self.rankings.update((ranking.name, ranking) for ranking in rankings)
        for kind, size in peak_memory.items():
            self.peak_memory[kind] = max(size, self.peak_memory.get(kind, 0))

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)


def _complete_batches(path: Path, header: bytes) -> Iterator[tuple[int, list[QueryRanking], Mapping[str, int]]]:
    """(byte after the batch, rankings, peak memory) of every complete batch below the ``header``, itself an empty one.

    A torn line and what follows it are left out: those batches are done again.
    """
    with path.open("rb") as file:
        if file.readline() != header:
            return
        end = len(header)
        yield end, [], {}
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                batch = json.loads(line)
                rankings = [_ranking(query) for query in batch["queries"]]
                memory = {str(kind): int(size) for kind, size in batch["peak_memory"].items()}
            except (ValueError, TypeError, KeyError, AttributeError):
                return
            end += len(line)
            yield end, rankings, memory


def read_rankings(path: Path) -> dict[str, QueryRanking]:
    """Rankings by query name from the ``rankings.jsonl`` of a finished evaluation; ``ValueError`` for other files."""
    with path.open("rb") as file:
        if json.loads(file.readline()).get("journal") != VERSION:
            raise ValueError(f"{path} is not a journal of version {VERSION}")
        return {query["name"]: _ranking(query) for line in file for query in json.loads(line)["queries"]}


def _ranking(query: Mapping[str, Any]) -> QueryRanking:
    return QueryRanking(
        name=query["name"],
        retrieved=tuple(query["retrieved"]),
        similarities=tuple(query["similarities"]),
        reranked=None if query["reranked"] is None else tuple(query["reranked"]),
        scores=tuple(query["scores"]),
        num_matches=tuple(query["num_matches"]),
        seconds=query["seconds"],
        skipped=query["skipped"],
        true_matches=None if query.get("true_matches") is None else MatchCount(**query["true_matches"]),
    )
