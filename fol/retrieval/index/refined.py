"""Indexes that keep codes in memory and rank what these find by the descriptors themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from fol.files import write_atomically
from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index.base import (
    BuiltIndex,
    DescriptorIndex,
    Rows,
    Similarities,
    banned_within,
    merge,
    nothing,
    search_threads,
)
from fol.retrieval.index.flat import FlatIndex
from fol.retrieval.index.projection import Projection, principal_axes

SEED = 0
_SAMPLE_BYTES = 256 << 20
_AXES_SAMPLE = 8192
_BLOCK_BYTES = 64 << 20
_PART_BYTES = 16 << 20
_FEWEST_CANDIDATES = 64
#: What was trained is trained again when the map has grown by this factor since.
_STALE = 4


class Part(NamedTuple):
    """A FAISS index of the rows from ``start`` on."""

    start: int
    codes: Any

    def allowed(self, banned: NDArray[np.int64]) -> Any:
        """FAISS's name for all rows but the ``banned`` ones; None when that is all of them."""
        if not len(banned):
            return None
        allowed = np.ones(self.codes.ntotal, bool)
        allowed[banned] = False
        return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


class RefinedIndex(DescriptorIndex):
    """Two stages: codes of all descriptors give ``k_factor * k`` candidates, the mapped float32 rows rank these.

    Codes lie in FAISS files of so many rows each (``rows_per_part``), mapped and not read on opening, which never
    change once they are full: an addition writes the last one anew, under another name, and those that it needs more.
    What was trained is kept until the map has four times the rows that it was trained for.
    """

    k_factor: ClassVar[int] = 4
    #: Whether all codes are in one file, which an addition writes anew: for recipes that visit few of the codes.
    one_part: ClassVar[bool] = False

    def __init__(
        self, descriptors: DescriptorStore, projection: Projection, parts: list[Part], parameters: Mapping[str, Any]
    ) -> None:
        self.descriptors, self.projection, self.parts, self.parameters = descriptors, projection, parts, parameters

    @classmethod
    @abstractmethod
    def _train(cls, descriptors: DescriptorStore) -> tuple[Projection, Any, dict[str, Any]]:
        """What descriptors go through first, an empty FAISS index trained on what comes out, and its parameters."""

    @classmethod
    def _add(cls, codes: Any, vectors: NDArray[np.float32]) -> None:
        codes.add(vectors)

    def _search_part(
        self, part: Part, queries: NDArray[np.float32], k: int, banned: NDArray[np.int64]
    ) -> tuple[Similarities, Rows]:
        """Estimated similarities and rows (from the part's start; -1 for none) of ``k`` candidates per query."""
        found: tuple[Similarities, Rows] = part.codes.search(
            queries, k, params=faiss.SearchParameters(sel=part.allowed(banned))
        )
        return found

    @classmethod
    def build(
        cls, descriptors: DescriptorStore, folder: Path, generation: int, previous: BuiltIndex | None
    ) -> BuiltIndex:
        """See ``DescriptorIndex.build``."""
        rows = len(descriptors)
        if previous and rows < _STALE * previous.parameters["trained_rows"]:
            parts = [name for name in previous.files if _first_row(name) is not None]
            shared = [name for name in previous.files if name not in parts]
            projection = Projection.load([folder / name for name in shared[1:]])
            old, parameters = previous.parameters["rows"], dict(previous.parameters)
        else:
            projection, trained, described = cls._train(descriptors)
            shared = [f"index-{generation}.trained"]
            _write(folder / shared[0], trained)
            shared += projection.save(folder, f"index-{generation}.projection")
            parts, old = [], 0
            per_part = 0 if cls.one_part else _rows_per_part(trained.sa_code_size())
            parameters = {"k_factor": cls.k_factor, "rows_per_part": per_part, "trained_rows": rows, "seed": SEED}
            parameters |= described
        per_part = parameters["rows_per_part"] or rows
        full = [name for name in parts if per_part < rows and (_first_row(name) or 0) + per_part <= old]
        unfinished = parts[len(full) :]
        for start in range(len(full) * per_part, rows, per_part):
            codes = faiss.read_index(str(folder / (unfinished.pop() if unfinished else shared[0])))
            step = max(256, _BLOCK_BYTES // (4 * descriptors.dim))
            stop = min(start + per_part, rows)
            for first in range(start + codes.ntotal, stop, step):
                cls._add(codes, projection(descriptors.view(first, min(first + step, stop))))
            full.append(f"index-{generation}.rows{start}")
            _write(folder / full[-1], codes)
        return BuiltIndex((*shared, *full), {**parameters, "rows": rows})

    @classmethod
    def open(cls, descriptors: DescriptorStore, folder: Path, built: BuiltIndex) -> Self:
        """Map the codes into memory; reads the projection."""
        projections = [folder / name for name in built.files[1:] if _first_row(name) is None]
        parts = []
        for name in built.files:
            start = _first_row(name)
            if start is not None:
                flags = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY
                parts.append(Part(start, faiss.read_index(str(folder / name), flags)))
        return cls(descriptors, Projection.load(projections), parts, built.parameters)

    def search(
        self, queries: NDArray[np.float32], k: int, exclude: NDArray[np.int64] | None = None
    ) -> tuple[Similarities, Rows]:
        """See ``DescriptorIndex.search``; a query for which codes give fewer than ``k`` rows is searched exactly."""
        excluded = np.empty(0, np.int64) if exclude is None else exclude
        left = len(self.descriptors) - len(excluded)
        k = min(k, left)
        if k <= 0 or not len(queries):
            return nothing(len(queries))
        wanted = max(self.parameters["k_factor"] * k, _FEWEST_CANDIDATES)
        exact = FlatIndex(self.descriptors)
        if wanted >= left:  # every row would be a candidate
            return exact.search(queries, k, excluded)
        rows = self._candidates(self.projection(queries), wanted, excluded)
        best = merge([(self.descriptors.products(queries, rows), rows)], k)
        short = np.flatnonzero(best[1][:, -1] < 0)
        if len(short):
            best[0][short], best[1][short] = exact.search(queries[short], k, excluded)
        return best

    def _candidates(self, queries: NDArray[np.float32], wanted: int, exclude: NDArray[np.int64]) -> Rows:
        def one(part: Part) -> tuple[Similarities, Rows]:
            banned = banned_within(exclude, part.start, part.codes.ntotal)
            asked = min(wanted, part.codes.ntotal - len(banned))
            if not asked:
                return nothing(len(queries))
            similarities, rows = self._search_part(part, queries, asked, banned)
            found = (rows >= 0) & (similarities > -np.inf)
            return np.where(found, similarities, np.float32(-np.inf)), np.where(found, rows + part.start, -1)

        # FAISS spreads queries over its threads: for a single query the parts are spread here.
        if len(queries) == 1 and len(self.parts) > 1 and faiss.omp_get_max_threads() > 1:
            return merge(list(search_threads().map(one, self.parts)), wanted)[1]
        best = nothing(len(queries))
        for part in self.parts:
            best = merge([best, one(part)], wanted)
        return best[1]


def training_sample(descriptors: DescriptorStore, at_most: int | None = None) -> NDArray[np.float32]:
    """Some descriptors, drawn by the seed: as many as 256 MB hold."""
    count = min(len(descriptors), at_most or len(descriptors), max(256, _SAMPLE_BYTES // (4 * descriptors.dim)))
    rows = np.random.default_rng(SEED).choice(len(descriptors), count, replace=False)
    return descriptors.read(np.sort(rows))


def trained_axes(descriptors: DescriptorStore, dim: int) -> tuple[Projection, NDArray[np.float32]]:
    """The ``dim`` leading principal axes, and the sample of descriptors that they are those of."""
    sample = training_sample(descriptors, _AXES_SAMPLE)
    return principal_axes(sample, dim, SEED), sample


def _rows_per_part(code_bytes: int) -> int:
    """A power of two: enough to make a thread's work worth its start, few enough to spread over the threads."""
    return 1 << int(np.clip(_PART_BYTES // code_bytes, 8192, 32768)).bit_length() - 1


def _first_row(name: str) -> int | None:
    """First row of a file of codes; None for other files."""
    suffix = name.partition(".")[2]
    return int(suffix.removeprefix("rows")) if suffix.startswith("rows") else None


def _write(path: Path, index: Any) -> None:
    write_atomically(path, partial(_write_to, index))


def _write_to(index: Any, path: Path) -> None:
    faiss.write_index(index, str(path))
