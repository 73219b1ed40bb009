"""The recipes by name."""

from __future__ import annotations

from fol.errors import ConfigError
from fol.retrieval.index.base import DescriptorIndex
from fol.retrieval.index.flat import FlatIndex
from fol.retrieval.index.gpu import GpuFlatIndex
from fol.retrieval.index.hnsw import HnswIndex
from fol.retrieval.index.ivf import IvfRabitqIndex, IvfSq8Index
from fol.retrieval.index.rabitq import PcaRabitqIndex, RabitqIndex
from fol.retrieval.index.scalar import Fp16Index, Sq8Index

_ALL: tuple[type[DescriptorIndex], ...] = (
    FlatIndex,
    Fp16Index,
    Sq8Index,
    RabitqIndex,
    PcaRabitqIndex,
    IvfSq8Index,
    IvfRabitqIndex,
    HnswIndex,
    GpuFlatIndex,
)
RECIPES: dict[str, type[DescriptorIndex]] = {recipe.recipe: recipe for recipe in _ALL}


def get_recipe(name: str) -> type[DescriptorIndex]:
    """The index class called ``name``; ``ConfigError`` lists the ones there are."""
    if name not in RECIPES:
        raise ConfigError(f"index recipe {name!r} is unknown: choose one of auto, {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
