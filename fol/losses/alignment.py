"""Saliency alignment (SAL): the aggregation's region map and the attention's are drawn together."""

from __future__ import annotations

import torch
from torch import Tensor

from fol.losses.options import AlignmentOptions


def official_alignment(aggregation: Tensor, extraction: Tensor) -> Tensor:
    """KL(sg[E] || A) + KL(sg[A] || E) of maps ``[B, n]`` with rows that sum to 1: over patches, mean over images.

    Source: official ``aggregators/FoL.py:133-137``. On the official preset's maps (softmax of probabilities, nearly
    uniform) it is about 1e-4 and its gradient vanishes.
    """
    return _divergence(extraction.detach(), aggregation) + _divergence(aggregation.detach(), extraction)


def alignment(aggregation: Tensor, extraction: Tensor, options: AlignmentOptions) -> Tensor:
    """Both divergences between the maps ``[B, n]`` as shares: each is divided by its sum, never by a softmax.

    sum_i a_i log(a_i / e_i) + e_i log(e_i / a_i), mean over images; the paper's formula times h*w (its 1/(hw) is part
    of the weight here, which then means the same at every resolution). A little of the uniform map is mixed into
    both, because a patch that the dustbin takes whole has a = 0.
    """
    a, e = (_shares(values, options.smoothing) for values in (aggregation, extraction))
    if options.detach_target:
        return official_alignment(a, e)
    return _divergence(e, a) + _divergence(a, e)


def _divergence(target: Tensor, other: Tensor) -> Tensor:
    return (target * (target.log() - other.log())).sum(1).mean()


def _shares(values: Tensor, smoothing: float) -> Tensor:
    shares = values / values.sum(1, keepdim=True).clamp_min(torch.finfo(values.dtype).tiny)
    return (1 - smoothing) * shares + smoothing / values.shape[1]
