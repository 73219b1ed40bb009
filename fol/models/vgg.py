"""VGG16 cut after conv5_3, before its ReLU: the trunk of NetVLAD, SARE, SFRS and DenserNet.

Sources: NetVLAD (Relja/netvlad, CVPR 2016), OpenIBL ``ibl/models/vgg.py``. Tensors are named by torchvision's layer
indices, ``0.weight`` to ``28.bias``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from fol.errors import ConfigError
from fol.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

TrainFrom = Literal["conv5", "conv4", "conv3", "conv2", "full"]
#: Index of the first layer that is trained (OpenIBL's ``--layers``).
FIRST_TRAINED: dict[TrainFrom, int] = {"conv5": 24, "conv4": 17, "conv3": 10, "conv2": 5, "full": 0}

#: Whose ImageNet training the weights come from. Each wants its own input, so that two must not be mixed up.
VggConvention = Literal["matconvnet", "caffe_features", "imagenet"]
_UNIT_STD = (1 / 255, 1 / 255, 1 / 255)  # that is: pixels of 0 to 255
#: Mean and standard deviation of the input in [0, 1].
VGG_INPUT: dict[VggConvention, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    # Oxford's training, as MatConvNet keeps it: what NetVLAD, SARE and OpenIBL start from.
    "matconvnet": ((0.48501960784313836, 0.4579568627450961, 0.4076039215686255), _UNIT_STD),
    # Oxford's training from Caffe, as torchvision keeps it (VGG16_Weights.IMAGENET1K_FEATURES).
    "caffe_features": ((0.48235, 0.45882, 0.40784), _UNIT_STD),
    # torchvision's own training (VGG16_Weights.IMAGENET1K_V1): what pytorch-NetVlad starts from.
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
}

_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0: a pool
#: Layers up to conv5_3.
TRUNK_LAYERS = 29
#: Those of them that have weights.
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
#: The smallest photo: one cell is left after five pools.
SMALLEST_SIDE = 32


def check_side(image_size: tuple[int, int]) -> None:
    """``ConfigError`` for an image (height, width) that is too small."""
    if min(image_size) < SMALLEST_SIDE:
        raise ConfigError(f"image_size {image_size[0]}x{image_size[1]}: both sides must be at least {SMALLEST_SIDE}")


def vgg_preprocessing(convention: VggConvention, image_size: tuple[int, int]) -> Preprocessing:
    """Photos as weights of this convention want them."""
    mean, std = VGG_INPUT[convention]
    return Preprocessing(image_size, mean, std)


def vgg_layers(width: float, count: int) -> list[nn.Module]:
    """The first ``count`` layers of VGG16 with its channels times ``width``."""
    layers: list[nn.Module] = []
    channels = 3
    for base in _WIDTHS:
        if base:
            layers += [nn.Conv2d(channels, round(base * width), 3, padding=1), nn.ReLU(inplace=True)]
            channels = round(base * width)
        else:
            layers.append(nn.MaxPool2d(2))
    return layers[:count]


def run_layers(layers: Sequence[nn.Module], images: Tensor, frozen: int, taps: Sequence[int] = ()) -> list[Tensor]:
    """Outputs of the layers ``taps`` (default: the last), in that order; the first ``frozen`` layers without gradients.

    A ReLU works in place, so the output of the convolution before it cannot be tapped.
    """
    taps = taps or (len(layers) - 1,)
    found: dict[int, Tensor] = {}
    values = images
    for index, layer in enumerate(layers[: max(taps) + 1]):
        with torch.set_grad_enabled(torch.is_grad_enabled() and index >= frozen):
            values = layer(values)
        if index in taps:
            found[index] = values
    return [found[index] for index in taps]


@dataclass(frozen=True)
class VggConfig:
    """``width`` multiplies the channels (1: VGG16; 0.125 trains on a CPU), ``train_from`` is the first trained block.

    ``convention``: whose weights and input; with random weights it says how photos are normalised.
    """

    width: float = 1.0
    train_from: TrainFrom = "conv5"
    convention: VggConvention = "matconvnet"
    family: Literal["vgg"] = "vgg"
    takes_any_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("train_from", self.train_from, get_args(TrainFrom)),
            ("convention", self.convention, get_args(VggConvention)),
        ):
            if value not in choices:
                raise ConfigError(f"{name}={value!r} is unknown; choose {', '.join(choices)}")
        if not 0 < self.width <= 1:
            raise ConfigError(f"width={self.width}: the share of VGG16's channels must be in (0, 1]")

    @property
    def channels(self) -> int:
        """Channels of the feature map."""
        return round(512 * self.width)

    def build(self) -> Vgg16:
        """The trunk with torch's initial weights."""
        return Vgg16(self)

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """``ConfigError`` for a size (height, width) that the trunk cannot take."""
        check_side(image_size)

    def describe(self) -> str:
        """For people."""
        return f"VGG16 to conv5_3, {self.channels} channels, trained from {self.train_from}, {self.convention} input"


class Vgg16(nn.Sequential):
    """``images [B, 3, H, W]`` to the signed map ``[B, C, H // 16, W // 16]`` of conv5_3.

    What lies before ``train_from`` never gets a gradient and runs under ``no_grad``, however the weights came about.
    """

    def __init__(self, config: VggConfig) -> None:
        super().__init__(*vgg_layers(config.width, TRUNK_LAYERS))
        self.config = config

    def forward(self, images: Tensor) -> Tensor:
        """The feature map; ``ConfigError`` when a side is below 32 px."""
        self.config.check_image_size((images.shape[-2], images.shape[-1]))
        return run_layers(list(self), images, FIRST_TRAINED[self.config.train_from])[0]

    def frozen_parameters(self) -> Iterator[nn.Parameter]:
        """Those that never get a gradient: of all layers before ``train_from``."""
        for layer in list(self)[: FIRST_TRAINED[self.config.train_from]]:
            yield from layer.parameters()
