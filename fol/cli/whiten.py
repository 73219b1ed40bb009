"""``fol whiten``: a model with PCA whitening, fitted to its descriptors of some photos, as its last step."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from fol.cli.console import note, progress_bar, say
from fol.cli.loading import load_configured_model, new_weights_file
from fol.data import PlaceDataset, read_dataset
from fol.data.catalogue import read_protocol
from fol.errors import ConfigError
from fol.extraction import extract_places
from fol.models import PlaceModel, load_model, save_safetensors
from fol.models.whitening import fit_whitening
from fol.types import Place


def run(config: DictConfig) -> None:
    """Describe photos that are drawn from the data set, fit, write one file; a whitening that was there is replaced."""
    target = new_weights_file(config)
    for name, low in (("dim", 1), ("images", 2), ("seed", 0)):
        if config[name] < low:
            raise ConfigError(f"{name}={config[name]}: it must be at least {low}")
    photos = _drawn(_dataset(config), config.images, config.seed)
    model = load_configured_model(config.model).with_whitening(None)
    if not config.dim <= model.descriptor_dim:
        raise ConfigError(f"dim={config.dim}: the descriptor of {model.name} has {model.descriptor_dim} values")
    if len(photos) <= config.dim:  # known before hours of work
        raise ConfigError(f"dim={config.dim} needs at least {config.dim + 1} photos, there are {len(photos)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=target.parent) as file:
        shape = (len(photos), model.descriptor_dim)
        rows: NDArray[np.float32] = np.memmap(file, np.float32, "w+", shape=shape)
        count = _describe(model, photos, rows, config.batch_size, config.workers)
        with progress_bar("fitting") as progress:
            whitening = fit_whitening(rows[:count], config.dim, progress)
    whitened = model.with_whitening(whitening)
    save_safetensors(whitened.card, whitened.network, target)
    say(f"{target}: {model.descriptor_dim} to {load_model(target).descriptor_dim} values, fitted to {count} photos")
    say(f"use it with: fol evaluate data=... model={target}")


def _dataset(config: DictConfig) -> PlaceDataset:
    root = config.data.root
    if not root:
        raise ConfigError("fol whiten needs a data set: data=FOLDER, the one that the model was trained on")
    if config.protocol is not None:
        return read_protocol(config.protocol, Path(root))
    return read_dataset(Path(root), radius=config.data.radius)


def _drawn(dataset: PlaceDataset, count: int, seed: int) -> list[Place]:
    """So many photos of the database and the queries together (OpenIBL, examples/netvlad_img.py), in their order."""
    places = [*dataset.database, *dataset.queries]
    chosen = np.random.default_rng(seed).permutation(len(places))[:count]
    return [places[index] for index in np.sort(chosen).tolist()]


def _describe(model: PlaceModel, photos: list[Place], rows: NDArray[np.float32], batch_size: int, workers: int) -> int:
    """Fill ``rows`` with the descriptors of the photos that can be read; how many they are."""
    count = 0
    with progress_bar("describing photos") as progress:
        for batch in extract_places(model, photos, batch_size=batch_size, workers=workers):
            for skipped in batch.skipped:
                note(f"skipped {skipped.name}: {skipped.reason}")
            for _, features in batch.features:
                rows[count] = features.descriptor.numpy()
                count += 1
            progress(batch.stop, len(photos))
    return count
