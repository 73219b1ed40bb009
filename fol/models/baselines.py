"""Baselines that need no training: one descriptor per photo computed by a formula, no local features.

``hog``: histograms of oriented gradients of the grey photo (Dalal and Triggs, CVPR 2005; scikit-image's). ``grey``: the
tiny grey image itself (Torralba, Fergus and Freeman, PAMI 2008). A learnt model must beat them to be worth its weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fol.errors import ConfigError
from fol.types import Features, LocalFeatures


@dataclass(frozen=True)
class HogDescriptor:
    """HOG in cells of ``cell`` pixels, blocks of ``block`` cells normalised by L2-Hys, signless ``orientations``."""

    orientations: int = 9
    cell: int = 16
    block: int = 2

    def __call__(self, grey: NDArray[np.float32]) -> NDArray[np.float32]:
        """The descriptor ``[D]`` of a grey image ``[H, W]``, 0 to 255."""
        from skimage.feature import hog  # not needed, and not always there, for anything else

        values: NDArray[np.float32] = hog(
            grey,
            orientations=self.orientations,
            pixels_per_cell=(self.cell, self.cell),
            cells_per_block=(self.block, self.block),
            block_norm="L2-Hys",
        )
        return values

    @staticmethod
    def check() -> None:
        """``ConfigError`` where scikit-image is missing."""
        try:
            import skimage.feature  # noqa: F401
        except ImportError as error:
            raise ConfigError("model=hog needs scikit-image: install it with pip install 'fol[baselines]'") from error


@dataclass(frozen=True)
class TinyImageDescriptor:
    """The pixels less their mean: the cosine of two is their images' correlation."""

    def __call__(self, grey: NDArray[np.float32]) -> NDArray[np.float32]:
        """The descriptor ``[H * W]`` of a grey image ``[H, W]``."""
        values: NDArray[np.float32] = (grey - grey.mean()).ravel()
        return values

    @staticmethod
    def check() -> None:
        """Nothing is needed."""


class Baseline:
    """A formula as a single-stage model; implements ``fol.types.Extractor``, on the CPU.

    Photos are resized to ``image_size`` (height, width) by area: every pixel is the mean of what it covers. A photo
    that has no descriptor (one colour all over) gets the one with equal values.
    """

    preset = "none"
    local_dim = 0
    max_tokens = 0
    device = torch.device("cpu")

    def __init__(
        self, name: str, summary: str, image_size: tuple[int, int], formula: HogDescriptor | TinyImageDescriptor
    ) -> None:
        self.name = name
        self.summary = summary
        self.image_size = image_size
        self.formula = formula

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The arguments of ``load_extractor`` that give this baseline again."""
        return {"name_or_path": self.name}

    @cached_property
    def descriptor_dim(self) -> int:
        """Length of the descriptor."""
        return len(self.formula(np.zeros(self.image_size, np.float32)))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the formula and its numbers."""
        content = [type(self.formula).__name__, asdict(self.formula), self.image_size]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def transform(self, image: Image.Image) -> Tensor:
        """RGB photo to ``[3, H, W]`` float32 in [0, 1]: three times the grey image in steps of 1 / 255."""
        grey = np.asarray(image.convert("L"), np.float32)
        height, width = self.image_size
        resized = area_weights(grey.shape[0], height) @ grey @ area_weights(grey.shape[1], width).T
        return torch.from_numpy(resized.round() / 255).expand(3, height, width)

    def prepare(self, image: Image.Image, *, keep_size: bool = False) -> Tensor:
        """As ``transform``: descriptors are comparable at one size only, whatever ``keep_size`` asks for."""
        return self.transform(image)

    def extract(self, images: Tensor, original_sizes: Sequence[tuple[int, int]] | None = None) -> list[Features]:
        """Descriptors of ``images [B, 3, H, W]`` in [0, 1]; there are no positions for ``original_sizes`` to scale."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise ConfigError(f"images have shape {tuple(images.shape)}; extract() takes [B, 3, H, W]")
        grey = (images.cpu().float().mean(dim=1) * 255).round().numpy()  # HOG sees noise where nothing else is
        return [Features(_unit(self.formula(photo)), LocalFeatures.empty()) for photo in grey]


BASELINES: Mapping[str, Callable[[], Baseline]] = {
    "hog": lambda: Baseline(
        "hog", "histograms of oriented gradients: a baseline without training", (128, 256), HogDescriptor()
    ),
    "grey": lambda: Baseline(
        "grey", "the tiny grey image: a baseline without training", (32, 32), TinyImageDescriptor()
    ),
}


def load_baseline(name: str) -> Baseline:
    """A baseline by its name in ``BASELINES``; ``ConfigError`` when a package that it needs is missing."""
    baseline = BASELINES[name]()
    baseline.formula.check()
    return baseline


def area_weights(before: int, after: int) -> NDArray[np.float32]:
    """``[after, before]``: the share that each of ``before`` pixels in a row has in each of ``after``; rows sum to 1.

    Exact for any two sizes, also when enlarging (OpenCV calls this resize ``INTER_AREA``).
    """
    edges = np.arange(after + 1) * (before / after)
    starts = np.arange(before)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights: NDArray[np.float32] = (np.clip(overlap, 0, None) * (after / before)).astype(np.float32)
    return weights


def _unit(values: NDArray[np.float32]) -> Tensor:
    descriptor = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    if float(descriptor.norm()) < 1e-6:
        descriptor = torch.ones_like(descriptor)
    return functional.normalize(descriptor, dim=0)
