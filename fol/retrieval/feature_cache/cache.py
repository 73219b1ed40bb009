"""The features of photos, on disk, found by model and file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fol.errors import DataError
from fol.files import source_digest, writer_lock
from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.feature_cache.part import (
    BITS,
    DESCRIPTOR_KEYS,
    DESCRIPTORS,
    LOCAL,
    LOCAL_KEYS,
    LOCAL_TABLE,
    TIMES,
    PartWriter,
    local_size,
    read_keys,
)
from fol.retrieval.local_store import LocalStore
from fol.types import Extractor, LocalFeaturesBatch

_SOURCE = Path(__file__).parents[2]
_PART_IN_FEATURES = ("models", "extraction.py", "data/images.py")  # other code does not change what is extracted
_MOST_WRITERS = 1000


@dataclass(frozen=True, eq=False)
class _Table:
    """Where each key of one kind of features is: sorted ``keys``, the part and the row that holds each."""

    keys: NDArray[np.uint64]
    parts: NDArray[np.int64]
    rows: NDArray[np.int64]

    @staticmethod
    def of(parts: Sequence[NDArray[np.uint64]]) -> _Table:
        keys = np.concatenate([np.empty(0, np.uint64), *parts])
        numbers = np.repeat(np.arange(len(parts)), [len(own) for own in parts])
        rows = np.concatenate([np.empty(0, np.int64), *(np.arange(len(own)) for own in parts)])
        order = np.argsort(keys, kind="stable")
        return _Table(keys[order], numbers[order].astype(np.int64), rows[order].astype(np.int64))

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Index into this table of each key, -1 for those that are not there."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class CachedRows:
    """Descriptors of ``ids [N]``, ascending: the number of the store and the row there that holds each."""

    stores: Mapping[int, DescriptorStore]
    ids: NDArray[np.int64]
    parts: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def blocks(self, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """(ids, descriptors ``[<= size, D]``) one block after the other, as they lie on the disk."""
        for number, store in self.stores.items():
            own = np.flatnonzero(self.parts == number)
            own = own[np.argsort(self.rows[own], kind="stable")]
            for start in range(0, len(own), size):
                some = own[start : start + size]
                rows = self.rows[some]
                in_a_row = bool((np.diff(rows) == 1).all())  # a photo that is there twice is not
                yield self.ids[some], store.view(int(rows[0]), int(rows[-1]) + 1) if in_a_row else store.read(rows)

    def read(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Descriptors ``[len(ids), D]`` of ``ids``, all of which must be here."""
        at = np.searchsorted(self.ids, ids)
        parts, rows = self.parts[at], self.rows[at]
        numbers = np.unique(parts).tolist()
        if len(numbers) == 1:
            return self.stores[numbers[0]].read(rows)
        found = np.empty((len(ids), next(iter(self.stores.values())).dim if self.stores else 0), np.float32)
        for number in numbers:
            found[parts == number] = self.stores[number].read(rows[parts == number])
        return found

    def among(self, ids: NDArray[np.int64]) -> CachedRows:
        """Those of ``ids`` that are here."""
        here = np.isin(self.ids, ids)
        return CachedRows(self.stores, self.ids[here], self.parts[here], self.rows[here])


class FeatureCache:
    """Features of one model, in a folder of ``root`` that is named after the model and the code that extracts.

    Another model, preset, image size or weights file is another folder, so features are never taken for those of
    something else. Several processes may add at once (each to a part of its own) and any number may read; ``reload``
    shows what was added since.
    """

    def __init__(self, root: Path, model: Extractor) -> None:
        self.folder = root / f"{model.fingerprint[:16]}-{_code_digest()[:8]}"
        self.descriptor_dim, self.local_dim, self.max_tokens = model.descriptor_dim, model.local_dim, model.max_tokens
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.folder} cannot be made ({error.strerror}): choose another cache folder") from error
        self.reload()

    def reload(self) -> None:
        """Look again at what is there."""
        self._parts = sorted(path for path in self.folder.glob("part-*") if path.is_dir())
        described = [read_keys(part / DESCRIPTOR_KEYS) for part in self._parts]
        located = [read_keys(part / LOCAL_KEYS) for part in self._parts]
        self._described, self._located = _Table.of(described), _Table.of(located)
        dim, local = self.descriptor_dim, self.local_dim
        self._descriptors = {
            number: DescriptorStore(part / DESCRIPTORS, dim, len(keys))
            for number, (part, keys) in enumerate(zip(self._parts, described, strict=True))
            if len(keys)
        }
        self._locals = {
            number: LocalStore(
                part / LOCAL,
                part / LOCAL_TABLE,
                local_size(part / LOCAL_TABLE, len(keys), local),
                len(keys),
                local,
                BITS,
                None,
            )
            for number, (part, keys) in enumerate(zip(self._parts, located, strict=True))
            if len(keys)
        }

    def has_descriptors(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which photos' descriptors are here."""
        return self._described.find(keys) >= 0

    def has_local(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which photos' local features are here."""
        return self._located.find(keys) >= 0

    def descriptors(self, keys: NDArray[np.uint64]) -> CachedRows:
        """Those descriptors of ``keys`` that are here; their ids are indices into ``keys``."""
        at = self._described.find(keys)
        ids = np.flatnonzero(at >= 0)
        return CachedRows(self._descriptors, ids, self._described.parts[at[ids]], self._described.rows[at[ids]])

    def local_features(self, keys: NDArray[np.uint64]) -> LocalFeaturesBatch:
        """Local features of ``keys``, in their order; ``KeyError`` for one that is not here."""
        at = self._located.find(keys)
        if (at < 0).any():
            raise KeyError(int(keys[at < 0][0]))
        parts, rows = self._located.parts[at], self._located.rows[at]
        numbers = np.unique(parts).tolist()
        batches = {number: self._locals[number].read(rows[parts == number]) for number in numbers}
        if len(numbers) == 1:
            batch = batches[numbers[0]]
            assert isinstance(batch, LocalFeaturesBatch)  # of 16 bits
            return batch
        waiting = {number: iter(batch) for number, batch in batches.items()}
        return LocalFeaturesBatch.pack([next(waiting[number]) for number in parts.tolist()])

    def seconds_per_photo(self) -> float | None:
        """Mean time of extracting a photo; None where it was never measured."""
        photos, seconds = 0, 0.0
        for part in self._parts:
            if (part / TIMES).exists():
                for line in (part / TIMES).read_text().splitlines():
                    entry = json.loads(line)
                    photos, seconds = photos + entry["photos"], seconds + entry["seconds"]
        return seconds / photos if photos else None

    def bytes_per_image(self) -> dict[str, float]:
        """What one image takes on the disk: ``descriptors``, ``local`` features; means over the images."""
        size = sum(store.size for store in self._locals.values())
        images = sum(store.rows for store in self._locals.values())
        return {"descriptors": 4.0 * self.descriptor_dim, "local": size / images if images else 0.0}

    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for part in self._parts for file in part.iterdir())

    @contextmanager
    def writer(self) -> Iterator[PartWriter]:
        """A part that nobody else writes to; ``DataError`` when the folder cannot be written."""
        with ExitStack() as stack:
            for number in range(_MOST_WRITERS):
                part = self.folder / f"part-{number:03d}"
                part.mkdir(exist_ok=True)
                try:
                    stack.enter_context(writer_lock(part))
                    break
                except DataError:  # somebody is at work there
                    if not os.access(part, os.W_OK):
                        raise
            else:
                raise DataError(f"{self.folder} has {_MOST_WRITERS} writers at work: wait for them")
            writer = PartWriter(part, self.descriptor_dim, self.local_dim, self.max_tokens)
            yield stack.enter_context(closing(writer))


def _code_digest() -> str:
    parts = [_SOURCE / part for part in _PART_IN_FEATURES]
    files = [file for part in parts for file in (part.rglob("*.py") if part.is_dir() else [part])]
    return source_digest(files, _SOURCE)
