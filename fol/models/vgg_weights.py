"""Published weights of VGG16, from which the training of NetVLAD and its kin starts, and of DenserNet's branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from fol.errors import ConfigError
from fol.models.cards import WeightSource
from fol.models.checkpoints import Checkpoint, load_strict, read_checkpoint
from fol.models.densernet import DenserNet
from fol.models.densernet_weights import branches_of_files, is_branch, one_trunk
from fol.models.published import check_is_vgg
from fol.models.vgg import CONVOLUTIONS, Vgg16, VggConvention
from fol.models.weights import find_weights

_URL = "https://download.pytorch.org/models/"
_FILES: dict[VggConvention, str] = {
    "caffe_features": "vgg16_features-amdegroot-88682ab5.pth",
    "imagenet": "vgg16-397923af.pth",
}


def load_vgg(trunk: Vgg16 | DenserNet, weights: str | Path | Sequence[str | Path] = "auto") -> None:
    """Copy ImageNet weights into ``trunk``: from a file, or ``auto`` for torchvision's of the trunk's convention.

    A file names its tensors ``0.weight`` (OpenIBL's ``vd16_offtheshelf_conv5_3_max.pth``) or ``features.0.weight``
    (torchvision, whose classifier is left aside), or it is a whole network of this library or a published one, of which
    the trunk alone is taken. It must be of the convention in the configuration: nothing in a trunk's file tells which
    input it wants.

    A DenserNet also takes the files that stage 1 of its code wrote for the branches, trunk and 1x1 convolutions: one
    for each tap, in any order, as a list or separated by commas.

    Raises ``CheckpointError`` for a file that does not fit tensor by tensor, ``ConfigError`` when nothing can be
    fetched for the convention or a branch is missing, ``DownloadError`` when fetching fails.
    """
    if isinstance(weights, str) and weights == "auto":
        weights = _fetched(trunk)
    checkpoints = [read_checkpoint(path) for path in _paths(weights)]
    if isinstance(trunk, DenserNet) and any(is_branch(checkpoint.tensors) for checkpoint in checkpoints):
        branches = branches_of_files([(c.path, c.tensors) for c in checkpoints], trunk.config.taps)
        load_strict(trunk, Checkpoint(Path(", ".join(str(c.path) for c in checkpoints)), one_trunk(branches)))
        return
    if len(checkpoints) != 1:
        raise ConfigError(
            f"backbone_weights: {len(checkpoints)} files; only the branches of a DenserNet are given as several"
        )
    (checkpoint,) = checkpoints
    tensors = _trunk(checkpoint.tensors)
    if "0.weight" in tensors:
        check_is_vgg(checkpoint.path, tensors["0.weight"].shape)
    if isinstance(trunk, DenserNet):
        beyond = {
            f"{index}.{kind}" for index in CONVOLUTIONS if index >= len(trunk.trunk) for kind in ("weight", "bias")
        }
        tensors = {name: tensor for name, tensor in tensors.items() if name not in beyond}
    load_strict(trunk.trunk if isinstance(trunk, DenserNet) else trunk, Checkpoint(checkpoint.path, tensors))


def _fetched(trunk: Vgg16 | DenserNet) -> Path:
    """torchvision's file of the trunk's convention."""
    convention = trunk.config.convention
    if convention in _FILES:
        file = _FILES[convention]
        return find_weights(WeightSource(file, url=_URL + file))
    if isinstance(trunk, DenserNet):
        file = _FILES["imagenet"]
        raise ConfigError(
            "backbone_weights=auto is not for DenserNet: its authors took torchvision's VGG16, though with pixels of "
            f"0 to 255 less the mean; download {_URL}{file} and give backbone_weights={file}"
        )
    raise ConfigError(
        "MatConvNet's weights of VGG16 have no public address: give backbone_weights=FILE "
        "(OpenIBL's vd16_offtheshelf_conv5_3_max.pth), or train a model of convention caffe_features, such as "
        "netvlad_vgg16_caffe_untrained"
    )


def _paths(weights: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files meant; a name with a comma that exists is one file."""
    if isinstance(weights, str) and not Path(weights).exists():
        return [Path(name.strip()) for name in weights.split(",")]
    return [Path(weights)] if isinstance(weights, str | Path) else [Path(path) for path in weights]


def _trunk(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``0.weight`` ... ``28.bias``: of a whole network its trunk alone, of torchvision's all but the classifier."""
    for prefix in ("backbone.trunk.", "backbone."):
        if found := {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}:
            return found
    return {name.removeprefix("features."): t for name, t in tensors.items() if not name.startswith("classifier.")}
