"""Pseudo-correspondences in the ``fol`` form: distinctive mutual neighbours of two images teach the local head.

The published form is in ``official_pseudo_correspondence.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fol.losses.cells import rows_of
from fol.losses.options import PseudoCorrespondenceOptions


@dataclass(frozen=True, eq=False)
class Correspondences:
    """The best K patch pairs of each of B image pairs: ``anchor``, ``positive [B, K]`` patch numbers (raster order).

    ``similarity [B, K]`` is the cosine of their patch features; entries that are not ``valid [B, K]`` mean nothing.
    """

    anchor: Tensor
    positive: Tensor
    similarity: Tensor
    valid: Tensor


def near_patches(grid: tuple[int, int], radius: int, device: torch.device) -> Tensor:
    """``[n, n]`` bool: patches within ``radius`` rows and columns of each other, themselves included."""
    rows = torch.arange(grid[0], device=device).repeat_interleave(grid[1])
    columns = torch.arange(grid[1], device=device).repeat(grid[0])
    apart = torch.maximum((rows[:, None] - rows[None]).abs(), (columns[:, None] - columns[None]).abs())
    return apart <= radius


@torch.no_grad()
def mine_correspondences(
    patch_map: Tensor,
    assignment: Tensor,
    selected: Tensor,
    partner: Tensor,
    valid: Tensor,
    options: PseudoCorrespondenceOptions,
) -> Correspondences:
    """Patches of image i and of image ``partner[i]`` that are each other's best and stand out.

    ``patch_map [B, C, h, w]``, ``assignment [B, m, n]``, ``selected [B, h, w]``; ``valid [B]``: there is a partner.
    Both patches are in the selected regions and (``same_cluster``) belong most to the same cluster; each is the other's
    nearest such patch; the cosine is above ``min_similarity`` and exceeds that of every patch of the partner outside
    the neighbourhood of the match, selected or not, by ``margin``. The ``max_matches`` of largest margin are kept.
    """
    features = functional.normalize(patch_map.flatten(2), dim=1)
    similarity = features.transpose(1, 2) @ features[partner]
    chosen = selected.flatten(1)
    candidates = chosen.unsqueeze(2) & chosen[partner].unsqueeze(1) & valid[:, None, None]
    if options.same_cluster:
        cluster = assignment.argmax(1)
        candidates &= cluster.unsqueeze(2) == cluster[partner].unsqueeze(1)
    masked = similarity.masked_fill(~candidates, -torch.inf)
    best, match = masked.max(2)
    mutual = masked.argmax(1).gather(1, match) == torch.arange(match.shape[1], device=match.device)
    near = near_patches((patch_map.shape[2], patch_map.shape[3]), options.neighbourhood, match.device)
    runner_up = similarity.masked_fill(near[match], -1.0).amax(2)
    margin = best - runner_up
    accepted = mutual & (best > options.min_similarity) & (margin > options.margin)
    ranked = margin.masked_fill(~accepted, -torch.inf).topk(min(options.max_matches, margin.shape[1]), dim=1).indices
    kept = accepted.gather(1, ranked)
    # Minus infinity where nothing fits would turn into NaN in a gradient.
    return Correspondences(ranked, match.gather(1, ranked), best.gather(1, ranked).masked_fill(~kept, 0.0), kept)


def pseudo_correspondence(
    anchors: Tensor,
    targets: Tensor,
    others: Tensor,
    has_other: Tensor,
    grid: tuple[int, int],
    mined: Correspondences,
    options: PseudoCorrespondenceOptions,
) -> Tensor:
    """Mean over the mined pairs; 0 if there are none.

    Local descriptors ``[B, n, d]``, one per patch: of the image (``anchors``), of its partner (``targets``) and of the
    hardest image of another place (``others``, where ``has_other [B]``).

    ``contrast``: -log softmax of the matched descriptor's cosine, over ``temperature``, among those of all patches of
    the partner outside the neighbourhood of the match and of all patches of ``others``. Without negatives, as
    published (``attract``: s1 (1 - cosine)), a local head can satisfy the loss with one descriptor for everything, as
    a network trained from scratch soon does; without those of other places it could tell patches by where they are.
    """
    anchor, positive = rows_of(anchors, mined.anchor), rows_of(targets, mined.positive)
    cosine = (anchor * positive).sum(2)
    count = mined.valid.sum().clamp_min(1)
    if options.form == "attract":
        return torch.where(mined.valid, mined.similarity * (1 - cosine), 0.0).sum() / count
    near = near_patches(grid, options.neighbourhood, cosine.device)[mined.positive]
    within = (anchor @ targets.transpose(1, 2)).masked_fill(near, -torch.inf)
    across = anchor @ others.transpose(1, 2)
    across = across.masked_fill(~has_other[:, None, None], -torch.inf)
    logits = torch.cat([cosine.unsqueeze(2), within, across], dim=2) / options.temperature
    nll = logits.logsumexp(2) - logits[:, :, 0]
    return torch.where(mined.valid, nll, 0.0).sum() / count
