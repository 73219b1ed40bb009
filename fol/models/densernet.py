"""DenserNet (AAAI 2021): feature maps of three depths of VGG16, reduced, brought to one resolution, concatenated.

Two forms that differ a lot. ``release``: the authors' code (goodproj13/DenserNet). ``paper``: the trunk of the paper's
figure, as far as it shows: taps before the pools (after which ReLU or none it does not say; here after it), a 1x1
convolution, upsampling (by which rule it does not say; here nearest), a 3x3 convolution, at half the photo's
resolution. The figure's decoder, which weighs and detects, is described nowhere that we could read: it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from fol.errors import ConfigError
from fol.models.vgg import VggConvention, check_side, run_layers, vgg_layers

#: In the order of concatenation (official: ``torch.cat((x_h, x_m, x_l), 1)``): the deepest first.
Tap = Literal["high", "middle", "low"]
ALL_TAPS: tuple[Tap, ...] = ("high", "middle", "low")
Form = Literal["release", "paper"]
#: Layers that are tapped: after pool5, pool4 and pool3; or before them, after the ReLU.
TAP_LAYERS: dict[Form, dict[Tap, int]] = {
    "release": {"high": 30, "middle": 23, "low": 16},
    "paper": {"high": 29, "middle": 22, "low": 15},
}
#: Pixels of the photo per cell of the result.
STRIDES: dict[Form, int] = {"release": 4, "paper": 2}
_TAP_CHANNELS: dict[Tap, int] = {"high": 512, "middle": 512, "low": 256}


@dataclass(frozen=True)
class DenserNetConfig:
    """``low``, ``middle``, ``high``: channels that each tap is reduced to. ``taps``: those in use, fewer to compare.

    ``width`` multiplies VGG16's channels; ``convention`` is whose weights the trunk takes (``fol.models.vgg``).
    """

    low: int = 64
    middle: int = 64
    high: int = 64
    form: Form = "release"
    taps: tuple[Tap, ...] = ALL_TAPS
    width: float = 1.0
    convention: VggConvention = "matconvnet"
    family: Literal["densernet"] = "densernet"
    takes_any_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "taps", tuple(self.taps))  # a header's JSON has lists
        if not self.taps or self.taps != tuple(tap for tap in ALL_TAPS if tap in self.taps):
            raise ConfigError(f"taps={list(self.taps)}: choose some of {', '.join(ALL_TAPS)}, in this order")
        if self.form not in get_args(Form):
            raise ConfigError(f"form={self.form!r} is unknown; choose {' or '.join(get_args(Form))}")

    @property
    def reduced(self) -> dict[Tap, int]:
        """Channels of each tap in use after its reduction."""
        channels: dict[Tap, int] = {"high": self.high, "middle": self.middle, "low": self.low}
        return {tap: channels[tap] for tap in self.taps}

    @property
    def channels(self) -> int:
        """Channels of the concatenated map."""
        return sum(self.reduced.values())

    def build(self) -> DenserNet:
        """The network with torch's initial weights."""
        return DenserNet(self)

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """``ConfigError`` for a size (height, width) that the trunk cannot take."""
        check_side(image_size)

    def describe(self) -> str:
        """For people."""
        parts = ", ".join(f"{tap} {channels}" for tap, channels in self.reduced.items())
        return f"DenserNet ({self.form}) on frozen VGG16 times {self.width:g}: {parts}"


class DenserNet(nn.Module):
    """``images [B, 3, H, W]`` to ``[B, C, H // 4, W // 4]`` (paper: half the photo's size), the deepest tap first.

    The trunk runs once, under ``no_grad``: all of it is frozen. Reducing before the nearest-neighbour upsampling gives
    the published numbers for a fraction of the work, as a 1x1 convolution does not look at neighbours.
    """

    def __init__(self, config: DenserNetConfig) -> None:
        super().__init__()
        self.config = config
        self._taps = [TAP_LAYERS[config.form][tap] for tap in config.taps]
        self.trunk = nn.Sequential(*vgg_layers(config.width, max(self._taps) + 1))
        self.reduce = nn.ModuleDict(
            {tap: nn.Conv2d(round(_TAP_CHANNELS[tap] * config.width), c, 1) for tap, c in config.reduced.items()}
        )
        self.refine = nn.ModuleDict(
            {tap: nn.Conv2d(c, c, 3, padding=1) for tap, c in config.reduced.items() if config.form == "paper"}
        )

    def forward(self, images: Tensor) -> Tensor:
        """The concatenated map; ``ConfigError`` when a side is below 32 px."""
        height, width = images.shape[-2:]
        self.config.check_image_size((height, width))
        stride = STRIDES[self.config.form]
        tapped = run_layers(list(self.trunk), images, len(self.trunk), self._taps)
        maps = []
        for tap, values in zip(self.config.taps, tapped, strict=True):
            # To the size, not by a factor: the maps fit together whatever the pools cut off.
            values = functional.interpolate(self.reduce[tap](values), (height // stride, width // stride))
            maps.append(self.refine[tap](values) if tap in self.refine else values)
        return torch.cat(maps, dim=1)

    def frozen_parameters(self) -> Iterator[nn.Parameter]:
        """Those that never get a gradient: the whole trunk."""
        return self.trunk.parameters()
