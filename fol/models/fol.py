"""FoL: one backbone, a global descriptor, discriminative regions and the local features inside them.

Source: FoL ``network_FoL.py``, ``backbone/dinov2_FoL.py``, ``aggregators/FoL.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fol.models.aggregation import AggregationConfig, OptimalTransportAggregation
from fol.models.backbone import AttentionName, BackboneConfig, DinoV2, Tokens
from fol.models.local_head import LocalHead, fine_positions, fine_size, patch_of_fine_cell
from fol.models.regions import (
    FOL_REGIONS,
    OFFICIAL_REGIONS,
    RegionMaps,
    RegionOptions,
    attention_guide,
    region_maps,
    select_patches,
    upsample_map,
)
from fol.types import Features, LocalFeaturesBatch

Preset = Literal["official", "fol"]
PRESETS: dict[Preset, RegionOptions] = {"official": OFFICIAL_REGIONS, "fol": FOL_REGIONS}


@dataclass(frozen=True, eq=False)
class FoLOutput:
    """All that the losses and the features are made of, for a batch of B images with h x w patches (n = h*w).

    ``descriptor [B, D]`` unit; ``dense_local [B, 4h-3, 4w-3, d]`` unit; ``tokens`` of the backbone;
    ``attention_guide [B, n]``; ``assignment [B, m, n]`` transport plan; ``maps`` the two region maps;
    ``region_map [B, h, w]`` the one that selects; ``selected [B, h, w]`` mask of the kept patches.
    """

    descriptor: Tensor
    dense_local: Tensor
    tokens: Tokens
    attention_guide: Tensor
    assignment: Tensor
    maps: RegionMaps
    region_map: Tensor
    selected: Tensor


class FoL(nn.Module):
    """The two-stage network. ``region_options`` holds the switches between the presets."""

    def __init__(
        self,
        backbone: BackboneConfig,
        aggregation: AggregationConfig,
        regions: RegionOptions,
        local_hidden: int = 256,
        local_dim: int = 128,
        attention: AttentionName = "sdpa",
    ) -> None:
        super().__init__()
        self.region_options = regions
        self.backbone = DinoV2(backbone, attention)
        self.aggregation = OptimalTransportAggregation(aggregation)
        self.local_head = LocalHead(backbone.channels, local_hidden, local_dim)
        self.whitening: nn.Module = nn.Identity()  # of extracted descriptors alone

    def forward(self, images: Tensor, training: bool | None = None) -> FoLOutput:
        """Run ``images [B, 3, H, W]``; ``training`` picks the region map and defaults to the module's mode."""
        training = self.training if training is None else training
        tokens: Tokens = self.backbone(images)
        grid = tokens.patch_map.shape[-2:]
        guide = attention_guide(tokens.class_attention, self.backbone.config.heads, self.region_options)
        aggregate = self.aggregation(tokens.class_token, tokens.patch_map, dustbin=1 - guide)
        maps = region_maps(aggregate.assignment, tokens.class_attention, self.region_options)
        combined = maps.combine("both" if training else self.region_options.test_map)
        return FoLOutput(
            descriptor=aggregate.descriptor,
            dense_local=self.local_head(tokens.patch_map),
            tokens=tokens,
            attention_guide=guide,
            assignment=aggregate.assignment,
            maps=maps,
            region_map=combined.view(-1, *grid),
            selected=select_patches(combined, self.region_options.selection).view(-1, *grid),
        )

    def features(self, images: Tensor, forward: Callable[[Tensor], FoLOutput] | None = None) -> list[Features]:
        """Descriptor, selected local features in raster order (no padding) and region map of each image.

        Positions are pixels of ``images``; weights are the region map at the feature, relative to its maximum.
        ``forward`` stands in for this module's (compiled, say).
        """
        output: FoLOutput = (forward or self)(images)
        height, width = output.region_map.shape[1:]
        grid = (fine_size(height), fine_size(width))
        device = images.device
        rows, columns = (
            patch_of_fine_cell(side, self.region_options.alignment == "centred", device) for side in (height, width)
        )
        selected = output.selected[:, rows][:, :, columns]
        weights = upsample_map(output.region_map, grid)
        weights = (weights / weights.amax((1, 2), keepdim=True)).clamp(0, 1)
        # Gathered for all images at once, and counted in one go: on a GPU each selection by mask would wait for it.
        image, row, column = selected.nonzero(as_tuple=True)
        local = LocalFeaturesBatch(
            output.dense_local[image, row, column],
            fine_positions(grid, device)[row, column],
            weights[image, row, column],
            tuple(selected.sum((1, 2)).tolist()),
        )
        descriptors = self.whitening(output.descriptor)
        return [Features(*parts) for parts in zip(descriptors, local, output.region_map, strict=True)]

    def regions(self, images: Tensor) -> Tensor:
        """Unit descriptors ``[B, 9, D]`` of parts of each image, the whole first: an extension.

        See ``OptimalTransportAggregation.regions``.
        """
        tokens: Tokens = self.backbone(images)
        guide = attention_guide(tokens.class_attention, self.backbone.config.heads, self.region_options)
        return self.aggregation.regions(tokens.class_token, tokens.patch_map, dustbin=1 - guide)

    def max_tokens(self, image_size: tuple[int, int]) -> int:
        """Most local features that one image of this size (height, width) can give."""
        patches = [side // 14 for side in image_size]
        kept = self.region_options.selection
        count = kept if isinstance(kept, int) else max(1, round(kept * patches[0] * patches[1]))
        owned = [
            torch.bincount(patch_of_fine_cell(side, self.region_options.alignment == "centred")) for side in patches
        ]
        cells = (owned[0][:, None] * owned[1][None]).flatten().sort(descending=True).values
        return int(cells[:count].sum())
