"""Pseudo-correspondences as published, quirks included (official: loss.py:39-192).

The ``fol`` form (``pseudo_correspondence.py``) mends them: here the first valid anchor of an image is dropped; a
runner-up of negative similarity makes the ratio negative and so rejects the match; the first five are kept and not the
best; and patches are read from the fine map at a place that is up to two cells off.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fol.losses.mining import next_of_place

ATTENTION_THRESHOLD = 0.1
ASSIGNMENT_THRESHOLD = 0.1
MIN_SIMILARITY = 0.8
MIN_RATIO = 2.0
MAX_PER_IMAGE = 5
NOT_A_CANDIDATE = -10.0


@dataclass(frozen=True)
class OfficialCorrespondence:
    """One mined pair: patch ``anchor`` of ``image`` and patch ``positive`` of the next image of its place."""

    image: int
    anchor: int
    positive: int
    similarity: float


@torch.no_grad()
def mine_official_correspondences(
    features: Tensor, assignment: Tensor, attention_guide: Tensor, labels: Tensor
) -> list[OfficialCorrespondence]:
    """Mined pairs by image and anchor; ``features [B, C, n]`` unit columns, ``assignment [B, m, n]``, guide ``[B, n]``.

    The pair of an image is the next one of its place, cyclically (published: places of exactly four in a row).
    """
    partner, valid = next_of_place(labels)
    mined: list[OfficialCorrespondence] = []
    for image, (other, paired) in enumerate(zip(partner.tolist(), valid.tolist(), strict=True)):
        anchors = (attention_guide[image] > ATTENTION_THRESHOLD).nonzero().squeeze(1)[1:]
        if not paired or not len(anchors) or features.shape[2] < 2:
            continue
        cluster = assignment[image][:, anchors].argmax(0)
        candidates = assignment[other][cluster] > ASSIGNMENT_THRESHOLD
        similarity = features[image][:, anchors].T @ features[other]
        top, index = similarity.masked_fill(~candidates, NOT_A_CANDIDATE).topk(2, dim=1)
        accepted = (top[:, 0] > MIN_SIMILARITY) & (top[:, 0] / top[:, 1] > MIN_RATIO)
        kept = accepted.nonzero().squeeze(1)[:MAX_PER_IMAGE]
        rows = zip(anchors[kept].tolist(), index[kept, 0].tolist(), top[kept, 0].tolist(), strict=True)
        mined += [OfficialCorrespondence(image, *row) for row in rows]
    return mined


def official_fine_cell(patch: int, patches: int) -> int:
    """Fine cell that the published code reads for row or column ``patch``; the true centre is ``4 * patch``."""
    return round((14 * patch + 7) / (14 * patches / (4 * patches - 3)))


def neighbourhood_mean(dense_local: Tensor, patch: int, grid: tuple[int, int]) -> Tensor:
    """Mean ``[d]`` of the 3 x 3 cells of ``dense_local [fh, fw, d]`` around a patch's cell, not normalised again."""
    row, column = divmod(patch, grid[1])
    i, j = official_fine_cell(row, grid[0]), official_fine_cell(column, grid[1])
    return dense_local[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean((0, 1))


def official_pseudo_correspondence(
    features: Tensor,
    assignment: Tensor,
    dense_local: Tensor,
    attention_guide: Tensor,
    labels: Tensor,
    grid: tuple[int, int],
) -> tuple[Tensor, list[OfficialCorrespondence]]:
    """Mean over the mined pairs of s (1 - cos(D_i(u), D_j(v))) and the pairs; 0 without any.

    The published value times 100: its factor 1e-2 is the term's weight here. ``dense_local [B, fh, fw, d]``.
    """
    mined = mine_official_correspondences(features, assignment, attention_guide, labels)
    if not mined:
        return dense_local.sum() * 0, mined
    partner, _ = next_of_place(labels)
    others = partner.tolist()
    first = torch.stack([neighbourhood_mean(dense_local[m.image], m.anchor, grid) for m in mined])
    second = torch.stack([neighbourhood_mean(dense_local[others[m.image]], m.positive, grid) for m in mined])
    weight = torch.tensor([m.similarity for m in mined], dtype=first.dtype, device=first.device)
    return (weight * (1 - functional.cosine_similarity(first, second))).mean(), mined
