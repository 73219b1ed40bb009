"""Index recipes among each other: memory, recall against exact search, and time, on clustered synthetic descriptors."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from fol.benchmarks.measuring import compare, timed
from fol.benchmarks.peaks import Peaks
from fol.benchmarks.report import Report, rows_of
from fol.errors import ConfigError
from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index import RECIPES, DescriptorIndex, get_recipe

_LATENT, _PER_PLACE, _BLOCK, _DEPTH = 768, 4, 2000, 10
#: Recipes whose time reading all codes once does not bound.
_PARTIAL = ("hnsw", "ivf_rabitq", "ivf_sq8", "gpu_flat")
_ALONE = 10  # queries one after the other in each round


@dataclass(frozen=True)
class RetrievalSize:
    """``images`` descriptors of ``dim`` components, four of each place; ``recipes`` None takes all that run here."""

    images: int = 20_000
    dim: int = 8448
    queries: int = 200
    rounds: int = 5
    recipes: Sequence[str] | None = None


@dataclass(frozen=True)
class _Built:
    index: DescriptorIndex
    seconds: float


class ClusteredDescriptors:
    """Unit descriptors: random points of 768 dimensions with a falling spectrum, embedded, two kinds of noise.

    Photos of a place have cosines of about 0.8 among them, of different places about 0.
    """

    def __init__(self, images: int, dim: int, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._spectrum = (1 / (1 + np.arange(_LATENT) / 64)).astype(np.float32)
        self._embedding = self._normal(_LATENT, dim) / np.float32(dim**0.5)
        self._places = self._normal(-(-images // _PER_PLACE), _LATENT) * self._spectrum
        self.images, self.dim = images, dim

    def _normal(self, *shape: int) -> NDArray[np.float32]:
        return self._rng.standard_normal(shape, np.float32)

    def photos(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """A new photo ``[N, D]`` of each of the places."""
        latent = self._places[places] + 0.5 * self._normal(len(places), _LATENT) * self._spectrum
        noise = self._normal(len(places), self.dim) * np.float32(0.15 / self.dim**0.5)
        vectors = latent @ self._embedding + np.linalg.norm(latent, axis=1, keepdims=True) * noise
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def write(self, folder: Path) -> DescriptorStore:
        """All of them as a file, block by block."""
        path = folder / "descriptors-1.f32"
        with path.open("wb") as file:
            for start in range(0, self.images, _BLOCK):
                photos = np.arange(start, min(start + _BLOCK, self.images))
                file.write(self.photos(photos // _PER_PLACE).astype("<f4").tobytes())
        return DescriptorStore(path, self.dim, self.images)

    def queries(self, count: int) -> NDArray[np.float32]:
        """A further photo of ``count`` places drawn at random."""
        return self.photos(self._rng.integers(0, len(self._places), count))


def measure(size: RetrievalSize, peaks: Peaks) -> Report:
    """Every recipe on the same descriptors, in a temporary folder, beside exact search."""
    names = list(size.recipes or (name for name in RECIPES if name != "gpu_flat" or torch.cuda.is_available()))
    names = ["flat", *(name for name in names if name != "flat")]
    faiss.omp_set_num_threads(torch.get_num_threads())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_space(folder, "retrieval", size.images, size.dim, 3)  # descriptors, and codes of all recipes
        data = ClusteredDescriptors(size.images, size.dim)
        store, queries = data.write(folder), data.queries(size.queries)
        built = {name: _build(name, generation, store, folder) for generation, name in enumerate(names, 1)}
        _, best = built["flat"].index.search(queries, _DEPTH)
        works = {name: partial(_alone, one.index, queries[:_ALONE]) for name, one in built.items()}
        together = {name: partial(one.index.search, queries, _DEPTH) for name, one in built.items()}
        alone, batched = compare(works, size.rounds), compare(together, size.rounds)
        lines = [_line(name, one, size, queries, best) for name, one in built.items()]
    floors = {
        name: size.images * get_recipe(name).bytes_per_vector(size.dim) / peaks.read
        for name in names
        if name not in _PARTIAL
    }
    notes = {
        name: f"{line}; {batched[name].seconds / len(queries) * 1e3:.2f} ms a query in batches of {len(queries)} "
        f"({batched[name].ratio:.1f} times as fast)"
        for name, line in zip(names, lines, strict=True)
    }
    single = {name: replace(timing, seconds=timing.seconds / _ALONE) for name, timing in alone.items()}
    return Report(
        "retrieval",
        f"One query among {size.images} descriptors of {size.dim} components, k={_DEPTH}, "
        f"{torch.get_num_threads()} threads; recall against exact search of {size.queries} queries.",
        rows_of(single, floors, notes),
        ("Peak memory counts pages of the mapped descriptors, which the system takes back when it needs them.",),
    )


def check_space(folder: Path, subject: str, images: int, dim: int, times: int = 1) -> None:
    """``ConfigError`` when ``times`` the descriptors do not fit."""
    needed = times * images * dim * 4
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ConfigError(
            f"{subject}.images={images} of {dim} components need {needed / 1e9:.1f} GB in {folder}, "
            f"{free / 1e9:.1f} GB are free: give fewer"
        )


def _build(name: str, generation: int, store: DescriptorStore, folder: Path) -> _Built:
    recipe = get_recipe(name)
    built, seconds = timed(lambda: recipe.build(store, folder, generation, None))
    return _Built(recipe.open(store, folder, built), seconds)


def _alone(index: DescriptorIndex, queries: NDArray[np.float32]) -> None:
    for query in queries:
        index.search(query[None], _DEPTH)


def _line(name: str, built: _Built, size: RetrievalSize, queries: NDArray[np.float32], best: NDArray[np.int64]) -> str:
    _, found = built.index.search(queries, _DEPTH)
    memory = get_recipe(name).bytes_per_vector(size.dim)
    first = (found[:, 0] == best[:, 0]).mean()
    among = (found == best[:, :1]).any(1).mean()
    ten = (found[:, :, None] == best[:, None]).any(1).mean()
    return (
        f"{memory} bytes a photo ({4 * size.dim / memory:.0f} times less), built in {built.seconds:.1f} s, "
        f"1@1 {first:.3f}, 1@10 {among:.3f}, 10@10 {ten:.3f}"
    )
