"""A training run that takes seconds: drawn places, a network of a few thousand parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fol.data import PlaceDataset
from fol.data.training import AUGMENTATIONS, PlaceBatchSampler, PlaceImages, held_out_dataset, read_training_places
from fol.data.training.weak_places import RadiusOptions, WeakPlaces
from fol.losses import FOL_LOSSES
from fol.losses.weak_options import WEAK_LOSSES, RegionLossOptions
from fol.models import PlaceModel
from fol.models.aggregation import AggregationConfig, NetVladConfig
from fol.models.architecture import Architecture, initialise
from fol.models.backbone import BackboneConfig
from fol.models.cards import ModelCard
from fol.models.preprocessing import Preprocessing
from fol.models.vgg import VggConfig
from fol.training import (
    LoopOptions,
    OptimizerOptions,
    ScheduleOptions,
    TrainingOptions,
    TrainingSetup,
    ValidationOptions,
)
from fol.training.centres import CentresOptions
from fol.training.mining import MiningOptions
from fol.training.weak_batches import WeakSampling, single_places
from fol.types import Place, Position

SIZE = 56


def small_model(seed: int = 0, dropout: float = 0.3) -> PlaceModel:
    architecture = Architecture(
        "fol",
        BackboneConfig(32, 4, 2, 64, position_grid=4, trainable_blocks=4),
        AggregationConfig(32, clusters=8, cluster_dim=8, token_dim=8, hidden=16, dropout=dropout),
        local_hidden=16,
        local_dim=8,
    )
    card = ModelCard("small", architecture, Preprocessing((SIZE, SIZE)), "fol", "for tests")
    network = architecture.build("fol")
    initialise(network, seed)
    return PlaceModel(card, network)


def small_setup(
    folder: Path, *, setup: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **loop: Any
) -> TrainingSetup:
    """A setup of 3 batches an epoch and 2 epochs; keywords go to ``LoopOptions``, ``setup`` to the setup itself."""
    places = read_training_places(folder)
    training = TrainingOptions(
        optimizer=OptimizerOptions(lr=1e-3, weight_decay=0.01, clip_norm=1.0),
        schedule=ScheduleOptions(warmup=1),
        loop=LoopOptions(**{"epochs": 2, "checkpoint_every": 2, "log_every": 1, "accelerator": "cpu", **loop}),
        seed=3,
    )
    model = small_model()
    parts = {
        "model": model,
        "losses": FOL_LOSSES,
        "images": PlaceImages(places, model.card.preprocessing, cache=True),
        "sampler": PlaceBatchSampler(places, 4, 3, seed=3),
        "validation": [held_out_dataset(places)],
        "options": replace(training, **(options or {})),
        "augmentation": AUGMENTATIONS["light"],
        "identity": {"lr": 1e-3},
    }
    return TrainingSetup(**{**parts, **(setup or {})})


def netvlad_model(backbone: str = "transformer", seed: int = 0) -> PlaceModel:
    """NetVLAD on a transformer or on a VGG16, of a few thousand parameters each."""
    trunk: BackboneConfig | VggConfig = BackboneConfig(32, 2, 2, 64, position_grid=4, trainable_blocks=2)
    projection: int | None = 8
    if backbone == "vgg":
        trunk, projection = VggConfig(width=1 / 16, train_from="full"), None
    architecture = Architecture("global", trunk, NetVladConfig(trunk.channels, 4, projection))
    card = ModelCard("small_netvlad", architecture, Preprocessing((SIZE, SIZE)), "fol", "for tests")
    network = architecture.build("fol")
    initialise(network, seed)
    return PlaceModel(card, network)


def located_dataset(folder: Path) -> PlaceDataset:
    """The first photo of each place as a query; photos of three places lie within 9 m, 100 m from the next three."""
    dataset = held_out_dataset(read_training_places(folder))

    def located(place: Place) -> Place:
        number, view = int(place.image.parent.name[1:]), int(place.image.stem)
        return replace(place, position=Position(100.0 * (number // 3) + 3.0 * (number % 3) + view, 0.0))

    database, queries = tuple(map(located, dataset.database)), tuple(map(located, dataset.queries))
    return replace(dataset, database=database, queries=queries)


def weak_setup(
    folder: Path,
    *,
    backbone: str = "transformer",
    mining: dict[str, Any] | None = None,
    sampling: dict[str, Any] | None = None,
    setup: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    **loop: Any,
) -> TrainingSetup:
    """Epochs of three rounds (5, 5 and 2 queries) and 7 batches of two tuples; 2 epochs of SARE unless told."""
    model = small_model() if backbone == "fol" else netvlad_model(backbone)
    places = WeakPlaces.of([located_dataset(folder)], RadiusOptions())
    sgd = OptimizerOptions(name="sgd", lr=0.05, betas=(0.9, 0.999), weight_decay=1e-3, clip_norm=1.0)
    training = TrainingOptions(
        optimizer=sgd,
        loop=LoopOptions(**{"epochs": 2, "checkpoint_every": 2, "log_every": 1, "accelerator": "cpu", **loop}),
        validation=ValidationOptions(monitor="global"),
        seed=3,
    )
    parts = {
        "model": model,
        "losses": WEAK_LOSSES["sare_ind_openibl"],
        "images": PlaceImages(single_places(places), model.card.preprocessing, cache=True),
        "sampler": WeakSampling(
            places,
            MiningOptions(**{"neg_num": 3, "neg_pool": 6, **(mining or {})}),
            **{"tuples": 2, "round": 5, "seed": 3, **(sampling or {})},
        ),
        "validation": [held_out_dataset(read_training_places(folder))],
        "options": replace(training, **(options or {})),
        "augmentation": AUGMENTATIONS["light"],
        "identity": {"lr": 0.05},
    }
    return TrainingSetup(**{**parts, **(setup or {})})


def sfrs_setup(folder: Path, generations: tuple[int, ...] = (1, 1), **keywords: Any) -> TrainingSetup:
    """The same by SFRS, from centres of k-means."""
    losses = RegionLossOptions(teacher_temperatures=(0.07, 0.07, 0.06))
    setup = {
        "losses": losses,
        "generations": generations,
        "centres": CentresOptions("all"),
        **keywords.pop("setup", {}),
    }
    return weak_setup(folder, mining={"pos_num": 3, "pos_pool": 6, "k1": 4}, setup=setup, **keywords)


@pytest.fixture(scope="session")
def place_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 places of 3 photos: blocks of colours, shifted and relit."""
    root = tmp_path_factory.mktemp("places") / "drawn"
    for place in range(12):
        rng = np.random.default_rng([7, place])
        blocks = rng.integers(30, 220, (9, 9, 3)).repeat(10, 0).repeat(10, 1)
        (root / f"p{place:02d}").mkdir(parents=True)
        for view in range(3):
            y, x = rng.integers(0, 18, 2)
            crop = blocks[y : y + 72, x : x + 72] * rng.uniform(0.8, 1.15) + rng.normal(0, 4, (72, 72, 3))
            Image.fromarray(crop.clip(0, 255).astype(np.uint8)).save(root / f"p{place:02d}" / f"{view}.png")
    return root


@pytest.fixture
def make_setup(place_folder: Path) -> Callable[..., TrainingSetup]:
    """``small_setup`` with the drawn places."""
    return partial(small_setup, place_folder)


@pytest.fixture
def make_weak(place_folder: Path) -> Callable[..., TrainingSetup]:
    """``weak_setup`` with the drawn places."""
    return partial(weak_setup, place_folder)


@pytest.fixture
def make_sfrs(place_folder: Path) -> Callable[..., TrainingSetup]:
    """``sfrs_setup`` with the drawn places."""
    return partial(sfrs_setup, place_folder)


@pytest.fixture(autouse=True)
def _few_threads(one_thread: None) -> None:
    torch.manual_seed(12345)  # a run must not depend on what was drawn before it
