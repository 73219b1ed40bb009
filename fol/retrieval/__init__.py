"""Retrieval: descriptors to candidates, and what persists.

For the rest of the library: ``PlaceMap`` (build, open, search, add, remove), its ``BuildReport``, ``ModelIdentity``
and ``bytes_per_place`` for features from elsewhere and for estimates before building, ``Calibration`` and
``confidence`` for what scores mean, ``rank_features`` with ``StageRanking`` for both stages at once, and the
index recipes.
"""

from fol.retrieval.calibration import IN_MAP_CONFIDENCE, confidence
from fol.retrieval.changes import bytes_per_place
from fol.retrieval.index import RECIPES, DescriptorIndex
from fol.retrieval.manifest import Calibration, Manifest, ModelIdentity
from fol.retrieval.place_map import BuildReport, PlaceMap
from fol.retrieval.two_stage import StageRanking, rank_features

__all__ = [
    "IN_MAP_CONFIDENCE",
    "RECIPES",
    "BuildReport",
    "Calibration",
    "DescriptorIndex",
    "Manifest",
    "ModelIdentity",
    "PlaceMap",
    "StageRanking",
    "bytes_per_place",
    "confidence",
    "rank_features",
]
