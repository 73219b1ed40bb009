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

    def resize(self, image: Image.Image) -> Tensor:
        """The photo as ``[3, H, W]`` float32 in [0, 1], not normalised yet: what augmentation works on."""
        height, width = self.image_size
        image = image.convert("RGB")
        if self.antialias:
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)
        if not self.antialias and pixels.shape[1:] != (height, width):
            # Normalising is affine per channel, so resizing before it gives the same numbers.
            pixels = functional.interpolate(
                pixels[None], (height, width), mode="bilinear", align_corners=False, antialias=False
            )[0]
        return pixels

    def normalise(self, pixels: Tensor) -> Tensor:
        """``[..., 3, H, W]`` in [0, 1] to what the network sees; the same at training and at test time."""
        mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (self.mean, self.std))
        return (pixels - mean) / std
