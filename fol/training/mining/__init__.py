"""Which photos a query is trained with: its positive, hard negatives and difficult positives by cached descriptors.

``mine`` gives the tuples of a chunk of queries; ``find_neighbours`` what it needs for difficult positives by
k-reciprocal neighbours; ``NegativeMemory`` is the only state.
"""

from fol.training.mining.k_reciprocal import difficult_positives, reciprocal_distances
from fol.training.mining.neighbours import Neighbours, find_neighbours, nearest_neighbours
from fol.training.mining.options import MiningOptions
from fol.training.mining.tuples import NegativeMemory, WeakTuples, mine

__all__ = [
    "MiningOptions",
    "NegativeMemory",
    "Neighbours",
    "WeakTuples",
    "difficult_positives",
    "find_neighbours",
    "mine",
    "nearest_neighbours",
    "reciprocal_distances",
]
