"""Published weight files of NetVLAD, SARE, SFRS, DenserNet, SALAD, MegaLoc and FoL: their names to ours.

Nothing is dropped: a name that no layout knows stays as it is, and strict loading reports it. Which photos the weights
want is part of the layout, as a file does not say.

Layouts: OpenIBL (yxgeee/OpenIBL; also its hub file with ``pca_layer``), pytorch-NetVlad (Nanne/pytorch-NetVlad; also on
several GPUs), Patch-NetVLAD (QVPR/Patch-NetVLAD, with ``WPCA``), the deep visual geo-localization benchmark
(gmberton), DenserNet (goodproj13/DenserNet), MatConvNet as hloc reads it (cvg/Hierarchical-Localization).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from torch import Tensor

from fol.errors import CheckpointError
from fol.models.aggregation import NetVladConfig
from fol.models.architecture import Architecture
from fol.models.densernet import DenserNetConfig
from fol.models.densernet_weights import branches_of_network, one_trunk
from fol.models.preprocessing import Preprocessing
from fol.models.vgg import CONVOLUTIONS, VGG_INPUT, VggConfig, VggConvention, vgg_preprocessing
from fol.models.whitening import cluster_major

#: Input of all published VGG16 models at test time (height, width).
_VGG_IMAGE = (480, 640)


@dataclass(frozen=True)
class Layout:
    """How files of one origin name their tensors: those with ``mark`` among their names."""

    mark: str
    prefixes: Mapping[str, str]
    convention: VggConvention


_LAYOUTS = (
    Layout(
        "net_vlad.centroids",
        {"base_model.base.": "backbone.", "net_vlad.": "aggregation.", "pca_layer.": "whitening."},
        "matconvnet",
    ),
    Layout(
        "pool.module.centroids",
        {"encoder.module.": "backbone.", "pool.module.": "aggregation.", "WPCA.0.": "whitening."},
        "imagenet",
    ),
    Layout("pool.centroids", {"encoder.": "backbone.", "pool.": "aggregation.", "WPCA.0.": "whitening."}, "imagenet"),
    Layout("aggregation.centroids", {}, "imagenet"),  # of the benchmark: our names
)
#: FoL and SALAD; MegaLoc is SALAD with a learnt linear layer behind it, which is what a whitening does.
_TRANSFORMER = {
    "backbone.model.": "backbone.",
    "aggregator.agg.": "aggregation.",
    "aggregator.linear.": "whitening.",
    "aggregator.": "aggregation.",
    "upconv.": "local_head.upconv1.",
    "upconv2.": "local_head.upconv2.",
}


def our_names(path: Path, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Preprocessing | None]:
    """Tensors under our names, and the input that the layout means (None for FoL and SALAD: their cards say).

    Only a leading ``module.`` (DataParallel) is dropped.
    """
    named: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        _put(path, named, name.removeprefix("module."), tensor)
    for layout in _LAYOUTS:
        if layout.mark in named:
            if any(name.startswith("base_model.conv_") for name in named):
                branches, named = branches_of_network(path, named)
                named |= {f"backbone.{name}": tensor for name, tensor in one_trunk(branches).items()}
            result: dict[str, Tensor] = {}
            for name, tensor in named.items():
                _put(path, result, _renamed(name, layout.prefixes), tensor)
            if (weight := result.get("whitening.weight")) is not None:
                result["whitening.weight"] = weight.flatten(1)
            return result, vgg_preprocessing(layout.convention, _VGG_IMAGE)
    result = {}
    for name, tensor in named.items():
        _put(path, result, our_dinov2_name(_renamed(name, _TRANSFORMER)), tensor)
    return result, None


def our_dinov2_name(published: str) -> str:
    """Our name for a tensor of DINOv2: the SwiGLU layers of ViT-g alone are called otherwise."""
    return published.replace(".mlp.w12.", ".mlp.fc1.").replace(".mlp.w3.", ".mlp.fc2.")


def _put(path: Path, tensors: dict[str, Tensor], name: str, tensor: Tensor) -> None:
    if name in tensors:
        raise CheckpointError(f"{path}: two tensors mean {name!r}")
    tensors[name] = tensor


def _renamed(name: str, prefixes: Mapping[str, str]) -> str:
    for theirs, ours in prefixes.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def global_architecture(path: Path, tensors: Mapping[str, Tensor], inputs: Preprocessing | None) -> Architecture:
    """Sizes of a network with NetVLAD, read off its tensors under our names; the convention is that of ``inputs``."""
    convention: VggConvention = "matconvnet" if inputs is None else _convention(inputs)

    def shape(name: str) -> tuple[int, ...]:
        if name not in tensors:
            raise CheckpointError(f"{path}: no tensor {name!r}: not NetVLAD on VGG16 or DenserNet")
        return tuple(tensors[name].shape)

    backbone: VggConfig | DenserNetConfig
    if "backbone.trunk.0.weight" in tensors:
        low, middle, high = (shape(f"backbone.reduce.{tap}.weight")[0] for tap in ("low", "middle", "high"))
        width = shape("backbone.trunk.0.weight")[0] / 64
        backbone = DenserNetConfig(low, middle, high, width=width, convention=convention)
    else:
        check_is_vgg(path, shape("backbone.0.weight"))
        backbone = VggConfig(width=shape("backbone.0.weight")[0] / 64, convention=convention)
    return Architecture(
        "global",
        backbone,
        NetVladConfig(
            backbone.channels,
            shape("aggregation.centroids")[0],
            assignment="v2" if "aggregation.conv.bias" in tensors else "v1",
        ),
        whitening=shape("whitening.weight")[0] if any(n.startswith("whitening.") for n in tensors) else None,
    )


def _convention(inputs: Preprocessing) -> VggConvention:
    """That of the nearest mean and deviation: of a MATLAB file's mean image they are near, but not equal."""

    def distance(convention: VggConvention) -> float:
        mean, std = VGG_INPUT[convention]
        return sum(abs(a - b) for a, b in zip((*mean, *std), (*inputs.mean, *inputs.std), strict=True))

    return min(VGG_INPUT, key=distance)


def check_is_vgg(path: Path, first: Sequence[int]) -> None:
    """``CheckpointError`` when a first convolution's weights of shape ``first`` are another trunk's than VGG16's."""
    if len(first) == 4 and first[-1] != 3:
        trunk = {11: "AlexNet", 7: "ResNet"}.get(first[-1], "a trunk other than VGG16")
        raise CheckpointError(
            f"{path}: {trunk} is not supported (its first convolution is {first[-2]}x{first[-1]}): take the project's "
            "VGG16 file"
        )


#: Layers of a MatConvNet file: after the trunk come a norm, NetVLAD, two norms, the whitening.
_MAT_VLAD, _MAT_WHITENING = 30, 33


def read_matconvnet(path: Path) -> tuple[dict[str, Tensor], Preprocessing]:
    """A network that MATLAB saved as plain structs (``net.layers``), and the input that its mean image means.

    Convolutions are ``[h, w, in, out]`` there, centres have the opposite sign, and the descriptor is d-major, which
    the whitening is reordered for. ``CheckpointError`` when a layer with weights is missing, or is none of these.
    """
    try:
        net = loadmat(path, struct_as_record=False, squeeze_me=True)["net"]
        layers = [_weights(layer) for layer in np.atleast_1d(net.layers)]
        image = np.asarray(net.meta.normalization.averageImage, np.float64)
    except (MatReadError, KeyError, AttributeError, NotImplementedError, ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{path}: not a MatConvNet network of plain structs ({reason})") from error
    known = {*CONVOLUTIONS, _MAT_VLAD, _MAT_WHITENING}
    for index, weights in enumerate(layers):
        if weights and index not in known:
            raise CheckpointError(f"{path}: layer {index} has weights that NetVLAD on VGG16 has no place for")
    for index in (*CONVOLUTIONS, _MAT_VLAD):
        if index >= len(layers) or len(layers[index]) != 2:
            raise CheckpointError(f"{path}: does not fit the architecture: missing the weights of layer {index}")
    tensors: dict[str, Tensor] = {}
    for index in CONVOLUTIONS:
        kernel, bias = layers[index]
        if kernel.ndim != 4:
            raise CheckpointError(f"{path}: the weights of layer {index} are {list(kernel.shape)}, no convolution")
        tensors[f"backbone.{index}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
        tensors[f"backbone.{index}.bias"] = bias
    assignment, negative_centres = layers[_MAT_VLAD]
    tensors["aggregation.conv.weight"] = assignment.T.contiguous()[:, :, None, None]
    tensors["aggregation.centroids"] = -negative_centres.T.contiguous()
    if len(layers) > _MAT_WHITENING and layers[_MAT_WHITENING]:
        weight, bias = layers[_MAT_WHITENING]
        tensors["whitening.weight"] = cluster_major(weight.T, assignment.shape[1])
        tensors["whitening.bias"] = bias
    red, green, blue = (float(value) / 255 for value in image.reshape(-1, 3)[0])
    return tensors, Preprocessing(_VGG_IMAGE, (red, green, blue), vgg_preprocessing("matconvnet", _VGG_IMAGE).std)


def _weights(layer: Any) -> list[Tensor]:
    """The arrays of a layer in float32, without dimensions of one; none for a layer that has no weights."""
    weights = getattr(layer, "weights", None)
    if weights is None or not np.size(weights):
        return []
    return [torch.from_numpy(np.array(array, np.float32)) for array in weights]
