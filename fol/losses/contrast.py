"""Contrast of foreground and background (CEL): what the region map keeps, against what it leaves."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fol.losses.mining import same_place
from fol.losses.options import ContrastOptions


def prototypes(dense_local: Tensor, region_map: Tensor) -> tuple[Tensor, Tensor]:
    """Unit sums of the local descriptors inside and outside the regions, ``[B, d]`` each.

    ``dense_local [B, fh, fw, d]`` is detached: the gradient reaches the map ``[B, fh, fw]`` only (official:
    loss.py:283-300). Inside weighs with the map, outside with one minus it.
    """
    cells = dense_local.detach().flatten(1, 2)
    weight = region_map.flatten(1).unsqueeze(1)
    inside, outside = (torch.cat([weight, 1 - weight], 1) @ cells).unbind(1)
    return functional.normalize(inside, dim=1), functional.normalize(outside, dim=1)


def random_partner(labels: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Another image of each image's place, uniformly: index ``[B]`` int64 and whether there is one.

    The draws are made on the generator's device, or on the CPU with a fixed seed when there is none.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    draw = torch.rand(len(labels), len(labels), generator=generator, device=generator.device).to(labels.device)
    others = same_place(labels)
    return draw.masked_fill(~others, -1).argmax(1), others.any(1)


def official_contrast(
    dense_local: Tensor, region_map: Tensor, partner: Tensor, valid: Tensor, options: ContrastOptions
) -> Tensor:
    """Mean over images of 0.7 (1 - cos(fg_i, fg_j)) + 0.3 (1 - cos(bg_i, bg_j)) with j = ``partner [B]``.

    Source: official ``loss.py:283-330``. ``valid [B]``: the image has a partner (the published code needs four
    consecutive images per place; here any number will do, and images without a partner are left out).
    """
    inside, outside = prototypes(dense_local, region_map)
    terms = options.foreground * (1 - (inside * inside[partner]).sum(1))
    terms = terms + options.background * (1 - (outside * outside[partner]).sum(1))
    return torch.where(valid, terms, 0.0).sum() / valid.sum().clamp_min(1)


def contrast(dense_local: Tensor, region_map: Tensor, labels: Tensor, options: ContrastOptions) -> Tensor:
    """The paper's description: foregrounds of a place attract each other, foreground and background repel.

    With fg_i, bg_i the prototypes of image i under its map divided by its maximum (so that it is near 1 where the
    regions are and near 0 elsewhere, at any resolution), P(i) the other images of its place and w the options::

        L = mean_i [ w_fg (1 - mean_{j in P(i)} cos(fg_i, fg_j)) + w_bg (1 - mean_{j in P(i)} cos(bg_i, bg_j)) ]
            + w_rep mean_i max(0, cos(fg_i, bg_i) - margin)

    The first mean is over images with P(i) not empty, the second over all. The paper's exact equation was not found:
    its figure and abstract say what attracts and what repels, and the published code has no repulsion at all. All other
    images of the place are partners, so nothing is random.
    """
    peak = region_map.detach().amax((1, 2), keepdim=True).clamp_min(torch.finfo(region_map.dtype).tiny)
    inside, outside = prototypes(dense_local, region_map / peak)
    others = same_place(labels)
    count = others.sum(1).clamp_min(1)
    has_partner = others.any(1)

    def attraction(prototype: Tensor) -> Tensor:
        cosine = torch.where(others, prototype @ prototype.T, 0.0).sum(1) / count
        return torch.where(has_partner, 1 - cosine, 0.0).sum() / has_partner.sum().clamp_min(1)

    total = options.foreground * attraction(inside) if options.foreground else inside.sum() * 0
    if options.background:
        total = total + options.background * attraction(outside)
    if options.repulsion:
        cosine = (inside * outside).sum(1)
        total = total + options.repulsion * (cosine - options.repulsion_margin).clamp_min(0).mean()
    return total
