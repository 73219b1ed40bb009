"""``fol train``: learn from places, validate both stages, keep the best weights; run again to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from omegaconf import DictConfig

from fol.cli.configuration import plain
from fol.cli.console import note, progress_bar, say, speaking
from fol.cli.loading import load_configured_model, rerank_settings
from fol.cli.objects import build
from fol.cli.training_data import training_places, validation_sets, weak_sampling
from fol.cli.training_display import training_display
from fol.cli.training_settings import BatchSettings, PlacesSettings, ValidationSets, WeakSettings
from fol.data import PlaceDataset
from fol.data.training import AugmentationOptions, PlaceBatchSampler, PlaceImages, TrainingPlaces
from fol.errors import ConfigError, TrainingStopped
from fol.losses import FoLLossOptions, MultiSimilarityOptions
from fol.losses.weak_options import InBatchLossOptions, RegionLossOptions, WeakLossOptions
from fol.models import PlaceModel, list_models
from fol.models.backbone import DinoV2
from fol.models.dinov2_weights import load_dinov2
from fol.models.global_network import GlobalNetwork
from fol.models.vgg import TrainFrom
from fol.models.vgg_weights import load_vgg
from fol.models.zoo import model_card
from fol.training import (
    CsvHistory,
    Losses,
    TrainingOptions,
    TrainingResult,
    TrainingSetup,
    build_loggers,
    train,
)
from fol.training.centres import CentresOptions
from fol.training.distributed import launched_rank
from fol.training.weak_batches import WeakSampling, single_places
from fol.visualization import draw_training

#: Settings that do not change what is learned: they may differ when a run is resumed.
_FREE = ("out", "logger", "wandb_project", "wandb_online", "guard", "synthetic_folder", "experiment")
_FREE_INNER = (
    ("loop", ("max_minutes", "checkpoint_every", "log_every", "devices", "accelerator")),
    ("batch", ("cache", "workers")),
    ("model", ("device", "attention")),
    ("validation", ("at_start",)),
)


def run(config: DictConfig) -> None:
    """Train as configured and say where the weights are; of several processes the first one does the talking."""
    first = launched_rank() == 0
    try:
        with speaking(first):
            _run(config)
    except TrainingStopped:  # in all of them; their other errors are their own, and shown
        if first:
            raise
        raise SystemExit(1) from None


def _run(config: DictConfig) -> None:
    result = train_configured(config)
    if result.scores is not None:
        names = {"global": "by retrieval", "reranked": "after re-ranking"}
        r1 = (f"{result.scores.mean(stage, 1):.1f} {names[stage]}" for stage in result.scores.stages)
        say(f"best validation R@1: {', '.join(r1)}")
    if result.last is None:
        say(f"stopped after {result.done} of {result.total} batches; the same command goes on from there")
        return
    say(f"weights: {result.best or result.last}   (fol evaluate model={result.best or result.last} data=...)")


def train_configured(config: DictConfig) -> TrainingResult:
    """The run that ``config`` (conf/train.yaml) describes, started or resumed."""
    model = load_configured_model(config.model)
    if config.backbone_weights is not None:
        backbone = model.network.backbone
        if isinstance(backbone, DinoV2):
            load_dinov2(backbone, config.backbone_weights)
        else:
            load_vgg(backbone, config.backbone_weights)
    setup = training_setup(config, model)
    note(f"{setup.summary}; {model.name}, preset {model.preset}")
    if setup.centres is None and _has_random_centres(model):
        note(
            f"the NetVLAD of {model.name} begins with random centres, from which training is known to fail: set "
            "weak.centres=all for k-means over the photos (or database, or a file of published ones)"
        )
    for dataset in setup.validation:
        note(f"validation {dataset.summary}")
    values = plain(config)
    names = [config.logger] if isinstance(config.logger, str) else list(config.logger or ())
    out = Path(config.out)
    with training_display() as display:
        result = train(
            setup,
            out,
            config={**values, "trained_on": setup.sampler.places.name.split(" + ")},
            loggers=lambda folder: build_loggers(
                names, folder, values, project=config.wandb_project, online=config.wandb_online
            ),
            watch=display.progress,
            validated=display.validation,
        )
    if launched_rank() == 0:
        draw_training(
            out / "learning_curve.png", CsvHistory(out / "metrics.csv").rows, title=f"{out.name}: {model.name}"
        )
    return result


def training_setup(config: DictConfig, model: PlaceModel) -> TrainingSetup:
    """All parts of the run: data read and split, photos resized, options checked."""
    values, (options, losses, augmentation) = plain(config), read_options(config)
    options.check_machine()  # before photos are read
    if (blocks := values["trainable_blocks"]) is not None:
        if not isinstance(blocks, int):
            raise ConfigError(f"trainable_blocks={blocks!r}: that is not a whole number or null")
        model = model.with_trainable_blocks(blocks)
    if config.train_from is not None:
        if config.train_from not in get_args(TrainFrom):
            raise ConfigError(f"train_from={config.train_from!r}: choose one of {', '.join(get_args(TrainFrom))}")
        model = model.with_train_from(config.train_from)
    folder = Path(config.synthetic_folder)
    sets, batch = build(ValidationSets, values["val"], "val"), build(BatchSettings, values["batch"], "batch")
    if batch.workers < 0:
        raise ConfigError(f"batch.workers={batch.workers}: it must be at least 0")
    weak = build(WeakSettings, values["weak"], "weak")
    places_settings = build(PlacesSettings, values["places"], "places")
    _check_sources(losses, weak)
    if model.card.architecture.whitening is not None:
        note(
            f"the whitening of {model.name} is left out: it is fitted to weights that are about to change (fol whiten)"
        )
        model = model.with_whitening(None)
    sampler: PlaceBatchSampler | WeakSampling
    validation: list[PlaceDataset] = []
    if isinstance(losses, WeakLossOptions | RegionLossOptions):
        labelled = None
        if places_settings.folders or places_settings.synthetic:
            labelled, validation = training_places(places_settings, folder, options.seed)
        sampler = weak_sampling(weak, labelled, folder, options.seed)
        places = single_places(sampler.places)
    else:
        places, validation = training_places(places_settings, folder, options.seed)
        sampler = PlaceBatchSampler(
            places,
            batch.places,
            batch.images_per_place,
            seed=options.seed,
            hard=batch.hard,
            choice=batch.choice,
            drop_last=batch.drop_last,
            short=batch.short,
        )
    validation += validation_sets(sets, folder)
    if isinstance(sampler, WeakSampling):
        _check_apart(places, validation)
    images = PlaceImages(places, model.card.preprocessing, cache=batch.cache, on_error=batch.on_error)
    setup = TrainingSetup(
        model=model,
        losses=losses,
        images=images,
        sampler=sampler,
        validation=validation,
        options=options,
        augmentation=augmentation,
        matching=rerank_settings(config.matching)[1],
        workers=batch.workers,
        generations=weak.generations,
        centres=None if weak.centres is None else CentresOptions(weak.centres, weak.centres_size),
        identity=_identity(values),
    )
    setup.check()  # before photos are read
    if batch.cache:
        with progress_bar("reading photos") as progress:
            images.fill(progress)
    return setup


def _has_random_centres(model: PlaceModel) -> bool:
    """Whether the model has a NetVLAD that nobody trained or set: it is of the zoo, and there without weights."""
    name = model.recipe["name_or_path"]
    return isinstance(model.network, GlobalNetwork) and name in list_models() and model_card(name).weights is None


def _check_sources(losses: Losses, weak: WeakSettings) -> None:
    """``ConfigError`` where photos are given that the losses would not look at."""
    if isinstance(losses, WeakLossOptions | RegionLossOptions):
        return
    for name, given in {"weak.folders": weak.folders, "weak.synthetic": weak.synthetic}.items():
        if given:
            raise ConfigError(f"{name} is given, but this loss learns from places: set {name}=[] and give places.*")


def _check_apart(places: TrainingPlaces, validation: list[PlaceDataset]) -> None:
    """``ConfigError`` for a photo that is learned from and validated on."""
    learned = {image.resolve() for image in places.images}
    for dataset in validation:
        for place in (*dataset.queries, *dataset.database):
            if place.image.resolve() in learned:
                raise ConfigError(
                    f"{place.image} of the validation set {dataset.name} is trained on: take another folder, or "
                    "another seed of a synthetic city"
                )


def read_options(
    config: DictConfig,
) -> tuple[TrainingOptions, Losses, AugmentationOptions]:
    """The checked options of a run: of training, of its losses, of the augmentation."""
    values = plain(config)
    groups = {key: values[key] for key in ("optimizer", "schedule", "loop", "validation", "guard", "seed")}
    options = build(TrainingOptions, groups, "")
    losses = _losses(values["loss"])
    augmentation = build(AugmentationOptions, values["augmentation"], "augmentation")
    for checked in (options, losses, augmentation):
        checked.check()
    return options, losses, augmentation


def _losses(values: dict[str, Any]) -> Losses:
    """The losses of the group ``loss``, whose ``objective`` says which they are."""
    kinds: dict[str, type[Losses]] = {
        "fol": FoLLossOptions,
        "multi_similarity": MultiSimilarityOptions,
        "sare_inbatch": InBatchLossOptions,
        "weak": WeakLossOptions,
        "sfrs": RegionLossOptions,
    }
    rest = dict(values)
    objective = rest.pop("objective", "fol")
    if objective not in kinds:
        raise ConfigError(f"loss.objective={objective!r} is unknown; choose one of {', '.join(kinds)}")
    return build(kinds[objective], rest, "loss")


def _identity(values: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in values.items() if key not in _FREE}
    for group, names in _FREE_INNER:
        kept[group] = {key: value for key, value in kept[group].items() if key not in names}
    return kept
