"""Local descriptors as 8-bit integers around their mean, and what turns them back into cosines.

Local features often share a large common vector; rounding to 8 bits (or bfloat16) then drowns the differences that
matching lives on. So the mean is taken off first and enters the similarity again exactly:

    q . c = (q - m) . (c - m) + q . m + c . m - m . m

The first term is a product of integer codes, ``codes_q . codes_c / scale^2``; ``q . m`` and ``c . m`` are one float per
token, kept beside the codes as ``bias``. A rotation spreads each descriptor's length over all components, which keeps
the largest component, and with it the rounding step, small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from fol.types import LocalFeatures, LocalFeaturesBatch

MAX_CODE = 127
# |q - m| is at most 2 for unit rows, so the product of two codes stays below 4 scale^2 < 2^19: a kernel can keep it
# together with a token number of 12 bits in one 32-bit integer.
MAX_SCALE = 360.0


@dataclass(frozen=True, eq=False)
class Quantiser:
    """``codes = round(scale * rotation (x - mean))``, clipped to [-127, 127].

    ``mean [D]`` float32; ``scale`` codes per unit of length, at most ``MAX_SCALE``; ``rotation [D, D]`` float32
    orthogonal, or None for none. Codes are comparable only when they come from the same object.
    """

    mean: Tensor
    scale: float
    rotation: Tensor | None = None

    @staticmethod
    def fit(descriptors: Tensor, rotation: Tensor | None = None) -> Quantiser:
        """The quantiser of ``descriptors [L, D]`` (L >= 1): their mean, and the largest scale that clips none."""
        unscaled = Quantiser(descriptors.detach().float().mean(dim=0), 1.0, rotation)
        largest = float(unscaled.rotated(descriptors).abs().amax())
        return replace(unscaled, scale=min(MAX_SCALE, MAX_CODE / largest) if largest > 0 else MAX_SCALE)

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return int(self.mean.shape[0])

    @cached_property
    def squared_mean(self) -> float:
        """``m . m``."""
        return float(self.mean.double() @ self.mean.double())

    def encode(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        """Codes ``[L, D]`` int8 and bias ``[L]`` float32 (``x . mean``) of descriptors ``[L, D]``."""
        codes = self.rotated(descriptors).mul_(self.scale).round_().clamp_(-MAX_CODE, MAX_CODE)
        return codes.to(torch.int8), self.bias(descriptors)

    def rotated(self, descriptors: Tensor, scale: float = 1.0) -> Tensor:
        """``rotation (scale (x - mean))`` of descriptors ``[L, D]``: float32 ``[L, D]``."""
        centred = (descriptors.detach().float() - self.mean).mul_(scale)
        return centred if self.rotation is None else centred @ self.rotation.T

    def bias(self, descriptors: Tensor) -> Tensor:
        """``x . mean`` of descriptors ``[L, D]``: float32 ``[L]``."""
        return descriptors.detach().float() @ self.mean

    def decode(self, codes: Tensor) -> Tensor:
        """Descriptors ``[L, D]`` float32 that the codes stand for; of unit length up to rounding."""
        centred = codes.float() / self.scale
        return (centred if self.rotation is None else centred @ self.rotation) + self.mean

    def to(self, device: torch.device | str) -> Quantiser:
        """The quantiser on ``device``: the same object for the same device, as codes go by it."""
        target = torch.empty(0, device=device).device  # "cuda" is "cuda:0"
        if target == self.mean.device:
            return self
        if target not in self._copies:
            rotation = None if self.rotation is None else self.rotation.to(target)
            self._copies[target] = Quantiser(self.mean.to(target), self.scale, rotation)
        return self._copies[target]

    @cached_property
    def _copies(self) -> dict[torch.device, Quantiser]:
        return {}


def random_rotation(dim: int, seed: int) -> Tensor:
    """A random orthogonal matrix ``[D, D]`` float32, the same for the same seed."""
    normal = torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    factor, triangle = torch.linalg.qr(normal)
    uniform: Tensor = factor * triangle.diagonal().sign()  # QR alone prefers some rotations to others
    return uniform.float()


@dataclass(frozen=True, eq=False)
class QuantisedLocalFeatures(Sequence[LocalFeatures]):
    """Local features of N images as codes, packed end to end; an item is decoded when it is looked at.

    ``codes [sum(lengths), D]`` int8 and ``bias [sum(lengths)]`` float32 as ``Quantiser.encode`` gives them;
    ``positions [sum(lengths), 2]``, ``weights [sum(lengths)]``, ``lengths`` N integers. No row is padding.
    """

    codes: Tensor
    bias: Tensor
    positions: Tensor
    weights: Tensor
    lengths: tuple[int, ...]
    quantiser: Quantiser

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> LocalFeatures:  # type: ignore[override]
        """Decoded features of image ``index``."""
        index = range(len(self.lengths))[index]
        start = sum(self.lengths[:index])
        return self._decode(slice(start, start + self.lengths[index]))

    def __iter__(self) -> Iterator[LocalFeatures]:
        start = 0
        for length in self.lengths:
            yield self._decode(slice(start, start + length))
            start += length

    def _decode(self, rows: slice) -> LocalFeatures:
        return LocalFeatures(self.quantiser.decode(self.codes[rows]), self.positions[rows], self.weights[rows])

    def decode(self) -> LocalFeaturesBatch:
        """All images in float32."""
        return LocalFeaturesBatch(self.quantiser.decode(self.codes), self.positions, self.weights, self.lengths)

    def to(self, device: torch.device | str) -> QuantisedLocalFeatures:
        """Copy to ``device``."""
        return QuantisedLocalFeatures(
            self.codes.to(device),
            self.bias.to(device),
            self.positions.to(device),
            self.weights.to(device),
            self.lengths,
            self.quantiser.to(device),
        )

    @staticmethod
    def encode(features: LocalFeaturesBatch, quantiser: Quantiser) -> QuantisedLocalFeatures:
        """Quantise a packed batch."""
        codes, bias = quantiser.encode(features.descriptors)
        return QuantisedLocalFeatures(codes, bias, features.positions, features.weights, features.lengths, quantiser)
