"""What fixes the names and shapes of a network's tensors, and random values for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from fol.errors import CheckpointError, ConfigError
from fol.models.aggregation import AggregationConfig, NetVladConfig
from fol.models.backbone import AttentionName, BackboneConfig, DinoV2
from fol.models.densernet import DenserNetConfig
from fol.models.fol import PRESETS, FoL, Preset
from fol.models.global_network import GlobalNetwork
from fol.models.salad import Salad
from fol.models.vgg import VggConfig
from fol.models.whitening import PcaWhitening

#: ``fol`` and ``salad`` on a transformer; ``global`` is NetVLAD on any backbone.
Kind = Literal["fol", "salad", "global"]
Network = FoL | Salad | GlobalNetwork
Backbone = BackboneConfig | VggConfig | DenserNetConfig
#: Backbones whose configuration says ``family``; a transformer's does not.
_FAMILIES: Mapping[str, type[VggConfig] | type[DenserNetConfig]] = {"vgg": VggConfig, "densernet": DenserNetConfig}


@dataclass(frozen=True)
class Architecture:
    """Everything that fixes the names and shapes of a network's tensors.

    ``whitening``: length of the descriptor after PCA whitening, None without.
    """

    kind: Kind
    backbone: Backbone
    aggregation: AggregationConfig | NetVladConfig
    local_hidden: int = 256
    local_dim: int = 128
    whitening: int | None = None

    def build(self, preset: Preset = "fol", attention: AttentionName = "sdpa") -> Network:
        """The network with fresh weights, on the current default device."""
        network = self._bare(preset, attention)
        if self.whitening is not None:
            network.whitening = PcaWhitening.blank(self.aggregation.descriptor_dim, self.whitening)
        return network

    def _bare(self, preset: Preset, attention: AttentionName) -> Network:
        backbone, aggregation = self.backbone, self.aggregation
        if isinstance(aggregation, NetVladConfig):
            built = DinoV2(backbone, attention) if isinstance(backbone, BackboneConfig) else backbone.build()
            return GlobalNetwork(built, aggregation)
        if not isinstance(backbone, BackboneConfig):
            raise ConfigError(f"kind={self.kind}: a transformer is needed, not {backbone.describe()}")
        if self.kind == "salad":
            return Salad(backbone, aggregation, attention)
        return FoL(backbone, aggregation, PRESETS[preset], self.local_hidden, self.local_dim, attention)

    @property
    def descriptor_dim(self) -> int:
        """Length of the global descriptor that is extracted."""
        return self.whitening or self.aggregation.descriptor_dim

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the header of a weight file and for fingerprints."""
        values = asdict(self)
        if self.whitening is None:  # fingerprints from before there was whitening stay valid
            del values["whitening"]
        return values

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Architecture:
        """The inverse of ``to_dict``; ``CheckpointError`` when a value is missing or unknown."""
        try:
            family = _FAMILIES[values["backbone"]["family"]] if "family" in values["backbone"] else BackboneConfig
            aggregation = NetVladConfig if values["kind"] == "global" else AggregationConfig
            return Architecture(
                **{
                    **values,
                    "backbone": family(**values["backbone"]),
                    "aggregation": aggregation(**values["aggregation"]),
                }
            )
        except (TypeError, KeyError, ConfigError) as error:
            raise CheckpointError(f"the architecture in the file's header is not understood: {error}") from error


def initialise(network: nn.Module, seed: int) -> None:
    """Random weights that depend on ``seed`` alone: transformer, trunk and heads as their papers initialise them."""
    generator = torch.Generator().manual_seed(seed)
    before_relu = {layer for module in network.modules() if _is_vgg(module) for layer in module.children()}
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            fan_in = module.weight[0].numel()
            if isinstance(module, nn.ConvTranspose2d):  # [in, out, k, k], stride 2 shares the kernel out
                fan_in = module.weight.shape[0] * module.weight[0, 0].numel() // 4
            gain = 2**0.5 if module in before_relu else 1  # over 13 layers ReLUs would halve the variance to nothing
            nn.init.trunc_normal_(module.weight, std=gain * fan_in**-0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm | nn.InstanceNorm2d):
            module.reset_parameters()
    for name, parameter in network.named_parameters():
        if name.endswith(("pos_embed", "cls_token")):
            nn.init.trunc_normal_(parameter, std=0.02, generator=generator)
        elif name.endswith("centroids"):
            nn.init.trunc_normal_(parameter, std=parameter.shape[1] ** -0.5, generator=generator)
        elif name.endswith(("gamma", "dust_bin")):
            # LayerScale's usual 1e-5 would switch the blocks of an untrained network off.
            nn.init.ones_(parameter)
    for module in network.modules():
        if isinstance(module, PcaWhitening):
            nn.init.eye_(module.weight)
            nn.init.zeros_(module.bias)


def _is_vgg(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and any(isinstance(layer, nn.MaxPool2d) for layer in module)
