"""Which images of a batch are compared with which."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.miners import BatchHardMiner
from torch import Tensor


@dataclass(frozen=True, eq=False)
class HardestImages:
    """For every image of a batch: ``positive [B]``, ``negative [B]`` int64 and whether there is one.

    Where there is none the index is some other image and must not be used.
    """

    positive: Tensor
    negative: Tensor
    has_positive: Tensor
    has_negative: Tensor

    @property
    def valid(self) -> Tensor:
        """``[B]`` bool: the image is the anchor of a triplet."""
        return self.has_positive & self.has_negative


def same_place(labels: Tensor) -> Tensor:
    """``[B, B]`` bool: two different images of one place."""
    same = labels[:, None] == labels[None, :]
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)


@torch.no_grad()
def hardest_images(descriptors: Tensor, labels: Tensor, never_negative: Tensor | None = None) -> HardestImages:
    """Least similar image of the same place and most similar one of another, by unit ``descriptors [B, D]``."""
    descriptors = descriptors.to(torch.promote_types(descriptors.dtype, torch.float32))
    similarity = descriptors @ descriptors.T
    positives = same_place(labels)
    negatives = labels[:, None] != labels[None, :]
    if never_negative is not None:
        negatives = negatives & ~never_negative
    return HardestImages(
        similarity.masked_fill(~positives, torch.inf).argmin(1),
        similarity.masked_fill(~negatives, -torch.inf).argmax(1),
        positives.any(1),
        negatives.any(1),
    )


def next_of_place(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The next image of the same place in the batch, cyclically: index ``[B]`` int64 and whether there is one."""
    count = len(labels)
    number = torch.arange(count, device=labels.device)
    ahead = (number[None, :] - number[:, None]) % count
    positives = same_place(labels)
    return ahead.masked_fill(~positives, count).argmin(1), positives.any(1)


class AllowedSimilarity(CosineSimilarity):  # type: ignore[misc]  # the library has no types
    """Cosine similarity for the library's miners, -inf where ``never_negative [B, B]`` bool: no candidates.

    ``labels [B]``: pairs of one place stay positives whatever ``never_negative`` says.
    """

    def __init__(self, labels: Tensor, never_negative: Tensor | None) -> None:
        super().__init__()
        self.hidden = None if never_negative is None else never_negative & (labels[:, None] != labels[None, :])

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """``[B, B]`` of unit rows ``[B, D]``."""
        similarity: Tensor = super().compute_mat(query_emb, ref_emb)
        return similarity if self.hidden is None else similarity.masked_fill(self.hidden, -torch.inf)


@torch.no_grad()
def official_hard_triplets(
    descriptors: Tensor, labels: Tensor, never_negative: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Anchors, positives, negatives ``[T]`` each, of ``BatchHardMiner()`` as published (official: loss.py:197-200).

    ``never_negative [B, B]`` pairs are no negatives; an image that has no others is no anchor.
    """
    anchor, positive, negative = BatchHardMiner(distance=AllowedSimilarity(labels, never_negative))(descriptors, labels)
    if never_negative is not None:  # an image without any negative got whatever image
        kept = (labels[anchor] != labels[negative]) & ~never_negative[anchor, negative]
        anchor, positive, negative = anchor[kept], positive[kept], negative[kept]
    return anchor, positive, negative
