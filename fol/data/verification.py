"""Whether the photos of a benchmark are all there and whole: what to know before a run of hours.

Every photo is decoded as extraction would, in separate processes: a decoder that crashes on a damaged file costs that
photo alone.
"""

from __future__ import annotations

import hashlib
import stat
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fol.data.images import load_image, open_header, printable
from fol.data.photo_set import PhotoSet
from fol.errors import ConfigError, FolError
from fol.types import Place, ProgressCallback

_CHUNK = 16  # photos that go to a process at a time
_DIGEST = 32  # bytes of SHA-256
_MSLS_PATCH = "; the empty photos of MSLS are in its patch_v1.1.zip: unpack it over the folder"


@dataclass(frozen=True)
class BrokenPhoto:
    """A file that is there but is no photo; ``reason`` is one line that names it."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Audit:
    """What ``verify_photos`` found; paths in the order of the photo set, database first.

    ``expected`` (database, queries) are the published counts, None when not known. ``misnamed`` are whole photos whose
    extension tells another format than they have; ``duplicates`` groups of files with the same bytes; ``overlap``
    names of queries whose photo is, byte for byte, also in the database. None of these three is a fault by itself.
    """

    root: Path
    database: int
    queries: int
    expected: tuple[int, int] | None
    missing: tuple[Path, ...]
    broken: tuple[BrokenPhoto, ...]
    misnamed: tuple[Path, ...]
    duplicates: tuple[tuple[Path, ...], ...]
    overlap: tuple[str, ...]
    bytes_on_disk: int

    @property
    def complete(self) -> bool:
        """Whether there are as many photos as published and all of them can be read."""
        return self.expected in (None, (self.database, self.queries)) and not self.missing and not self.broken

    @property
    def summary(self) -> str:
        """One line."""
        counts = f"{self.database} database, {self.queries} queries"
        if self.expected is not None:
            right = self.expected == (self.database, self.queries)
            counts += " (as published)" if right else " (published: {} and {})".format(*self.expected)
        return (
            f"{printable(self.root)}: {counts}, {self.bytes_on_disk / 1e9:.2f} GB; {len(self.missing)} missing, "
            f"{len(self.broken)} broken, {len(self.misnamed)} of another format than their name says, "
            f"{len(self.duplicates)} groups of equal files, {len(self.overlap)} queries that are in the database"
        )


class _Job(NamedTuple):
    file: int
    path: Path
    hashed: bool


class _Finding(NamedTuple):
    file: int
    reason: str = ""
    misnamed: bool = False
    digest: bytes = b""


def verify_photos(
    photo_set: PhotoSet,
    expected: tuple[int, int] | None = None,
    *,
    workers: int = 0,
    progress: ProgressCallback | None = None,
) -> Audit:
    """Looks for every photo, decodes it in full, and compares files of the same size by their SHA-256.

    ``workers`` processes decode; with 0 this process does, and a crash in a decoder ends it. Each file is read once
    however many photos of the set it is. Raises ``ConfigError`` for a negative number of workers.
    """
    if workers < 0:
        raise ConfigError(f"workers={workers}: it must be 0 (decode in this process) or more")
    places = (*photo_set.database, *photo_set.queries)
    numbers: dict[Path, int] = {}
    files = np.array([numbers.setdefault(place.image, len(numbers)) for place in places], np.int64)
    paths = list(numbers)
    sizes, missing = _sizes(paths)
    findings = _examine(paths, sizes, missing, workers, progress)
    groups = _equal_files(findings, len(paths))
    in_database = np.zeros(len(paths), bool)
    in_database[files[: len(photo_set.database)]] = True
    for group in groups:
        in_database[group] = in_database[group].any()
    asked = files[len(photo_set.database) :].tolist()
    msls = {number for number, place in zip(files.tolist(), places, strict=True) if _is_msls(place)}
    return Audit(
        root=photo_set.root,
        database=len(photo_set.database),
        queries=len(photo_set.queries),
        expected=expected,
        missing=tuple(paths[i] for i in np.flatnonzero(missing).tolist()),
        broken=tuple(
            BrokenPhoto(paths[f.file], f.reason + (_MSLS_PATCH if sizes[f.file] == 0 and f.file in msls else ""))
            for f in findings
            if f.reason
        ),
        misnamed=tuple(paths[f.file] for f in findings if f.misnamed),
        duplicates=tuple(tuple(paths[i] for i in group.tolist()) for group in groups),
        overlap=tuple(
            place.name for place, number in zip(photo_set.queries, asked, strict=True) if in_database[number]
        ),
        bytes_on_disk=int(sizes.sum()),
    )


def _is_msls(place: Place) -> bool:
    return {"subtasks", "key"} <= place.metadata.keys()


def _sizes(paths: Sequence[Path]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """``[N]`` bytes of each file, and which are missing."""
    sizes, missing = np.zeros(len(paths), np.int64), np.zeros(len(paths), bool)
    for index, path in enumerate(paths):
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            missing[index] = True
        except OSError:  # decoding says what it is
            continue
        else:
            sizes[index] = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return sizes, missing


def _examine(
    paths: Sequence[Path],
    sizes: NDArray[np.int64],
    missing: NDArray[np.bool_],
    workers: int,
    progress: ProgressCallback | None,
) -> list[_Finding]:
    """Findings of all files that are there, in their order."""
    _, inverse, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    hashed = (counts[inverse] > 1) & (sizes > 0)
    there = np.flatnonzero(~missing).tolist()
    jobs = (_Job(index, paths[index], bool(hashed[index])) for index in there)
    found = []
    done = len(paths) - len(there)
    for finding in _in_processes(jobs, workers) if workers else map(_look, jobs):
        found.append(finding)
        done += 1
        if progress is not None:
            progress(done, len(paths))
    return sorted(found)


def _look(job: _Job) -> _Finding:
    """Decodes one file; nothing may be raised, as this runs in other processes."""
    try:
        load_image(job.path)
        with open_header(job.path) as image:
            misnamed = _is_misnamed(job.path, image.format)
        digest = b""
        if job.hashed:
            with job.path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").digest()
        return _Finding(job.file, misnamed=misnamed, digest=digest)
    except FolError as error:
        return _Finding(job.file, str(error))
    except Exception as error:
        return _Finding(job.file, printable(f"{job.path}: {type(error).__name__}: {error}"))


def _is_misnamed(path: Path, found: str | None) -> bool:
    told = Image.registered_extensions().get(path.suffix.lower())
    return told != found and {told, found} != {"JPEG", "MPO"}  # MPO: several JPEG images in one file


def _look_at_all(jobs: Sequence[_Job]) -> list[_Finding]:
    return [_look(job) for job in jobs]


def _pool(workers: int) -> ProcessPoolExecutor:
    # Other start methods would import torch in each process.
    return ProcessPoolExecutor(workers, get_context("fork" if sys.platform == "linux" else None))


def _in_processes(jobs: Iterator[_Job], workers: int) -> Generator[_Finding, None, None]:
    """Findings as they come. When a process dies, what was under way is done again, one file after the other."""
    chunks = _chunks(jobs)
    chunk = next(chunks, None)
    while chunk is not None:
        running: dict[Future[list[_Finding]], list[_Job]] = {}
        with _pool(workers) as pool:
            try:
                while chunk is not None or running:
                    while chunk is not None and len(running) < 2 * workers:
                        running[pool.submit(_look_at_all, chunk)] = chunk
                        chunk = next(chunks, None)
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        findings = future.result()
                        del running[future]
                        yield from findings
            except BrokenProcessPool:
                pass
        for lost in running.values():
            yield from _one_by_one(lost)


def _one_by_one(jobs: Sequence[_Job]) -> Generator[_Finding, None, None]:
    waiting = deque(jobs)
    while waiting:
        with _pool(1) as pool:
            try:
                while waiting:
                    findings = pool.submit(_look_at_all, [waiting[0]]).result()
                    waiting.popleft()
                    yield from findings
            except BrokenProcessPool:
                job = waiting.popleft()
                yield _Finding(job.file, f"{printable(job.path)}: the decoder crashed or ran out of memory")


def _chunks(jobs: Iterator[_Job]) -> Iterator[list[_Job]]:
    chunk: list[_Job] = []
    for job in jobs:
        chunk.append(job)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _equal_files(findings: Sequence[_Finding], count: int) -> list[NDArray[np.int64]]:
    """Indices of files with the same digest, two or more each, by their first."""
    members = np.array([f.file for f in findings if f.digest], np.int64)
    if not members.size:
        return []
    digests = np.frombuffer(b"".join(f.digest for f in findings if f.digest), np.uint8).reshape(-1, _DIGEST)
    _, inverse, counts = np.unique(digests, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    starts = np.cumsum(counts)[:-1]
    groups = [members[group] for group in np.split(order, starts) if len(group) > 1]
    return sorted(groups, key=lambda group: int(group[0]))
