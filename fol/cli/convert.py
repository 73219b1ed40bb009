"""``fol convert``: an official or trained checkpoint to safetensors."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig

from fol.cli.console import say
from fol.cli.loading import load_configured_model
from fol.errors import ConfigError
from fol.models import load_model, save_safetensors


def run(config: DictConfig) -> None:
    """Read strictly, write tensors and card to one safetensors file."""
    target = Path(config.out)
    if target.suffix != ".safetensors":
        raise ConfigError(f"{target}: the file to write must end in .safetensors")
    if target.exists() and not config.overwrite:
        raise ConfigError(f"{target} exists; give overwrite=true to replace it")
    model = load_configured_model(config.model)
    save_safetensors(model.card, model.network, target, dtype=torch.float16 if config.half else None)
    model = load_model(target)  # what was rounded has another fingerprint
    megabytes = target.stat().st_size / 1e6
    say(f"{target}: {megabytes:.1f} MB, preset {model.preset}, fingerprint {model.fingerprint[:12]}")
    say(f"use it with: fol index photos/ --out city.fol model={target}")
