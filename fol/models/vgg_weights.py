"""Published ImageNet weights of VGG16, from which the training of NetVLAD and its kin starts."""

from __future__ import annotations

from pathlib import Path

from fol.errors import ConfigError
from fol.models.cards import WeightSource
from fol.models.checkpoints import Checkpoint, load_strict, read_checkpoint
from fol.models.densernet import DenserNet
from fol.models.vgg import CONVOLUTIONS, Vgg16, VggConvention
from fol.models.weights import find_weights

_URL = "https://download.pytorch.org/models/"
_FILES: dict[VggConvention, str] = {
    "caffe_features": "vgg16_features-amdegroot-88682ab5.pth",
    "imagenet": "vgg16-397923af.pth",
}


def load_vgg(trunk: Vgg16 | DenserNet, weights: str | Path = "auto") -> None:
    """Copy ImageNet weights into ``trunk``: from a file, or ``auto`` for torchvision's of the trunk's convention.

    A file names its tensors ``0.weight`` (OpenIBL's ``vd16_offtheshelf_conv5_3_max.pth``) or ``features.0.weight``
    (torchvision, whose classifier is left aside), or it is a model of this library on the same trunk. It must be of the
    convention in the configuration: nothing in a file tells which input it wants. Raises ``CheckpointError`` for a file
    that does not fit tensor by tensor, ``ConfigError`` when nothing can be fetched for the convention,
    ``DownloadError`` when fetching fails.
    """
    convention = trunk.config.convention
    if str(weights) == "auto":
        if convention not in _FILES:
            raise ConfigError(
                "MatConvNet's weights of VGG16 have no public address: give backbone_weights=FILE "
                "(OpenIBL's vd16_offtheshelf_conv5_3_max.pth), or train a model of convention caffe_features, such as "
                "netvlad_vgg16_caffe_untrained"
            )
        file = _FILES[convention]
        weights = find_weights(WeightSource(file, url=_URL + file))
    checkpoint = read_checkpoint(Path(weights))
    own = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith("backbone.")}
    tensors = {
        name.removeprefix("backbone.").removeprefix("features."): tensor
        for name, tensor in (own or checkpoint.tensors).items()
        if not name.startswith("classifier.")
    }
    module = trunk
    if isinstance(trunk, DenserNet):
        module = trunk.trunk  # type: ignore[assignment]
        beyond = {
            f"{layer}.{kind}" for layer in CONVOLUTIONS if layer >= len(trunk.trunk) for kind in ("weight", "bias")
        }
        tensors = {name: tensor for name, tensor in tensors.items() if name not in beyond}
    load_strict(module, Checkpoint(checkpoint.path, tensors))
