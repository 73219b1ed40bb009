"""Local features to scores; knows nothing of images, models or indexes.

* ``mutual_nearest``: the operation for one pair, the definition that everything else is tested against;
* ``get_backend(name, device).match(...)``: the same for one query and many candidates, fast and in little memory;
* ``check_sets``: the input check that comes before a backend;
* ``Quantiser``, ``QuantisedLocalFeatures``: descriptors as 8-bit codes, which backends compare several times as fast;
* ``select_tokens``: fewer local features per image, by weight and spread; ``centre``: less what all tokens share;
* ``count_matches``, ``weighted_score``, ``fuse``: matches to scores;
* ``differentiable_matches``: matches whose similarities carry gradients, for training;
* ``verify_matches`` for one pair, ``keep_inliers`` for a batch: geometric check of matched positions.

Most callers want ``fol.rerank``, which puts these together.
"""

from __future__ import annotations

from fol.matching.backends import Backend, backend_names, get_backend
from fol.matching.budget import SELECTIONS, Selection, select_tokens, thin
from fol.matching.centring import centre
from fol.matching.gradients import differentiable_matches
from fol.matching.inputs import TokenSet, check_sets
from fol.matching.mutual_nearest import BatchMatches, MutualMatches, mutual_nearest
from fol.matching.precision import PRECISIONS, Precision
from fol.matching.quantisation import QuantisedLocalFeatures, Quantiser, random_rotation
from fol.matching.scoring import SIMILARITY_WEIGHTS, SimilarityWeight, count_matches, fuse, weighted_score
from fol.matching.verification import (
    VERIFICATION_MODELS,
    VerificationModel,
    check_positions,
    keep_inliers,
    token_spacing,
    verify_matches,
)

__all__ = [
    "PRECISIONS",
    "SELECTIONS",
    "SIMILARITY_WEIGHTS",
    "VERIFICATION_MODELS",
    "Backend",
    "BatchMatches",
    "MutualMatches",
    "Precision",
    "QuantisedLocalFeatures",
    "Quantiser",
    "Selection",
    "SimilarityWeight",
    "TokenSet",
    "VerificationModel",
    "backend_names",
    "centre",
    "check_positions",
    "check_sets",
    "count_matches",
    "differentiable_matches",
    "fuse",
    "get_backend",
    "keep_inliers",
    "mutual_nearest",
    "random_rotation",
    "select_tokens",
    "thin",
    "token_spacing",
    "verify_matches",
    "weighted_score",
]
