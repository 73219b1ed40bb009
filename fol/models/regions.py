"""Discriminative-region maps from the transport plan and the class attention, and the patches they select.

Source: FoL ``network_FoL.py:25-27``, ``aggregators/FoL.py:129-149``; ``OFFICIAL_REGIONS`` is that code number for
number, ``FOL_REGIONS`` is the same idea for any backbone and input size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from fol.errors import ConfigError

#: Share of the patches above the value that clipping puts in place of the largest ones.
CLIP_FRACTION = 0.05
#: The published code clips this many patches, whatever the size of the map.
OFFICIAL_CLIP_COUNT = 3
#: Mean class attention (heads / patches) of ViT-L at 322 px, for which the published threshold was set.
REFERENCE_ATTENTION = 16 / 529

MapSource = Literal["aggregation", "both"]


@dataclass(frozen=True)
class RegionOptions:
    """Every difference between the presets in how regions are found, one named option each."""

    #: Class attention below this is no guide for the dustbin (official: 0.01, a sum over heads).
    attention_threshold: float = 0.01
    #: "absolute" compares the head sum, whose mean depends on heads and resolution; "relative" first rescales it
    #: to the mean that it has for ViT-L at 322 px, so that the threshold means the same everywhere.
    attention_scale: Literal["absolute", "relative"] = "relative"
    #: "top3" replaces the three largest values; "percentile" limits all above the 95th percentile.
    clipping: Literal["top3", "percentile"] = "percentile"
    #: "softmax" of values that are already probabilities is nearly uniform; "sum" keeps their contrast.
    normalisation: Literal["softmax", "sum"] = "sum"
    #: Map that selects at test time: "aggregation" alone, or "both" as in training.
    test_map: MapSource = "both"
    #: Patches kept: a count (published: 225), or a share of all patches, which follows the input size.
    selection: int | float = 225 / 529
    #: Fine cells of a patch: "nearest" is shifted by up to two cells, "centred" is where the patch really lies.
    alignment: Literal["nearest", "centred"] = "centred"


OFFICIAL_REGIONS = RegionOptions(
    attention_scale="absolute",
    clipping="top3",
    normalisation="softmax",
    test_map="aggregation",
    selection=225,
    alignment="nearest",
)
FOL_REGIONS = RegionOptions()


@dataclass(frozen=True, eq=False)
class RegionMaps:
    """``aggregation [B, n]`` and ``extraction [B, n]``, clipped and normalised; both enter the alignment loss."""

    aggregation: Tensor
    extraction: Tensor

    def combine(self, source: MapSource) -> Tensor:
        """The map that selects: the aggregation's alone, or the sum of both."""
        return self.aggregation if source == "aggregation" else self.aggregation + self.extraction


def attention_guide(class_attention: Tensor, heads: int, options: RegionOptions) -> Tensor:
    """Class attention ``[B, n]`` with weak values set to zero; the dustbin's score is one minus it."""
    if options.attention_scale == "relative":
        class_attention = class_attention * (REFERENCE_ATTENTION * class_attention.shape[1] / heads)
    return torch.where(class_attention >= options.attention_threshold, class_attention, 0.0)


def clip_largest(values: Tensor, options: RegionOptions) -> Tensor:
    """Limit the peaks of maps ``[B, n]`` so that single patches do not dominate."""
    ordered, order = values.sort(dim=1, descending=True, stable=True)
    rank = int(CLIP_FRACTION * values.shape[1])
    ceiling = ordered[:, rank : rank + 1]
    if options.clipping == "percentile":
        return torch.minimum(values, ceiling)
    return values.scatter(1, order[:, :OFFICIAL_CLIP_COUNT], ceiling.expand(-1, OFFICIAL_CLIP_COUNT))


def region_maps(assignment: Tensor, class_attention: Tensor, options: RegionOptions) -> RegionMaps:
    """Maps from the transport plan ``[B, m, n]`` (what is not in the dustbin) and the class attention ``[B, n]``."""

    def normalise(values: Tensor) -> Tensor:
        clipped = clip_largest(values, options)
        if options.normalisation == "softmax":
            return clipped.softmax(1)
        return clipped / clipped.sum(1, keepdim=True).clamp_min(torch.finfo(clipped.dtype).tiny)

    return RegionMaps(normalise(assignment.mean(1)), normalise(class_attention))


def select_patches(region_map: Tensor, selection: int | float) -> Tensor:
    """Mask ``[B, n]`` of the patches with the largest values: ``selection`` many, or that share of them."""
    patches = region_map.shape[1]
    count = selection if isinstance(selection, int) else max(1, round(selection * patches))
    if count > patches:
        raise ConfigError(f"{count} patches are to be kept but the image has {patches}; use a larger image")
    chosen = region_map.topk(count, dim=1).indices
    return torch.zeros_like(region_map, dtype=torch.bool).scatter(1, chosen, True)


def upsample_map(region_map: Tensor, grid: tuple[int, int]) -> Tensor:
    """Map ``[B, h, w]`` on the fine grid ``[B, fh, fw]``: bilinear, with patch i exactly on fine cell 4i."""
    return functional.interpolate(region_map[:, None], grid, mode="bilinear", align_corners=True)[:, 0]
