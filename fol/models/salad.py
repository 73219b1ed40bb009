"""SALAD: DINOv2 with optimal-transport aggregation and a learned dustbin; a single-stage model.

Source: SALAD ``models/aggregators/salad.py`` (CVPR 2024).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from fol.models.aggregation import Aggregate, AggregationConfig, OptimalTransportAggregation
from fol.models.backbone import AttentionName, BackboneConfig, DinoV2, Tokens
from fol.types import Features, LocalFeatures


class Salad(nn.Module):
    """Global descriptors only: its local features are empty and its candidates keep their order."""

    def __init__(
        self, backbone: BackboneConfig, aggregation: AggregationConfig, attention: AttentionName = "sdpa"
    ) -> None:
        super().__init__()
        self.backbone = DinoV2(backbone, attention)
        self.aggregation = OptimalTransportAggregation(aggregation)
        self.whitening: nn.Module = nn.Identity()  # of extracted descriptors alone

    def forward(self, images: Tensor) -> Aggregate:
        """Descriptor and assignment of ``images [B, 3, H, W]``."""
        tokens: Tokens = self.backbone(images)
        aggregate: Aggregate = self.aggregation(tokens.class_token, tokens.patch_map)
        return aggregate

    def features(self, images: Tensor, forward: Callable[[Tensor], Aggregate] | None = None) -> list[Features]:
        """Descriptor and region map (mass that is not in the dustbin) of each image.

        ``forward`` stands in for this module's (compiled, say).
        """
        output: Aggregate = (forward or self)(images)
        grid = (images.shape[-2] // 14, images.shape[-1] // 14)
        maps = output.assignment.sum(1).view(-1, *grid)
        return [
            Features(descriptor, LocalFeatures.empty(device=images.device), region_map)
            for descriptor, region_map in zip(self.whitening(output.descriptor), maps, strict=True)
        ]

    def regions(self, images: Tensor) -> Tensor:
        """Unit descriptors ``[B, 9, D]`` of parts of each image, the whole first: an extension.

        See ``OptimalTransportAggregation.regions``.
        """
        tokens: Tokens = self.backbone(images)
        return self.aggregation.regions(tokens.class_token, tokens.patch_map)

    def max_tokens(self, image_size: tuple[int, int]) -> int:
        """Always 0: there is no second stage."""
        return 0
