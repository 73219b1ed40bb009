"""Retrieval: descriptors to candidates, and what persists.

For the rest of the library: ``PlaceMap`` (build, open, search, add, remove), its ``BuildReport``, ``ModelIdentity``
and ``bytes_per_place`` for features from elsewhere and for estimates before building, ``LocalStoreOptions`` for how
many bits local features take, ``Calibration`` and ``confidence`` for what scores mean, ``calibration_is_possible`` for
whether a map can say it, ``rank_features`` with ``StageRanking`` for both stages at once and ``rerank_found`` for the
second alone, and the index recipes. ``feature_cache`` and ``exact_search`` are for evaluations.
"""

from fol.retrieval.calibration import IN_MAP_CONFIDENCE, confidence
from fol.retrieval.calibration import is_possible as calibration_is_possible
from fol.retrieval.changes import bytes_per_place
from fol.retrieval.index import RECIPES, DescriptorIndex, IndexDescription, IndexOptions, parse_bytes
from fol.retrieval.local_options import LocalStoreOptions
from fol.retrieval.manifest import MANIFEST, Calibration, Manifest, ModelIdentity
from fol.retrieval.place_map import BuildReport, PlaceMap
from fol.retrieval.two_stage import StageRanking, rank_features, rerank_found

__all__ = [
    "IN_MAP_CONFIDENCE",
    "MANIFEST",
    "RECIPES",
    "BuildReport",
    "Calibration",
    "DescriptorIndex",
    "IndexDescription",
    "IndexOptions",
    "LocalStoreOptions",
    "Manifest",
    "ModelIdentity",
    "PlaceMap",
    "StageRanking",
    "bytes_per_place",
    "calibration_is_possible",
    "confidence",
    "parse_bytes",
    "rank_features",
    "rerank_found",
]
