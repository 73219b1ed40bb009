"""Losses over a query, its positive and its negatives, of which only positions tell that they are such.

Weak triplet of NetVLAD (Relja/netvlad, trainWeakly.m), stochastic attraction and repulsion embedding of SARE
(Liumouliu/deepIBL). They take cosines of unit descriptors; distances follow as d^2 = 2 - 2 cos.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fol.losses.mining import same_place
from fol.losses.weak_options import WeakLossOptions


def tuple_similarities(query: Tensor, positive: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines ``[B]`` and ``[B, N]`` of unit descriptors ``[B, D]``, ``[B, D]`` and ``[B, N, D]``.

    In float32 at least, also under autocast: bfloat16 has 3 digits, and the hardest negatives differ in the third.
    """
    query, positive, negatives = (_at_least_float32(x) for x in (query, positive, negatives))
    return (query * positive).sum(1), (query.unsqueeze(1) * negatives).sum(2)


def weak_loss(positive: Tensor, negatives: Tensor, options: WeakLossOptions, present: Tensor | None = None) -> Tensor:
    """The loss that ``options`` names, of the cosines ``positive [B]`` and ``negatives [B, N]`` to each query.

    ``present [B, N]`` bool: the negatives that there are; what stands in the place of others is never looked at, and
    a query without any counts for nothing. Zero, with a gradient of zero, when no query has one.
    """
    positive, negatives = _at_least_float32(positive), _at_least_float32(negatives)
    if present is None:
        present = torch.ones_like(negatives, dtype=torch.bool)
    negatives = negatives.masked_fill(~present, 0)  # now, as 0 times the slope of a root at 0 is no number
    if options.name == "triplet":
        terms = weak_triplet_terms(positive, negatives, options).masked_fill(~present, 0)
    else:
        # log kappa(negative) - log kappa(positive): how much likelier the negative is
        log_odds = _log_kernel(negatives, options) - _log_kernel(positive, options).unsqueeze(1)
        log_odds = log_odds.masked_fill(~present, -torch.inf)
        terms = sare_independent_terms(log_odds) if options.name == "sare_ind" else sare_joint_terms(log_odds)
    counts = {
        "mean_pairs": present.sum(),
        "mean_queries": present.any(1).sum(),
        "matlab": torch.full_like(present.sum(), present.numel()),
        "violating": (terms.detach() > 0).sum(),
    }
    return terms.sum() / counts[options.reduction].clamp_min(1)


def weak_triplet_terms(positive: Tensor, negatives: Tensor, options: WeakLossOptions) -> Tensor:
    """max(0, d_p + margin - d_n) ``[B, N]``, of squared distances if ``options.squared``."""
    distance = _squared if options.squared else _distance
    near, far = distance(positive), distance(negatives)
    return (near.unsqueeze(1) + options.margin - far).clamp_min(0)


def sare_independent_terms(log_odds: Tensor) -> Tensor:
    """ln(1 + exp(z_j)) ``[B, N]`` of z ``[B, N]``; 0 where it is -inf."""
    return functional.softplus(log_odds)


def sare_joint_terms(log_odds: Tensor) -> Tensor:
    """ln(1 + sum_j exp(z_j)) ``[B]`` of z ``[B, N]``, of which -inf adds nothing."""
    return torch.cat([torch.zeros_like(log_odds[:, :1]), log_odds], 1).logsumexp(1)


def sare_inbatch(
    descriptors: Tensor, labels: Tensor, options: WeakLossOptions, never_negative: Tensor | None = None
) -> Tensor:
    """The same losses on batches of places: an extension, which none of the papers has.

    Every pair of images of one place is a query and its positive, all images of other places are its negatives, less
    those of ``never_negative [B, B]`` bool. ``descriptors [B, D]`` unit, ``labels [B]``. Zero without such a pair.
    """
    descriptors = _at_least_float32(descriptors)
    with torch.autocast(descriptors.device.type, enabled=False):
        similarity = descriptors @ descriptors.T
    negatives = labels[:, None] != labels[None, :]
    if never_negative is not None:
        negatives = negatives & ~never_negative
    query, positive = same_place(labels).nonzero().unbind(1)
    return weak_loss(similarity[query, positive], similarity[query], options, negatives[query])


def _log_kernel(similarity: Tensor, options: WeakLossOptions) -> Tensor:
    if options.form == "cos":
        return similarity / options.tau
    if options.kernel == "gauss":
        return -_squared(similarity) / options.tau
    if options.kernel == "cauchy":
        return -(_squared(similarity) / options.tau).log1p()
    return -_distance(similarity) / options.tau


def _squared(similarity: Tensor) -> Tensor:
    return 2 - 2 * similarity


def _distance(similarity: Tensor) -> Tensor:
    """Of unit vectors, with a floor below which it is rounding and the root would have no slope."""
    return _squared(similarity).clamp_min(torch.finfo(similarity.dtype).eps).sqrt()


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
