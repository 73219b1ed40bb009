"""``fol train``: learn from places, validate both stages, keep the best weights; run again to go on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig

from fol.cli.configuration import plain
from fol.cli.console import note, progress_bar, say, speaking
from fol.cli.loading import load_configured_model, rerank_settings
from fol.cli.objects import build
from fol.cli.training_display import training_display
from fol.cli.training_settings import BatchSettings, PlacesSettings, SyntheticSet, ValidationSets
from fol.data import PlaceDataset, read_dataset
from fol.data.training import (
    AugmentationOptions,
    PlaceBatchSampler,
    PlaceImages,
    TrainingPlaces,
    held_out_dataset,
    merge_places,
    read_training_places,
    real_images,
    split_places,
)
from fol.errors import ConfigError, TrainingStopped
from fol.losses import FoLLossOptions, MultiSimilarityOptions
from fol.models import PlaceModel
from fol.models.dinov2_weights import load_dinov2
from fol.training import (
    CsvHistory,
    TrainingOptions,
    TrainingResult,
    TrainingSetup,
    build_loggers,
    train,
)
from fol.training.distributed import launched_rank
from fol.visualization import draw_training

#: Settings that do not change what is learned: they may differ when a run is resumed.
_FREE = ("out", "logger", "wandb_project", "wandb_online", "guard", "synthetic_folder", "experiment")
_FREE_INNER = (
    ("loop", ("max_minutes", "checkpoint_every", "log_every", "devices", "accelerator")),
    ("batch", ("cache", "workers")),
    ("model", ("device", "attention")),
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
        load_dinov2(model.network.backbone, config.backbone_weights)
    setup = training_setup(config, model)
    places = setup.sampler.places
    note(
        f"{places.name}: {len(places.images)} photos of {len(places.places)} places; "
        f"{model.name}, preset {model.preset}"
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
            config={**values, "trained_on": places.name.split(" + ")},
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
    folder = Path(config.synthetic_folder)
    sets, batch = build(ValidationSets, values["val"], "val"), build(BatchSettings, values["batch"], "batch")
    if batch.workers < 0:
        raise ConfigError(f"batch.workers={batch.workers}: it must be at least 0")
    places, validation = _training_places(build(PlacesSettings, values["places"], "places"), folder, options.seed)
    validation += [read_dataset(path, radius=sets.radius) for path in sets.folders]
    validation += [read_dataset(_city(city, "val", folder)) for city in sets.synthetic]
    images = PlaceImages(places, model.card.preprocessing, cache=batch.cache, on_error=batch.on_error)
    if batch.cache:
        with progress_bar("reading photos") as progress:
            images.fill(progress)
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
    return TrainingSetup(
        model=model,
        losses=losses,
        images=images,
        sampler=sampler,
        validation=validation,
        options=options,
        augmentation=augmentation,
        matching=rerank_settings(config.matching)[1],
        workers=batch.workers,
        identity=_identity(values),
    )


def read_options(
    config: DictConfig,
) -> tuple[TrainingOptions, FoLLossOptions | MultiSimilarityOptions, AugmentationOptions]:
    """The checked options of a run: of training, of its losses, of the augmentation."""
    values = plain(config)
    groups = {key: values[key] for key in ("optimizer", "schedule", "loop", "validation", "guard", "seed")}
    options = build(TrainingOptions, groups, "")
    losses = _losses(values["loss"])
    augmentation = build(AugmentationOptions, values["augmentation"], "augmentation")
    for checked in (options, losses, augmentation):
        checked.check()
    return options, losses, augmentation


def _losses(values: dict[str, Any]) -> FoLLossOptions | MultiSimilarityOptions:
    """The losses of the group ``loss``, whose ``objective`` says which they are."""
    kinds: dict[str, type[FoLLossOptions] | type[MultiSimilarityOptions]] = {
        "fol": FoLLossOptions,
        "multi_similarity": MultiSimilarityOptions,
    }
    rest = dict(values)
    objective = rest.pop("objective", "fol")
    if objective not in kinds:
        raise ConfigError(f"loss.objective={objective!r} is unknown; choose one of {', '.join(kinds)}")
    return build(kinds[objective], rest, "loss")


def _training_places(settings: PlacesSettings, folder: Path, seed: int) -> tuple[TrainingPlaces, list[PlaceDataset]]:
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
        city = _city(item, "train", folder)
        sets.append(read_training_places(city, format="csv", min_images=settings.min_images))
    if not sets:
        raise ConfigError("nothing to learn from: give places.folders=[FOLDER] or experiment=smoke")
    return (merge_places(sets) if len(sets) > 1 else sets[0]), list(held_out.values())


def _city(city: SyntheticSet, split: Literal["train", "val"], folder: Path) -> Path:
    """The folder of a procedural city, made now unless it is there."""
    from fol.data.synthetic import make_city_level

    options = {key: value for key, value in asdict(city).items() if value is not None}
    name = "-".join([city.level, split, *(f"{k}{v}" for k, v in options.items() if k != "level")])
    with progress_bar(f"city {city.level} {split}") as progress:
        return make_city_level(folder / name, split=split, progress=progress, **options)


def _identity(values: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in values.items() if key not in _FREE}
    for group, names in _FREE_INNER:
        kept[group] = {key: value for key, value in kept[group].items() if key not in names}
    return kept
