"""Where the photos of a training run come from and how they form batches: the groups of conf/train.yaml, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fol.data.training.sampler import Choice, Hard, Short
from fol.data.training.weak_places import RadiusOptions
from fol.training.mining import MiningOptions


@dataclass(frozen=True)
class SyntheticSet:
    """A procedural city to make: its difficulty ``level``, number of ``places``, ``seed``, side of its photos, and what
    else ``fol.data.synthetic.make_city_level`` takes."""

    level: str
    places: int | None = None
    seed: int = 0
    size: int = 224
    views: int | None = None
    headings: int | None = None


@dataclass(frozen=True)
class PlacesSettings:
    """The group ``places``: what is learned from, and the share of it that is held out for validation."""

    folders: tuple[str, ...]
    format: Literal["auto", "csv", "folders", "gsv_cities"]
    min_images: int
    cities: tuple[str, ...] | None
    group: str | None
    held_out: float
    held_out_by: Literal["place", "group"]
    synthetic: tuple[SyntheticSet, ...]


@dataclass(frozen=True)
class WeakSettings:
    """The group ``weak``: what losses over tuples learn from, and how the tuples are mined."""

    folders: tuple[str, ...]
    protocol: str | None
    synthetic: tuple[SyntheticSet, ...]
    radii: RadiusOptions
    mining: MiningOptions
    tuples: int
    round: int
    round_doubles_every: int | None
    generations: tuple[int, ...]
    centres: str | None
    centres_size: tuple[int, int] | None


@dataclass(frozen=True)
class ValidationSets:
    """The group ``val``: what else the best model is chosen with."""

    folders: tuple[str, ...]
    protocol: str | None
    radius: float
    synthetic: tuple[SyntheticSet, ...]


@dataclass(frozen=True)
class BatchSettings:
    """The group ``batch``: see ``PlaceBatchSampler`` and ``PlaceImages``."""

    places: int
    images_per_place: int
    hard: Hard
    choice: Choice
    cache: bool
    workers: int
    short: Short
    drop_last: bool
    on_error: Literal["raise", "skip"]
