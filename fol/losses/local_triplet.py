"""Local triplet loss: images of a place must have more similar local descriptors than the hardest other image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fol.losses.mining import HardestImages
from fol.losses.options import LocalTripletOptions
from fol.models.local_head import patch_of_fine_cell


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Local descriptors of B images: ``descriptors [B, K, d]`` unit rows, ``valid [B, K]`` bool."""

    descriptors: Tensor
    valid: Tensor


@dataclass(frozen=True, eq=False)
class TripletLoss:
    """``loss``; ``triplets`` and ``active`` (those that the hinge lets through), and ``matches`` per positive pair."""

    loss: Tensor
    triplets: Tensor
    active: Tensor
    matches: Tensor


@torch.no_grad()
def mutual_partners(first: TokenBatch, second: TokenBatch) -> tuple[Tensor, Tensor]:
    """Mutual nearest neighbours of P pairs of images: partner ``[P, K]`` of each first token, and whether it is mutual.

    Equal similarities resolve to the lowest index, as in ``fol.matching``.
    """
    similarity = first.descriptors @ second.descriptors.transpose(1, 2)
    both = first.valid.unsqueeze(2) & second.valid.unsqueeze(1)
    similarity = similarity.masked_fill(~both, -torch.inf)
    partner, back = similarity.argmax(2), similarity.argmax(1)
    own = torch.arange(partner.shape[1], device=partner.device)
    mutual = (back.gather(1, partner) == own) & first.valid & second.valid.gather(1, partner)
    return partner, mutual


def pair_similarity(
    tokens: TokenBatch, first: Tensor, second: Tensor, options: LocalTripletOptions
) -> tuple[Tensor, Tensor]:
    """Similarity ``[P]`` of the images ``first [P]`` and ``second [P]``, and their matches above the threshold.

    Which tokens match is found without a gradient, pairs in chunks, and only the cosines of the matched ones are then
    computed with one: that is the same gradient, because the nearest neighbour is piecewise constant, and no
    similarity matrix is kept for the backward pass. No match gives 0, one match its own cosine.
    """
    partners, mutuals = [], []
    for start in range(0, len(first), options.pairs_at_once):
        chunk = slice(start, start + options.pairs_at_once)
        partner, mutual = mutual_partners(
            TokenBatch(tokens.descriptors.detach()[first[chunk]], tokens.valid[first[chunk]]),
            TokenBatch(tokens.descriptors.detach()[second[chunk]], tokens.valid[second[chunk]]),
        )
        partners.append(partner)
        mutuals.append(mutual)
    partner, mutual = torch.cat(partners), torch.cat(mutuals)
    flat, slots = tokens.descriptors.flatten(0, 1), partner.shape[1]
    matched = flat.index_select(0, (second[:, None] * slots + partner).flatten()).view(*partner.shape, -1)
    cosine = (tokens.descriptors.index_select(0, first) * matched).sum(2)
    above = mutual & (cosine.detach() > options.threshold)
    if options.similarity == "mean":
        similarity = torch.where(above, cosine, 0.0).sum(1) / above.sum(1).clamp_min(1)
    else:
        match = torch.sigmoid((cosine - options.threshold) / options.temperature)
        possible = torch.minimum(tokens.valid.sum(1)[first], tokens.valid.sum(1)[second])
        similarity = torch.where(mutual, match, 0.0).sum(1) / possible.clamp_min(1)
    return similarity, above.sum(1)


def local_triplet(tokens: TokenBatch, hardest: HardestImages, options: LocalTripletOptions) -> TripletLoss:
    """Mean over the active triplets of max(0, margin + sim(anchor, negative) - sim(anchor, positive)); 0 if none.

    Every image with a positive and a negative is an anchor, of its hardest ones by global descriptor.
    """
    anchor = torch.arange(len(tokens.valid), device=tokens.valid.device)
    first, second = torch.cat([anchor, anchor]), torch.cat([hardest.positive, hardest.negative])
    similarity, matches = pair_similarity(tokens, first, second, options)
    to_positive, to_negative = similarity.chunk(2)
    excess = torch.where(hardest.valid, options.margin + to_negative - to_positive, 0.0).clamp_min(0)
    active = (excess.detach() > 0).sum()
    anchors = hardest.valid.sum()
    positive_matches = torch.where(hardest.valid, matches.chunk(2)[0], 0).sum() / anchors.clamp_min(1)
    return TripletLoss(excess.sum() / active.clamp_min(1), anchors, active, positive_matches)


def official_tokens(dense_local: Tensor, selected: Tensor) -> list[Tensor]:
    """Descriptors ``[L_i, d]`` of each image whose fine cell lies in a selected patch, as published.

    Source: official ``network_FoL.py:42-68`` (nearest-neighbour mask, raster order), less the zero rows that pad to a
    common length: they cannot be part of a match above a threshold that is not negative.
    """
    height, width = selected.shape[1:]
    rows, columns = (patch_of_fine_cell(side, False, dense_local.device) for side in (height, width))
    fine = selected[:, rows][:, :, columns]
    return [descriptors[mask] for descriptors, mask in zip(dense_local, fine, strict=True)]


def official_similarity(first: Tensor, second: Tensor, threshold: float) -> Tensor:
    """Mean cosine of the mutual nearest neighbours above ``threshold`` (official: loss.py:204-239).

    Two deliberate differences: no match above the threshold gives 0 (published: NaN), and a single mutual pair scores
    its cosine (published: a ``squeeze`` makes it the mean over unrelated tokens).
    """
    if not len(first) or not len(second):
        return first.sum() * 0
    with torch.no_grad():
        similarity = first @ second.T
        partner, back = similarity.argmax(1), similarity.argmax(0)
        rows = (back[partner] == torch.arange(len(first), device=first.device)).nonzero().squeeze(1)
        columns = partner[rows]
    cosine = (first[rows] * second[columns]).sum(1)
    kept = cosine[cosine.detach() > threshold]
    return kept.mean() if len(kept) else first.sum() * 0


def official_local_triplet(
    tokens: list[Tensor], triplets: tuple[Tensor, Tensor, Tensor], options: LocalTripletOptions
) -> TripletLoss:
    """Sum over triplets of max(0, sim(a, n) - sim(a, p) + margin), one pair at a time (official: loss.py:195-280)."""
    total = torch.stack([t.sum() for t in tokens]).sum() * 0
    active = torch.zeros((), dtype=torch.int64, device=total.device)
    for anchor, positive, negative in zip(*(t.tolist() for t in triplets), strict=True):
        to_positive = official_similarity(tokens[anchor], tokens[positive], options.threshold)
        to_negative = official_similarity(tokens[anchor], tokens[negative], options.threshold)
        excess = (to_negative - to_positive + options.margin).clamp_min(0)
        active += excess.detach() > 0
        total = total + excess
    count = torch.full((), len(triplets[0]), device=total.device)
    return TripletLoss(total, count, active, torch.zeros((), device=total.device))
