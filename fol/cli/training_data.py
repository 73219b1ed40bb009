"""The photos that a run learns from, as its configuration names them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np

from fol.cli.console import progress_bar
from fol.cli.training_settings import PlacesSettings, SyntheticSet, WeakSettings
from fol.data import PlaceDataset, read_dataset
from fol.data.catalogue import read_protocol
from fol.data.training import (
    TrainingPlaces,
    held_out_dataset,
    merge_places,
    read_training_places,
    real_images,
    split_places,
)
from fol.data.training.weak_places import WeakPlaces
from fol.errors import ConfigError
from fol.training.weak_batches import WeakSampling
from fol.types import Place, Position

_APART = 1000.0  # metres between places whose positions are made up


def training_places(settings: PlacesSettings, folder: Path, seed: int) -> tuple[TrainingPlaces, list[PlaceDataset]]:
    """The places to learn from, and a data set of those held out of each folder."""
    sets: list[TrainingPlaces] = []
    held_out: dict[frozenset[Path], PlaceDataset] = {}
    for root in settings.folders:
        places = read_training_places(
            root,
            format=settings.format,
            min_images=settings.min_images,
            cities=settings.cities,
            group=settings.group,
        )
        if settings.held_out:
            places, kept = split_places(places, settings.held_out, seed=seed, by=settings.held_out_by)
            # A folder may be given again, to be seen more often: it is validated on once.
            held_out.setdefault(frozenset(real_images(kept.images)), held_out_dataset(kept))
        sets.append(places)
    for item in settings.synthetic:
        city = city_folder(item, "train", folder)
        sets.append(read_training_places(city, format="csv", min_images=settings.min_images))
    if not sets:
        raise ConfigError("nothing to learn from: give places.folders=[FOLDER] or experiment=smoke")
    return (merge_places(sets) if len(sets) > 1 else sets[0]), list(held_out.values())


def city_folder(city: SyntheticSet, split: Literal["train", "val"], folder: Path) -> Path:
    """The folder of a procedural city, made now unless it is there."""
    from fol.data.synthetic import make_city_level

    options = {key: value for key, value in asdict(city).items() if value is not None}
    name = "-".join([city.level, split, *(f"{k}{v}" for k, v in options.items() if k != "level")])
    with progress_bar(f"city {city.level} {split}") as progress:
        return make_city_level(folder / name, split=split, progress=progress, **options)


def weak_sampling(settings: WeakSettings, folder: Path, seed: int) -> WeakSampling:
    """The tuples' photos: queries and databases whose positions are known, or places with positions made up."""
    datasets = [
        read_dataset(root) if settings.protocol is None else read_protocol(settings.protocol, Path(root))
        for root in settings.folders
    ]
    # The split that has queries and a database; its seeds must be others than those of the validation sets.
    datasets += [read_dataset(city_folder(item, "val", folder)) for item in settings.synthetic]
    for root in settings.places:
        datasets.append(_with_positions(read_training_places(root)))
    if not datasets:
        raise ConfigError("nothing to learn from: give weak.folders=[FOLDER], weak.places or weak.synthetic")
    places = WeakPlaces.of(datasets, settings.radii)
    return WeakSampling(places, settings.mining, settings.tuples, settings.round, seed)


def _with_positions(places: TrainingPlaces) -> PlaceDataset:
    """The first photo of each place as a query, and a point for each place; those that see the same thing share one."""
    dataset = held_out_dataset(places)
    owner = np.arange(len(places.places))
    for a, b in places.overlapping.tolist():
        owner[owner == owner[b]] = owner[a]
    place_of = {image: int(place) for image, place in zip(places.images, places.place_of_image, strict=True)}

    def located(some: Place) -> Place:
        return replace(some, position=Position(_APART * float(owner[place_of[some.image]]), 0.0))

    return replace(
        dataset, database=tuple(map(located, dataset.database)), queries=tuple(map(located, dataset.queries))
    )
