"""Nearest neighbours among the descriptors of a map, behind one small interface, ``DescriptorIndex``.

``IndexOptions`` says which recipe is wanted, ``build_index`` writes one and gives an ``IndexDescription`` for the
manifest, ``open_index`` opens it. A new recipe is a subclass of ``DescriptorIndex`` in a file of its own and in
``registry``; one that keeps codes in FAISS and ranks by the descriptors is a subclass of ``RefinedIndex``.
"""

from fol.retrieval.index.base import BuiltIndex, DescriptorIndex
from fol.retrieval.index.building import build_index, measure_recall, open_index
from fol.retrieval.index.choice import choose
from fol.retrieval.index.flat import FlatIndex
from fol.retrieval.index.options import IndexDescription, IndexOptions, MeasuredRecall, parse_bytes
from fol.retrieval.index.registry import RECIPES, get_recipe

__all__ = [
    "RECIPES",
    "BuiltIndex",
    "DescriptorIndex",
    "FlatIndex",
    "IndexDescription",
    "IndexOptions",
    "MeasuredRecall",
    "build_index",
    "choose",
    "get_recipe",
    "measure_recall",
    "open_index",
    "parse_bytes",
]
