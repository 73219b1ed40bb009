"""Changes of the photos of a batch that a camera, a season or a passer-by could have made.

Everything works on the batch, with kornia where it has the operation; only the photos that an operation is drawn for
are computed. All numbers are drawn from a generator of the call's seed, on the CPU, so they are the same on any device.
There is no mirroring: a mirrored street is another place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

import kornia
import torch
from torch import Tensor, nn
from torch.nn import functional

from fol.errors import ConfigError


@dataclass(frozen=True)
class Change:
    """How often (``probability``, per photo) and how much (``strength``: the bound, in the unit of the operation)."""

    probability: float = 0.0
    strength: float = 0.0


@dataclass(frozen=True)
class AugmentationOptions:
    """The operations in the order in which they are applied; all are off unless given.

    Units of ``strength``: see each line. A photo is changed by a value drawn evenly up to that bound.
    """

    #: Corners move by up to this share of the sides, each by itself.
    perspective: Change = Change()
    #: Up to so many degrees, either way.
    rotation: Change = Change()
    #: A part of the photo is seen, its sides down to 1 - strength of the photo's, anywhere in it.
    zoom: Change = Change()
    #: Resolution divided by up to this factor, then back: a poor camera. At least 1.
    low_resolution: Change = Change()
    #: Gaussian, sigma from half a pixel (less shows nothing) up to this many pixels.
    blur: Change = Change()
    #: Factor 1 - strength to 1 + strength on the light.
    brightness: Change = Change()
    #: Factor 1 - strength to 1 + strength on the differences to the photo's mean.
    contrast: Change = Change()
    #: Factor 1 - strength to 1 + strength on the differences to grey.
    saturation: Change = Change()
    #: Turn of the colour circle by up to this share of it, either way; at most 0.5.
    hue: Change = Change()
    #: Exponent between 1 / (1 + strength) and 1 + strength.
    gamma: Change = Change()
    #: Blend with grey, from 0 up to this share.
    grey: Change = Change()
    #: Gaussian, standard deviation up to this share of the full range.
    noise: Change = Change()
    #: Quality down to 100 - strength.
    jpeg: Change = Change()
    #: A rectangle of up to this share of the area is filled with one colour.
    erasing: Change = Change()

    def check(self) -> None:
        """``ConfigError`` naming the value that is out of range."""
        highest = {"perspective": 0.5, "rotation": 180.0, "zoom": 0.9, "hue": 0.5, "jpeg": 99.0, "erasing": 1.0}
        highest |= dict.fromkeys(("brightness", "contrast", "saturation", "grey", "noise"), 1.0)
        for field in fields(self):
            change: Change = getattr(self, field.name)
            if not 0 <= change.probability <= 1:
                raise ConfigError(
                    f"augmentation.{field.name}.probability={change.probability}: give a value from 0 to 1"
                )
            low = 1.0 if field.name == "low_resolution" and change.probability else 0.0
            high = highest.get(field.name, 16.0)
            if not low <= change.strength <= high:
                raise ConfigError(
                    f"augmentation.{field.name}.strength={change.strength}: give a value from {low:g} to {high:g}"
                )


#: Named options, also in ``conf/augmentation``.
AUGMENTATIONS: Mapping[str, AugmentationOptions] = MappingProxyType(
    {
        "none": AugmentationOptions(),
        "light": AugmentationOptions(
            zoom=Change(0.5, 0.2),
            brightness=Change(0.5, 0.2),
            contrast=Change(0.5, 0.2),
            saturation=Change(0.3, 0.3),
            grey=Change(0.1, 1.0),
        ),
        "strong": AugmentationOptions(
            perspective=Change(0.5, 0.12),
            rotation=Change(0.3, 6.0),
            zoom=Change(0.8, 0.4),
            low_resolution=Change(0.25, 4.0),
            blur=Change(0.15, 1.5),
            brightness=Change(0.6, 0.5),
            contrast=Change(0.6, 0.5),
            saturation=Change(0.4, 0.8),
            hue=Change(0.15, 0.08),
            gamma=Change(0.4, 0.8),
            grey=Change(0.25, 1.0),
            noise=Change(0.3, 0.06),
            jpeg=Change(0.08, 80.0),
            erasing=Change(0.4, 0.25),
        ),
    }
)
_GEOMETRIC = ("perspective", "rotation", "zoom")


class BatchAugmentation(nn.Module):
    """``[B, 3, H, W]`` float in [0, 1] to the same, decided by the seed of the call alone."""

    def __init__(self, options: AugmentationOptions) -> None:
        super().__init__()
        options.check()
        self.options = options

    def forward(self, photos: Tensor, seed: int) -> Tensor:
        """The photos changed; the given tensor stays as it is."""
        draws = _Draws(seed, len(photos))
        photos = self._geometry(photos.clone(), draws)
        for name, operation in _OPERATIONS.items():
            change: Change = getattr(self.options, name)
            chosen, amount = draws.chosen(change.probability), draws.uniform(6)
            if len(chosen):
                subset = photos[chosen.to(photos.device)]
                changed = operation(subset, change.strength, amount[chosen].to(photos), draws.generator)
                photos[chosen.to(photos.device)] = changed.clamp_(0, 1)
        return photos

    def _geometry(self, photos: Tensor, draws: _Draws) -> Tensor:
        """One homography for perspective, rotation and zoom together, so that photos are sampled once."""
        strength = {}
        for name in _GEOMETRIC:
            change: Change = getattr(self.options, name)
            strength[name] = torch.zeros(len(photos), 1)
            strength[name][draws.chosen(change.probability)] = change.strength
        corners, turn, place = draws.uniform(8) * 2 - 1, draws.uniform(1) * 2 - 1, draws.uniform(3)
        chosen = torch.cat(tuple(strength.values()), 1).any(1).nonzero()[:, 0]
        if not len(chosen):
            return photos
        height, width = photos.shape[-2:]
        square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        scale = (1 - strength["zoom"] * place[:, :1])[:, None]
        angle = (turn * strength["rotation"]).mul(math.pi / 180)[:, :, None]
        # The part that is seen, in coordinates from -1 to 1: moved within the photo, turned, its corners pulled.
        centre = (1 - scale) * (place[:, None, 1:] * 2 - 1)
        aspect = torch.tensor([width / height, 1.0])
        round_ = square * aspect * scale
        turned = torch.stack(
            [
                round_[..., 0] * angle.cos()[..., 0] - round_[..., 1] * angle.sin()[..., 0],
                round_[..., 0] * angle.sin()[..., 0] + round_[..., 1] * angle.cos()[..., 0],
            ],
            -1,
        )
        seen = turned / aspect + centre + 2 * scale * strength["perspective"][:, None] * corners.view(-1, 4, 2)
        size = torch.tensor([width - 1.0, height - 1.0])
        source, target = (seen + 1) / 2 * size, ((square + 1) / 2 * size).expand(len(photos), 4, 2)
        homography = kornia.geometry.get_perspective_transform(source[chosen], target[chosen])
        index = chosen.to(photos.device)
        photos[index] = kornia.geometry.warp_perspective(
            photos[index], homography.to(photos), (height, width), padding_mode="reflection", align_corners=True
        ).clamp_(0, 1)
        return photos


class _Draws:
    """Random numbers of one call, drawn in a fixed order; also those of photos that are not chosen."""

    def __init__(self, seed: int, count: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.count = count

    def chosen(self, probability: float) -> Tensor:
        """Indices of the photos that an operation is drawn for."""
        return (torch.rand(self.count, generator=self.generator) < probability).nonzero()[:, 0]

    def uniform(self, values: int) -> Tensor:
        """``[B, values]`` in [0, 1)."""
        return torch.rand(self.count, values, generator=self.generator)


_Operation = Callable[[Tensor, float, Tensor, torch.Generator], Tensor]


def _factor(strength: float, amount: Tensor) -> Tensor:
    return 1 + strength * (2 * amount[:, 0] - 1)


def _low_resolution(photos: Tensor, strength: float, amount: Tensor, generator: torch.Generator) -> Tensor:
    """In a few steps of resolution, so that photos of one step are resized together."""
    height, width = photos.shape[-2:]
    steps = (amount[:, 0] * 8).floor()
    changed = photos.clone()
    for step in steps.unique().tolist():
        factor = strength ** ((step + 1) / 8)
        small = (max(1, round(height / factor)), max(1, round(width / factor)))
        mine = steps == step
        shrunk = functional.interpolate(photos[mine], small, mode="bilinear", antialias=True)
        changed[mine] = functional.interpolate(shrunk, (height, width), mode="bilinear")
    return changed


def _blur(photos: Tensor, strength: float, amount: Tensor, generator: torch.Generator) -> Tensor:
    side = 2 * math.ceil(2.5 * strength) + 1
    low = min(0.5, strength)
    sigma = (low + (strength - low) * amount[:, :1]).clamp_min(0.1).expand(-1, 2)
    blurred: Tensor = kornia.filters.gaussian_blur2d(photos, (side, side), sigma)
    return blurred


def _grey(photos: Tensor, strength: float, amount: Tensor, generator: torch.Generator) -> Tensor:
    return torch.lerp(photos, kornia.color.rgb_to_grayscale(photos), strength * amount[:, :1, None, None])


def _noise(photos: Tensor, strength: float, amount: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(photos.shape, generator=generator).to(photos)
    return photos + strength * amount[:, :1, None, None] * noise


def _gamma(photos: Tensor, strength: float, amount: Tensor, generator: torch.Generator) -> Tensor:
    changed: Tensor = kornia.enhance.adjust_gamma(photos, (1 + strength) ** (2 * amount[:, 0] - 1))
    return changed


def _jpeg(photos: Tensor, strength: float, amount: Tensor, generator: torch.Generator) -> Tensor:
    changed: Tensor = kornia.enhance.jpeg_codec_differentiable(photos, 100 - strength * amount[:, 0])
    return changed


def _erasing(photos: Tensor, strength: float, amount: Tensor, generator: torch.Generator) -> Tensor:
    height, width = photos.shape[-2:]
    area, shape = strength * amount[:, 0], 4 ** (amount[:, 1] - 0.5)  # shape: height to width, 1/2 to 2
    sides = torch.stack([(area * shape).sqrt(), (area / shape).sqrt()], 1).clamp_max(1)
    start = amount[:, 2:4] * (1 - sides)
    stop = start + sides
    y = (torch.arange(height, device=photos.device) + 0.5) / height
    x = (torch.arange(width, device=photos.device) + 0.5) / width
    rows = (y >= start[:, :1]) & (y < stop[:, :1])
    columns = (x >= start[:, 1:]) & (x < stop[:, 1:])
    colour = torch.rand(len(photos), 3, generator=generator).to(photos)
    return torch.where((rows[:, :, None] & columns[:, None])[:, None], colour[:, :, None, None], photos)


def _kornia(function: Callable[[Tensor, Tensor], Tensor]) -> _Operation:
    """An operation with a factor around 1 per photo."""
    return lambda photos, strength, amount, generator: function(photos, _factor(strength, amount))


_OPERATIONS: Mapping[str, _Operation] = MappingProxyType(
    {
        "low_resolution": _low_resolution,
        "blur": _blur,
        "brightness": _kornia(kornia.enhance.adjust_brightness_accumulative),
        "contrast": _kornia(kornia.enhance.adjust_contrast_with_mean_subtraction),
        "saturation": _kornia(kornia.enhance.adjust_saturation_with_gray_subtraction),
        "hue": lambda photos, strength, amount, generator: kornia.enhance.adjust_hue(
            photos, 2 * math.pi * (_factor(strength, amount) - 1)
        ),
        "gamma": _gamma,
        "grey": _grey,
        "noise": _noise,
        "jpeg": _jpeg,
        "erasing": _erasing,
    }
)
