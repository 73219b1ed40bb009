"""State dicts as the weakly supervised systems publish theirs: key lists from their papers' code, values by formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import formula
import numpy as np
import torch
from torch import Tensor

#: (index, channels in, channels out) of VGG16's convolutions for a width of 1.
CONVOLUTIONS = (
    (0, 3, 64),
    (2, 64, 64),
    (5, 64, 128),
    (7, 128, 128),
    (10, 128, 256),
    (12, 256, 256),
    (14, 256, 256),
    (17, 256, 512),
    (19, 512, 512),
    (21, 512, 512),
    (24, 512, 512),
    (26, 512, 512),
    (28, 512, 512),
)


def weight(key: str, shape: tuple[int, ...]) -> Tensor:
    """The value that the reference numbers were computed with."""
    noise = formula.normal(key, shape)
    if key.endswith("bias"):
        noise = 0.05 * noise
    elif key.endswith("centroids"):
        noise = 0.7 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    elif key.endswith("net_vlad.conv.weight"):
        noise = 8 * noise / shape[1] ** 0.5
    else:
        noise = 1.4 * noise / np.prod(shape[1:]) ** 0.5
    return torch.from_numpy(noise.astype(np.float32))


def trunk_shapes(divisor: int, below: int = 99) -> Iterator[tuple[str, tuple[int, ...]]]:
    """``0.weight`` ... of the layers before ``below``, with the channels divided."""
    for index, before, after in CONVOLUTIONS:
        if index < below:
            inputs = before if before == 3 else before // divisor
            yield f"{index}.weight", (after // divisor, inputs, 3, 3)
            yield f"{index}.bias", (after // divisor,)


def openibl(divisor: int = 1, clusters: int = 64) -> dict[str, Tensor]:
    """The 28 tensors of NetVLAD, SARE and SFRS, without ``module.``."""
    dim = 512 // divisor
    shapes = {f"base_model.base.{name}": shape for name, shape in trunk_shapes(divisor)}
    shapes |= {"net_vlad.centroids": (clusters, dim), "net_vlad.conv.weight": (clusters, dim, 1, 1)}
    return {key: weight(key, shape) for key, shape in shapes.items()}


def densernet(divisor: int = 1, dims: Mapping[str, int] | None = None, clusters: int = 64) -> dict[str, Tensor]:
    """The 68 tensors of DenserNet, the trunk three times over."""
    dims = dims or {"1": 64, "m": 64, "h": 64}
    state: dict[str, Tensor] = {}
    for branch, layers, channels in (("1", 17, 256), ("m", 24, 512), ("h", 31, 512)):
        for name, shape in trunk_shapes(divisor, below=layers):
            state[f"base_model.conv_{branch}.0.{name}"] = weight(f"vgg.{name}", shape)
        prefix = f"base_model.conv_{branch}.2."
        state[prefix + "weight"] = weight(prefix + "weight", (dims[branch], channels // divisor, 1, 1))
        state[prefix + "bias"] = weight(prefix + "bias", (dims[branch],))
    total = sum(dims.values())
    for key, shape in (("net_vlad.centroids", (clusters, total)), ("net_vlad.conv.weight", (clusters, total, 1, 1))):
        state[key] = weight(key, shape)
    return state
