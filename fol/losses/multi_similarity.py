"""Multi-similarity loss on the global descriptors, by pytorch-metric-learning (official: loss.py:11-30)."""

from __future__ import annotations

from pytorch_metric_learning.distances import DotProductSimilarity
from pytorch_metric_learning.losses import MultiSimilarityLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import Tensor

from fol.losses.mining import AllowedSimilarity
from fol.losses.options import MultiSimilarityOptions


def multi_similarity(
    descriptors: Tensor,
    labels: Tensor,
    options: MultiSimilarityOptions,
    never_negative: Tensor | None = None,
) -> Tensor:
    """Mean over all B images of the soft positives' and negatives' terms; images without a mined pair count 0.

    ``descriptors [B, D]`` unit rows, ``labels [B]``. The miner keeps the negatives that come within ``miner_epsilon``
    of the least similar positive, and the positives within it of the most similar negative. ``never_negative [B, B]``
    bool: pairs that the miner does not see, neither as positives nor as negatives. Both forms of the losses use this
    one.
    """
    miner = MultiSimilarityMiner(epsilon=options.miner_epsilon, distance=AllowedSimilarity(labels, never_negative))
    loss = MultiSimilarityLoss(
        alpha=options.alpha, beta=options.beta, base=options.base, distance=DotProductSimilarity()
    )
    value: Tensor = loss(descriptors, labels, miner(descriptors, labels))
    return value
