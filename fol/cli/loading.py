"""The model and the options that several verbs read from their configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig

from fol.cli.configuration import plain, resolve
from fol.errors import ConfigError
from fol.models import BASELINES, PlaceModel, load_baseline, load_model
from fol.reranking import RerankOptions
from fol.types import Extractor


def load_configured_extractor(config: DictConfig, recipe: Mapping[str, Any] | None = None) -> Extractor:
    """The model or the baseline of the group ``model``, for commands that need descriptors and no network."""
    name = str(config.name or (recipe or {}).get("name_or_path"))
    if name not in BASELINES:
        return load_configured_model(config, recipe)
    for option in ("preset", "heads", "image_size", "precision", "compile"):
        if config[option] not in (None, False):
            raise ConfigError(f"model.{option}={config[option]}: the baseline {name} has no such option")
    return load_baseline(name)


def configured_extractors(config: DictConfig) -> Iterator[tuple[str, Extractor]]:
    """(name for folders, model) of each of ``models``, or of ``model`` where that names none; loaded one by one.

    The device of ``model`` holds for all.
    """
    if not config.models:
        model = load_configured_extractor(config.model)
        yield model.name, model
        return
    names = [Path(str(name)).stem for name in config.models]
    if len(set(names)) < len(names):
        raise ConfigError(f"models={list(config.models)}: two have the same name")
    for name, model in zip(names, config.models, strict=True):
        own = resolve("evaluate", [f"model={model}"], {}).model
        own.device = config.model.device
        yield name, load_configured_extractor(own)


def new_weights_file(config: DictConfig) -> Path:
    """The weights file ``out``, which a verb is going to write; ``ConfigError`` when it cannot or should not."""
    target = Path(config.out)
    if target.suffix != ".safetensors":
        raise ConfigError(f"{target}: the file to write must end in .safetensors")
    if target.exists() and not config.overwrite:
        raise ConfigError(f"{target} exists; give overwrite=true to replace it")
    return target


def load_configured_model(config: DictConfig, recipe: Mapping[str, Any] | None = None) -> PlaceModel:
    """The model of the group ``model``; options that are null there come from ``recipe`` (a map's model).

    A recipe is left aside when the configuration names a model itself.
    """
    options = {key: value for key, value in plain(config).items() if value is not None}
    name = options.pop("name", None)
    if name is None:
        options = {**(recipe or {}), **options}
        name = options.pop("name_or_path", None)
    if name is None:
        raise ConfigError("give the model: model=NAME (fol models lists them) or model=path/to/weights")
    if name in BASELINES:
        raise ConfigError(f"{name} is a baseline without a network: fol evaluate, fol index and fol locate take it")
    size = options.pop("image_size", None)
    if isinstance(size, list):
        if len(size) != 2:
            raise ConfigError(f"image_size={size}: give one side or [height, width]")
        size = (size[0], size[1])
    options["device"] = resolve_device(options["device"])
    return load_model(name, image_size=size, **options)


def rerank_settings(config: DictConfig) -> tuple[Literal["fol", "official"] | None, RerankOptions]:
    """Method (None: the model's preset) and options of the group ``matching``."""
    values = plain(config)
    return values.pop("method"), RerankOptions(**values)


def resolve_device(name: str) -> str:
    """``auto`` is CUDA where there is one."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name} is unknown; choose auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={name}: no CUDA device is to be seen here; use device=cpu")
    return name
