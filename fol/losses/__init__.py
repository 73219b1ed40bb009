"""Training losses: pure functions of tensors, one file per loss, and ``FoLLoss``, their weighted sum.

Each comes in two forms: ``official`` computes what the published code computes, ``fol`` the same idea without its
defects (batched, any grid, any number of images per place). ``FoLLossOptions`` holds every number.
"""

from __future__ import annotations

from fol.errors import ConfigError

try:
    import pytorch_metric_learning  # noqa: F401
except ImportError as error:
    raise ConfigError("the losses need pytorch-metric-learning: pip install 'fol[train]'") from error

from fol.losses.fol_loss import FoLLoss, LossTerms
from fol.losses.options import (
    FOL_LOSSES,
    OFFICIAL_LOSSES,
    TERMS,
    AlignmentOptions,
    ContrastOptions,
    FoLLossOptions,
    LocalTripletOptions,
    MultiSimilarityOptions,
    PseudoCorrespondenceOptions,
)

__all__ = [
    "FOL_LOSSES",
    "OFFICIAL_LOSSES",
    "TERMS",
    "AlignmentOptions",
    "ContrastOptions",
    "FoLLoss",
    "FoLLossOptions",
    "LocalTripletOptions",
    "LossTerms",
    "MultiSimilarityOptions",
    "PseudoCorrespondenceOptions",
]
