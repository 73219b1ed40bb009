"""Losses of SFRS: similarities of a whole query to regions of images, supervised by those of the generation before.

Source: yxgeee/OpenIBL (examples/netvlad_img_sfrs.py) and "Self-supervising Fine-grained Region Similarities for
Large-scale Image Localization", ECCV 2020. Region 0 is the whole image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fol.losses.weak import weak_loss
from fol.losses.weak_options import WeakLossOptions


def region_similarities(query: Tensor, regions: Tensor) -> Tensor:
    """Cosines ``[B, M, R]`` of whole queries ``[B, D]`` to the R regions of each of M images, ``[B, M, R, D]``.

    All unit. A query is never divided: give its region 0. In float32 at least, also under autocast.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        return torch.einsum("bd,bmrd->bmr", query.to(wide), regions.to(wide))


def most_similar_region(similarities: Tensor) -> Tensor:
    """``[B, N]`` of ``[B, N, R]``: the similarity of the most similar region, to which alone the gradient goes."""
    return similarities.gather(2, similarities.detach().argmax(2, keepdim=True)).squeeze(2)


def region_hard_loss(
    positive: Tensor, negatives: Tensor, options: WeakLossOptions, present: Tensor | None = None
) -> Tensor:
    """``weak_loss`` with each negative image replaced by its most similar region.

    ``positive [B]`` is the similarity of the whole positive, ``negatives [B, N, R]`` that of the negatives' regions,
    ``present [B, N]`` as there. The first generation compares whole images: give it ``negatives[..., :1]``.
    """
    return weak_loss(positive, most_similar_region(negatives), options, present)


def region_soft_loss(
    student: Tensor,
    teacher: Tensor,
    teacher_temperature: float,
    student_temperature: float = 0.07,
    present: Tensor | None = None,
) -> Tensor:
    """Cross entropy of the distribution over all regions of a query's difficult positives, mean over queries.

    ``student`` and ``teacher [B, P, R]`` similarities; each is one softmax over P * R. No gradient reaches the
    teacher. ``present [B, P]`` bool: the difficult positives that there are; others take no part, and a query without
    any counts for nothing.
    """
    wide = torch.promote_types(student.dtype, torch.float32)
    if present is None:
        present = torch.ones(student.shape[:2], dtype=torch.bool, device=student.device)
    absent = ~present.unsqueeze(2).expand_as(student)
    some = present.any(1)
    hidden = absent & some[:, None, None]  # a softmax over nothing is no number: such queries are left out below

    def logits(similarities: Tensor, temperature: float) -> Tensor:
        scaled = similarities.to(wide).masked_fill(absent, 0) / temperature
        return scaled.masked_fill(hidden, -torch.inf).flatten(1)

    log_share = functional.log_softmax(logits(student, student_temperature), 1).masked_fill(hidden.flatten(1), 0)
    entropy = -(logits(teacher.detach(), teacher_temperature).softmax(1) * log_share).sum(1)
    return torch.where(some, entropy, 0.0).sum() / some.sum().clamp_min(1)
