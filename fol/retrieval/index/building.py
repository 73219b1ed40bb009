"""Building the index of a map, as asked for, with its recall measured; opening it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fol.errors import MapError
from fol.retrieval.descriptor_store import DescriptorStore
from fol.retrieval.index.base import BuiltIndex, DescriptorIndex
from fol.retrieval.index.choice import choose
from fol.retrieval.index.flat import FlatIndex
from fol.retrieval.index.options import IndexDescription, IndexOptions, MeasuredRecall
from fol.retrieval.index.registry import get_recipe

_QUERIES = 100
_DEPTH = 10
_GROWTH_MEASURED_AGAIN = 1.25


def build_index(
    descriptors: DescriptorStore,
    folder: Path,
    generation: int,
    options: IndexOptions,
    previous: tuple[IndexDescription, Sequence[str]] | None = None,
) -> tuple[IndexDescription, tuple[str, ...]]:
    """Write the index of all descriptors into ``folder``; gives its description and the names of its files.

    ``previous`` is the index, with its files, of the first of these descriptors: what it was trained to and its
    codes are used again where the recipe is still the same. Readers may have its files open; they are not touched.
    """
    recipe, reason = choose(options, len(descriptors), descriptors.dim)
    kind, base = get_recipe(recipe), None
    if previous and previous[0].recipe == recipe:
        base = BuiltIndex(tuple(previous[1]), previous[0].parameters)
    built = kind.build(descriptors, folder, generation, base)
    measured = previous[0].measured if previous and base else None
    if measured is None or len(descriptors) > _GROWTH_MEASURED_AGAIN * measured.rows:
        measured = measure_recall(kind.open(descriptors, folder, built), descriptors)
    size = kind.bytes_per_vector(descriptors.dim)
    return IndexDescription(options, recipe, reason, size, built.parameters, measured), built.files


def open_index(
    descriptors: DescriptorStore, folder: Path, description: IndexDescription, files: Sequence[str]
) -> DescriptorIndex:
    """Open what ``build_index`` wrote. Raises ``MapError`` when its files cannot be understood."""
    built = BuiltIndex(tuple(files), description.parameters)
    try:
        return get_recipe(description.recipe).open(descriptors, folder, built)
    except (RuntimeError, KeyError, IndexError) as error:  # FAISS raises the first
        for name in files:
            (folder / name).stat()  # FileNotFoundError, not damage, where a writer replaced the map meanwhile
        raise MapError(
            f"the {description.recipe} index of {folder} is damaged or of another version of FAISS: build the map again"
        ) from error


def measure_recall(index: DescriptorIndex, descriptors: DescriptorStore, seed: int = 0) -> MeasuredRecall | None:
    """Compare an index with exact search; None for an exact one and for a single descriptor.

    Stored descriptors are the queries (100, at most half of them), drawn at random and left out of both searches.
    """
    if type(index) is FlatIndex or len(descriptors) < 2:
        return None
    count = min(_QUERIES, len(descriptors) // 2)
    rows = np.sort(np.random.default_rng(seed).choice(len(descriptors), count, replace=False))
    queries = descriptors.read(rows)
    _, found = index.search(queries, _DEPTH, rows)
    _, best = FlatIndex(descriptors).search(queries, _DEPTH, rows)
    recall = {
        "1@1": float((found[:, 0] == best[:, 0]).mean()),
        "1@10": float((found == best[:, :1]).any(1).mean()),
        "10@10": float((found[:, :, None] == best[:, None]).any(1).mean()),
    }
    return MeasuredRecall(len(descriptors), count, recall)
