"""Pseudo-correspondences in the ``fol`` form: distinctive mutual neighbours of two images teach the local head.

The published form is in ``official_pseudo_correspondence.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fol.losses.local_triplet import rows_of
from fol.losses.options import PseudoCorrespondenceOptions
from fol.models.local_head import UPSAMPLING


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
    the neighbourhood of the match, selected or not, by ``margin``. The ``max_matches`` with the largest margins are kept.
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
    return Correspondences(ranked, match.gather(1, ranked), best.gather(1, ranked), accepted.gather(1, ranked))


def patch_descriptors(dense_local: Tensor, grid: tuple[int, int]) -> Tensor:
    """One local descriptor per patch, ``[B, h*w, d]``, from the true centre (fine cell 4r) or a cell next to it.

    Which of the sixteen cells of a patch (4r-2 .. 4r+1, held inside the map) goes round with the number of the image,
    so that all phases of the transposed convolutions are trained; it is the same cell for all patches of an image.
    """
    batch, fine_height, fine_width, _ = dense_local.shape
    number = torch.arange(batch, device=dense_local.device).unsqueeze(1)
    rows, columns = (
        (torch.arange(side, device=dense_local.device) * UPSAMPLING + offset - 2).clamp(0, fine - 1)
        for side, offset, fine in (
            (grid[0], number % UPSAMPLING, fine_height),
            (grid[1], number // UPSAMPLING % UPSAMPLING, fine_width),
        )
    )
    cells = rows.unsqueeze(2) * fine_width + columns.unsqueeze(1)
    return rows_of(dense_local.flatten(1, 2), cells.flatten(1))


def pseudo_correspondence(
    dense_local: Tensor,
    grid: tuple[int, int],
    mined: Correspondences,
    partner: Tensor,
    negative: Tensor,
    has_negative: Tensor,
    options: PseudoCorrespondenceOptions,
) -> Tensor:
    """Mean over the mined pairs; 0 if there are none.

    ``contrast``: -log softmax of the matched descriptor's cosine, over ``temperature``, among those of all patches of
    the partner outside the neighbourhood of the match and of all patches of ``negative [B]``, the hardest image of
    another place. Without negatives, as published (``attract``: s1 (1 - cosine)), a local head can satisfy the loss
    with one descriptor for everything, which a network trained from scratch finds soon; and without those of other
    places it could tell patches apart by where they are.
    """
    # Both images of a pair are read at the phase of the first.
    own, others = dense_local, dense_local.index_select(0, partner)
    anchors = patch_descriptors(own, grid)
    targets = patch_descriptors(others, grid)
    anchor, positive = rows_of(anchors, mined.anchor), rows_of(targets, mined.positive)
    cosine = (anchor * positive).sum(2)
    count = mined.valid.sum().clamp_min(1)
    if options.form == "attract":
        return torch.where(mined.valid, mined.similarity * (1 - cosine), 0.0).sum() / count
    near = near_patches(grid, options.neighbourhood, cosine.device)[mined.positive]
    within = (anchor @ targets.transpose(1, 2)).masked_fill(near, -torch.inf)
    across = anchor @ patch_descriptors(dense_local.index_select(0, negative), grid).transpose(1, 2)
    across = across.masked_fill(~has_negative[:, None, None], -torch.inf)
    logits = torch.cat([cosine.unsqueeze(2), within, across], dim=2) / options.temperature
    nll = logits.logsumexp(2) - logits[:, :, 0]
    return torch.where(mined.valid, nll, 0.0).sum() / count
