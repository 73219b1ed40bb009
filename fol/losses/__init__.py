"""Training losses: pure functions of tensors, one file per loss, and ``FoLLoss``, their weighted sum.

Each comes in two forms: ``official`` computes what the published code computes, ``fol`` the same idea without its
defects (batched, any grid, any number of images per place). ``FoLLossOptions`` holds every number.

Over weakly supervised tuples: ``weak_loss`` (NetVLAD's triplet, SARE; ``WeakLossOptions``, published ones by name in
``WEAK_LOSSES``), the region losses of SFRS (``RegionLossOptions``).
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
from fol.losses.regions import region_hard_loss, region_similarities, region_soft_loss
from fol.losses.weak import sare_inbatch, tuple_similarities, weak_loss
from fol.losses.weak_options import WEAK_LOSSES, InBatchLossOptions, RegionLossOptions, WeakLossOptions

__all__ = [
    "FOL_LOSSES",
    "OFFICIAL_LOSSES",
    "TERMS",
    "WEAK_LOSSES",
    "AlignmentOptions",
    "ContrastOptions",
    "FoLLoss",
    "FoLLossOptions",
    "InBatchLossOptions",
    "LocalTripletOptions",
    "LossTerms",
    "MultiSimilarityOptions",
    "PseudoCorrespondenceOptions",
    "RegionLossOptions",
    "WeakLossOptions",
    "region_hard_loss",
    "region_similarities",
    "region_soft_loss",
    "sare_inbatch",
    "tuple_similarities",
    "weak_loss",
]
