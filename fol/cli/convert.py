"""``fol convert``: an official or trained checkpoint to safetensors."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig

from fol.cli.console import say
from fol.cli.loading import load_configured_model, new_weights_file
from fol.errors import ConfigError
from fol.models import PlaceModel, load_model, save_safetensors
from fol.models.whitening import PcaWhitening, read_pca_params


def run(config: DictConfig) -> None:
    """Read strictly, write tensors and card to one safetensors file."""
    target = new_weights_file(config)
    model = _whitened(load_configured_model(config.model), config.whitening, config.whitening_dim)
    save_safetensors(model.card, model.network, target, dtype=torch.float16 if config.half else None)
    model = load_model(target)  # what was rounded has another fingerprint
    megabytes = target.stat().st_size / 1e6
    say(f"{target}: {megabytes:.1f} MB, preset {model.preset}, fingerprint {model.fingerprint[:12]}")
    say(f"use it with: fol index photos/ --out city.fol model={target}")


def _whitened(model: PlaceModel, parameters: str | None, dim: int | None) -> PlaceModel:
    """With the whitening of a file, else its own, cut to ``dim`` values where that is given."""
    if parameters is None and dim is None:
        return model
    whitening = model.network.whitening if parameters is None else read_pca_params(Path(parameters))
    if not isinstance(whitening, PcaWhitening):
        raise ConfigError(f"whitening_dim={dim}: {model.name} has no whitening; give whitening=pca_params_FILE.h5")
    return model.with_whitening(whitening if dim is None else whitening.truncated(dim))
