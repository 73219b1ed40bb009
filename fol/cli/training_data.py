"""The photos that a run learns from, as its configuration names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from fol.cli.console import progress_bar
from fol.cli.training_settings import PlacesSettings, SyntheticSet, ValidationSets, WeakSettings
from fol.data import PlaceDataset, read_dataset
from fol.data.catalogue import find_protocol, read_protocol
from fol.data.training import (
    TrainingPlaces,
    held_out_dataset,
    merge_places,
    positioned_dataset,
    read_training_places,
    real_images,
    split_places,
)
from fol.data.training.weak_places import WeakPlaces
from fol.errors import ConfigError
from fol.training.weak_batches import WeakSampling


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


def validation_sets(settings: ValidationSets, folder: Path) -> list[PlaceDataset]:
    """What the best model is chosen with, besides the places that are held out."""
    found = _folders(settings.folders, settings.protocol, "val", radius=settings.radius)
    return found + [read_dataset(city_folder(city, "val", folder)) for city in settings.synthetic]


def _folders(
    folders: Sequence[str], protocol: str | None, group: Literal["weak", "val"], *, radius: float = 25.0
) -> list[PlaceDataset]:
    """Data sets as ``fol evaluate`` reads them, or those of a protocol in their published form; never of a test set."""
    if protocol is None:
        return [read_dataset(root, radius=radius) for root in folders]
    if find_protocol(protocol)[0].split == "test":
        aim = "trained on" if group == "weak" else "chosen with"
        raise ConfigError(f"{group}.protocol={protocol}: a test set, which no model may be {aim}: give another split")
    return [read_protocol(protocol, Path(root)) for root in folders]


def weak_sampling(settings: WeakSettings, places: TrainingPlaces | None, folder: Path, seed: int) -> WeakSampling:
    """The tuples' photos: queries and databases whose positions are known, and ``places`` (of ``training_places``)."""
    datasets = _folders(settings.folders, settings.protocol, "weak")
    # The split that has queries and a database; its seeds must be others than those of the validation sets.
    datasets += [read_dataset(city_folder(item, "val", folder)) for item in settings.synthetic]
    if places is not None:
        datasets.append(positioned_dataset(places))
    if not datasets:
        raise ConfigError("nothing to learn from: give weak.folders=[FOLDER], weak.synthetic or places.folders")
    return WeakSampling(
        WeakPlaces.of(datasets, settings.radii),
        settings.mining,
        settings.tuples,
        settings.round,
        seed,
        settings.round_doubles_every,
    )
