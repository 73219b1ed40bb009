"""Exact search under a memory limit, beside FAISS's flat index, which holds everything in memory."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from fol.benchmarks.measuring import compare, resident
from fol.benchmarks.peaks import Peaks
from fol.benchmarks.report import Report, rows_of
from fol.benchmarks.retrieval import ClusteredDescriptors, check_space
from fol.retrieval import parse_bytes
from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.exact_search import exact_search
from fol.retrieval.feature_cache import CachedRows

_EVERY = 0.002  # seconds from one look at the memory to the next


@dataclass(frozen=True)
class LargeSearchSize:
    """``images`` descriptors of ``dim`` components, the ``k`` best of which are wanted for each of ``queries`` queries,
    all at once, within ``max_ram`` bytes."""

    images: int = 100_000
    dim: int = 8448
    queries: int = 500
    k: int = 100
    max_ram: str = "200m"
    rounds: int = 1


def measure(size: LargeSearchSize, peaks: Peaks) -> Report:
    """Both on the same descriptors, in a temporary folder."""
    faiss.omp_set_num_threads(torch.get_num_threads())
    limit = parse_bytes(size.max_ram)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_space(folder, "large_search", size.images, size.dim)
        data = ClusteredDescriptors(size.images, size.dim)
        store = data.write(folder)
        vectors = data.queries(size.queries)
        (folder / "queries.f32").write_bytes(vectors.tobytes())
        asked = _rows(DescriptorStore(folder / "queries.f32", size.dim, size.queries))
        chunked = partial(exact_search, asked, _rows(store), size.k, max_ram=limit)
        whole = partial(_in_memory, store, vectors, size.k)
        works: dict[str, Callable[[], object]] = {
            "FAISS IndexFlatIP, all in memory": whole,
            f"chunked, max_ram={size.max_ram}": chunked,
        }
        memory = {name: _anonymous(work) for name, work in works.items()}
        found, truth = chunked()[0], whole()
        timings = compare(works, size.rounds)
    products = 2 * size.images * size.dim * size.queries
    notes = {
        name: f"{memory[name] / 1e6:.0f} MB beside mapped files, {products / timing.seconds / 1e9:.0f} GFLOP/s"
        for name, timing in timings.items()
    }
    same = float((found == truth).mean())
    return Report(
        "large_search",
        f"{size.queries} queries together among {size.images} descriptors of {size.dim} components "
        f"({4e-9 * size.images * size.dim:.2f} GB), k={size.k}, {torch.get_num_threads()} threads.",
        rows_of(timings, dict.fromkeys(timings, products / peaks.float32), notes),
        (f"{same:.4%} of the places in the lists are the same; others are ties within rounding.",),
    )


def _rows(store: DescriptorStore) -> CachedRows:
    every = np.arange(len(store))
    return CachedRows({0: store}, every, np.zeros_like(every), every)


def _in_memory(store: DescriptorStore, queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    index = faiss.IndexFlatIP(store.dim)
    for _, block in store.blocks(10_000):
        index.add(block)
    rows: NDArray[np.int64] = index.search(queries, k)[1]
    return rows


def _anonymous(work: Callable[[], object]) -> int:
    """Bytes by which memory that belongs to no file rose above the start at its highest, as far as looks tell."""
    before, highest = resident("RssAnon"), [0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(_EVERY):
            highest[0] = max(highest[0], resident("RssAnon") - before)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return highest[0]
