"""Networks of one global descriptor: a trunk, NetVLAD, and where it was fitted PCA whitening.

NetVLAD, SARE and SFRS are VGG16 with it (Arandjelovic et al., CVPR 2016; Liu et al., ICCV 2019; Ge et al., ECCV 2020),
DenserNet has a trunk of its own; on a transformer it is an extension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fol.models.aggregation import NetVlad, NetVladConfig
from fol.models.aggregation.netvlad import finalise
from fol.models.backbone import DinoV2, Tokens
from fol.models.densernet import DenserNet
from fol.models.vgg import Vgg16
from fol.types import Features, LocalFeatures


@dataclass(frozen=True, eq=False)
class GlobalOutput:
    """``descriptor [B, K * D]`` unit, before whitening; ``residuals [B, K, D]`` the sums that it is made of."""

    descriptor: Tensor
    residuals: Tensor


class GlobalNetwork(nn.Module):
    """A single-stage network. Training sees the descriptor before ``whitening``, maps the one after it."""

    def __init__(self, backbone: Vgg16 | DenserNet | DinoV2, aggregation: NetVladConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.aggregation = NetVlad(aggregation)
        self.whitening: nn.Module = nn.Identity()

    def forward(self, images: Tensor) -> GlobalOutput:
        """Descriptor and residuals of ``images [B, 3, H, W]``."""
        residuals = self.aggregation.raw(self.feature_map(images))
        return GlobalOutput(finalise(residuals), residuals)

    def regions(self, images: Tensor) -> Tensor:
        """Unit descriptors ``[B, 9, K * D]`` of full, top, bottom, left, right, and the quarters TL, TR, BL, BR.

        The first is the descriptor of ``forward``; none of them is whitened.
        """
        return finalise(self.aggregation.raw_regions(self.feature_map(images)))

    def feature_map(self, images: Tensor) -> Tensor:
        """Local features ``[B, C, h, w]``, as the aggregation gets them."""
        output: Tensor | Tokens = self.backbone(images)
        return output.patch_map if isinstance(output, Tokens) else output

    @torch.no_grad()
    def sample_features(self, images: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """``count`` local features of each photo at random locations, ``[B * count, C]``: for ``NetVlad.initialise``.

        Without repetition where the map has as many locations, else all of them.
        """
        rows = self.feature_map(images).flatten(2).transpose(1, 2)
        chosen = [torch.randperm(rows.shape[1], generator=generator)[:count].to(rows.device) for _ in rows]
        return torch.cat([photo[index] for photo, index in zip(rows, chosen, strict=True)])

    def features(self, images: Tensor, forward: Callable[[Tensor], GlobalOutput] | None = None) -> list[Features]:
        """Descriptor of each image, whitened where there is a whitening; no local features and no map.

        ``forward`` stands in for this module's (compiled, say).
        """
        output: GlobalOutput = (forward or self)(images)
        none = LocalFeatures.empty(device=images.device)
        return [Features(descriptor, none) for descriptor in self.whitening(output.descriptor)]

    def max_tokens(self, image_size: tuple[int, int]) -> int:
        """Always 0: there is no second stage."""
        return 0
