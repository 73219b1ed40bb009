"""From an RGB photo to the network's input. It travels with the weights, in the model card."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """Resize to ``image_size`` (height, width), scale to [0, 1], subtract ``mean``, divide by ``std``.

    ``antialias`` False is what the published FoL evaluation does (official: datasets.py:18-21,178-182 under
    torchvision 0.15: a bilinear resize of the tensor without low-pass); True filters before sampling.
    """

    image_size: tuple[int, int]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    antialias: bool = True

    def __call__(self, image: Image.Image) -> Tensor:
        """The photo as ``[3, H, W]`` float32."""
        return self.normalise(self.resize(image))

    def prepare(self, image: Image.Image) -> Tensor:
        """The photo ``[3, H, W]`` in the fewest bytes, for ``finish``: uint8 pixels, or without antialias the result.

        Filtering gives 8 bits anyway; without it the resized pixels are fractions.
        """
        return self._eight_bit(image) if self.antialias else self(image)

    def finish(self, prepared: Tensor) -> Tensor:
        """What ``prepare`` gave, or photos ``[B, 3, H, W]`` of that, as this object's call gives it: bit for bit."""
        return self.normalise(_to_unit(prepared)) if prepared.dtype == torch.uint8 else prepared

    def resize(self, image: Image.Image) -> Tensor:
        """The photo as ``[3, H, W]`` float32 in [0, 1], not normalised yet: what augmentation works on."""
        pixels = _to_unit(self._eight_bit(image))
        if pixels.shape[1:] != self.image_size:
            # Normalising is affine per channel, so resizing before it gives the same numbers.
            pixels = functional.interpolate(
                pixels[None], self.image_size, mode="bilinear", align_corners=False, antialias=False
            )[0]
        return pixels

    def _eight_bit(self, image: Image.Image) -> Tensor:
        """``[3, H, W]`` uint8, resized already with antialias, else in the size of the photo."""
        if image.mode != "RGB":  # the conversion would copy what is RGB already
            image = image.convert("RGB")
        if self.antialias:
            height, width = self.image_size
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    def normalise(self, pixels: Tensor) -> Tensor:
        """``[..., 3, H, W]`` in [0, 1] to what the network sees; the same at training and at test time."""
        mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (self.mean, self.std))
        return (pixels - mean) / std


def _to_unit(pixels: Tensor) -> Tensor:
    return pixels.float().div(255)
