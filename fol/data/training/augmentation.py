"""Changes of the photos of a batch that a camera, a season or a passer-by could have made.

Everything works on the batch, with kornia where it has the operation; only the photos that an operation is drawn for
are computed. All numbers are drawn from a generator of the call's seed, on the CPU, so they are the same on any device.
There is no mirroring: a mirrored street is another place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import kornia
import torch
from torch import Tensor, nn
from torch.nn import functional

from fol.data.training.augmentation_options import AugmentationOptions, Change

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
        angle = torch.deg2rad(turn * strength["rotation"])[:, 0]
        rotation = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], 1).view(-1, 2, 2)
        aspect = torch.tensor([width / height, 1.0])  # angles are those of the photo's pixels
        # The corners of the part that is seen, from -1 to 1: turned, moved within the photo, pulled.
        seen = (square * aspect * scale) @ rotation / aspect + (1 - scale) * (place[:, None, 1:] * 2 - 1)
        seen += 2 * scale * strength["perspective"][:, None] * corners.view(-1, 4, 2)
        homography = kornia.geometry.get_perspective_transform(square.expand(len(chosen), 4, 2), seen[chosen])
        index = chosen.to(photos.device)
        grid = _warped_grid(homography.to(photos), height, width)
        warped = functional.grid_sample(photos[index], grid, padding_mode="reflection", align_corners=False)
        photos[index] = warped.clamp_(0, 1)
        return photos


def _warped_grid(homography: Tensor, height: int, width: int) -> Tensor:
    """``[B, H, W, 2]``: where each pixel's centre comes from, both in coordinates from -1 to 1 of the whole photo."""
    y = (torch.arange(height).to(homography) * 2 + 1) / height - 1
    x = (torch.arange(width).to(homography) * 2 + 1) / width - 1
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    points = torch.stack([columns, rows, torch.ones_like(rows)])
    moved = homography @ points.flatten(1)
    return (moved[:, :2] / moved[:, 2:]).mT.reshape(-1, height, width, 2)


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
