"""The model zoo: models by name or by file."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from fol.errors import ConfigError
from fol.models.architecture import Network, initialise
from fol.models.backbone import AttentionName
from fol.models.cards import CARDS, ModelCard
from fol.models.checkpoints import Checkpoint, card_of_file, load_backbone, load_strict, read_checkpoint
from fol.models.fol import PRESETS, Preset
from fol.models.place_model import PlaceModel
from fol.models.precision import NetworkPrecision, resolve_precision
from fol.models.weights import find_weights

_FILE_SUFFIXES = (".pth", ".pt", ".ckpt", ".tar", ".mat", ".safetensors")


def list_models() -> list[str]:
    """Names that ``load_model`` knows."""
    return sorted(CARDS)


def model_card(name: str) -> ModelCard:
    """The card of a named model; ``ConfigError`` with the nearest names when there is none."""
    if name not in CARDS:
        near = difflib.get_close_matches(name, CARDS, n=2) or list_models()
        raise ConfigError(f"no model is called {name!r} (near: {', '.join(near)}), and no such file exists")
    return CARDS[name]


def load_model(
    name_or_path: str | Path,
    *,
    preset: Preset | None = None,
    heads: int | None = None,
    image_size: tuple[int, int] | int | None = None,
    device: str | torch.device = "cpu",
    attention: AttentionName = "sdpa",
    precision: NetworkPrecision | Literal["auto"] = "float32",
    compile: bool = False,
) -> PlaceModel:
    """A model by its card's name, or from a file: as published (``fol.models.published``), or our safetensors.

    ``preset``: ``"official"`` computes what the published code computes, ``"fol"`` the same idea without its
    defects; None takes the card's (official files: official). ``heads``: only for a file whose heads are not
    channels / 64. ``image_size``: (height, width) or one side, multiples of 14 for transformers, at least 32 for
    VGG16; None takes the card's.

    ``precision``: what the network computes in when it extracts (descriptors come out in float32, normalised there):
    ``"float32"`` is exact; ``"bfloat16"`` takes about half the time where the device has units for it, ``"float16"``
    is for GPUs; ``"auto"`` picks by ``device``. It is part of the fingerprint, so that features of two precisions
    never meet in one map. ``compile`` runs the network through ``torch.compile``: minutes at the first batch.

    Raises ``ConfigError`` (unknown name or option), ``CheckpointError`` (a file that does not fit, tensor by tensor),
    ``DownloadError`` (weights that cannot be fetched).
    """
    if preset is not None and preset not in PRESETS:
        raise ConfigError(f"preset {preset!r} is unknown; choose {' or '.join(PRESETS)}")
    checkpoint: Checkpoint | None = None
    path = Path(name_or_path)
    if str(name_or_path) in CARDS:
        card = CARDS[str(name_or_path)]
        if heads is not None:
            raise ConfigError(f"{card.name} has its heads in its card; heads= is for files")
        if card.weights is not None:
            checkpoint = read_checkpoint(find_weights(card.weights))
    elif path.suffix in _FILE_SUFFIXES or path.is_file():
        checkpoint = read_checkpoint(path)
        card = card_of_file(checkpoint, heads)
    else:
        card = model_card(str(name_or_path))
    if preset is not None:
        card = replace(card, preset=preset)
    if image_size is not None:
        size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
        card.architecture.backbone.check_image_size(size)
        card = card.with_image_size(size)
    chosen = resolve_precision(precision, torch.device(device))
    recipe = {
        "name_or_path": str(name_or_path) if str(name_or_path) in CARDS else str(path.absolute()),
        "preset": card.preset,
        "heads": heads,
        "image_size": list(card.preprocessing.image_size),
        "precision": chosen,
    }
    network = _assemble(card, checkpoint, attention)
    return PlaceModel(card, network, recipe, precision=chosen, compiled=compile).to(device)


def _assemble(card: ModelCard, checkpoint: Checkpoint | None, attention: AttentionName) -> Network:
    with torch.device("meta"):
        network = card.architecture.build(card.preset, attention)
    network.to_empty(device="cpu")
    if checkpoint is not None:
        load_strict(network, checkpoint)
    else:
        initialise(network, card.seed)
        if card.backbone_weights is not None:
            load_backbone(network, read_checkpoint(find_weights(card.backbone_weights)))
    return network
