"""DINOv2's published backbone weights, from which FoL's training starts (official: dinov2_FoL.py:32)."""

from __future__ import annotations

from pathlib import Path

from fol.errors import CheckpointError, ConfigError
from fol.models.backbone import DinoV2
from fol.models.cards import WeightSource
from fol.models.checkpoints import Checkpoint, load_strict, read_checkpoint
from fol.models.published import our_dinov2_name
from fol.models.weights import find_weights

_URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_{0}/dinov2_{0}_pretrain.pth"
#: By width: the models without register tokens.
_NAMES = {384: "vits14", 768: "vitb14", 1024: "vitl14", 1536: "vitg14"}


def load_dinov2(backbone: DinoV2, weights: str | Path = "auto") -> None:
    """Copy DINOv2's weights into ``backbone``: from a file in the published layout, or ``auto`` for its own size.

    Raises ``CheckpointError`` for a file that does not fit tensor by tensor, ``ConfigError`` when no DINOv2 of this
    size exists, ``DownloadError`` when the file cannot be had.
    """
    channels = backbone.config.channels
    if str(weights) == "auto":
        if channels not in _NAMES:
            raise ConfigError(f"there are no DINOv2 weights of {channels} channels; give backbone_weights=FILE")
        url = _URL.format(_NAMES[channels])
        weights = find_weights(WeightSource(url.rsplit("/", 1)[-1], url=url))
    checkpoint = read_checkpoint(Path(weights))
    tensors = {our_dinov2_name(name): tensor for name, tensor in checkpoint.tensors.items() if name != "mask_token"}
    if any(name.startswith("backbone.") for name in tensors):
        raise CheckpointError(f"{weights}: a whole FoL model, not a backbone; use it as model={weights}")
    load_strict(backbone, Checkpoint(checkpoint.path, tensors))
