"""Local features to scores; knows nothing of images, models or indexes.

* ``mutual_nearest``: the operation for one pair, the definition that everything else is tested against;
* ``get_backend(name, device).match(...)``: the same for one query and many candidates, fast and in little memory;
* ``check_sets``: the input check that comes before a backend;
* ``count_matches``, ``weighted_score``, ``fuse``: matches to scores;
* ``verify_matches`` for one pair, ``keep_inliers`` for a batch: geometric check of matched positions.

Most callers want ``fol.rerank``, which puts these together.
"""

from __future__ import annotations

from fol.matching.backends import Backend, backend_names, get_backend
from fol.matching.inputs import TokenSet, check_sets
from fol.matching.mutual_nearest import BatchMatches, MutualMatches, mutual_nearest
from fol.matching.scoring import count_matches, fuse, weighted_score
from fol.matching.verification import (
    VERIFICATION_MODELS,
    VerificationModel,
    check_positions,
    keep_inliers,
    token_spacing,
    verify_matches,
)

__all__ = [
    "VERIFICATION_MODELS",
    "Backend",
    "BatchMatches",
    "MutualMatches",
    "TokenSet",
    "VerificationModel",
    "backend_names",
    "check_positions",
    "check_sets",
    "count_matches",
    "fuse",
    "get_backend",
    "keep_inliers",
    "mutual_nearest",
    "token_spacing",
    "verify_matches",
    "weighted_score",
]
