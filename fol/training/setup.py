"""What a training run is made of, and how the parts are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from fol.data import PlaceDataset
from fol.data.training import AugmentationOptions, BatchAugmentation, PlaceBatchSampler, PlaceImages
from fol.errors import ConfigError
from fol.files import write_atomically
from fol.losses import FoLLossOptions, MultiSimilarityOptions
from fol.losses.weak_options import InBatchLossOptions, RegionLossOptions, WeakLossOptions
from fol.models import PlaceModel
from fol.reranking import RerankOptions
from fol.training.batches import BatchSource, PlaceBatches, RunLength
from fol.training.centres import CentresOptions, set_centres
from fol.training.distributed import launched_rank
from fol.training.generations import Generations
from fol.training.keeper import LAST
from fol.training.module import PlaceTraining
from fol.training.objectives import Objective, place_objective
from fol.training.options import TrainingOptions
from fol.training.schedule import optimizer_steps
from fol.training.weak_batches import WeakBatches, WeakSampling
from fol.training.weak_objectives import RegionObjective, WeakObjective

Losses: TypeAlias = FoLLossOptions | MultiSimilarityOptions | InBatchLossOptions | WeakLossOptions | RegionLossOptions
INITIAL = "initial.pt"
DESCRIPTORS = "mining.f32"


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """What a run is made of.

    ``identity``: settings that must not change between a run and its resumption; the model's card, the losses, the
    optimiser, the schedule and the augmentation are always compared. Of weakly supervised runs: ``generations`` are the
    epochs of each generation of SFRS. ``centres``: what NetVLAD's are set from before the first step.
    """

    model: PlaceModel
    losses: Losses
    images: PlaceImages
    sampler: PlaceBatchSampler | WeakSampling
    validation: Sequence[PlaceDataset]
    options: TrainingOptions
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    matching: RerankOptions = field(default_factory=RerankOptions)
    workers: int = 0
    generations: tuple[int, ...] = ()
    centres: CentresOptions | None = None
    identity: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line: what is learned from."""
        if isinstance(self.sampler, WeakSampling):
            return self.sampler.places.summary
        places = self.sampler.places
        return f"{places.name}: {len(places.images)} photos of {len(places.places)} places"

    @property
    def database(self) -> int | None:
        """How many of the photos, the first of them, are a database's; None for places, which have none."""
        return self.sampler.places.database if isinstance(self.sampler, WeakSampling) else None

    def check(self) -> None:
        """``ConfigError`` for parts that do not go together."""
        model, losses, sampler = self.model, self.losses, self.sampler
        weak = isinstance(losses, WeakLossOptions | RegionLossOptions)
        if weak and not isinstance(sampler, WeakSampling):
            raise ConfigError("these losses learn from tuples: give weak.folders instead of places")
        if not weak and isinstance(sampler, WeakSampling):
            raise ConfigError("these losses learn from places: give places.folders instead of weak")
        if isinstance(sampler, WeakSampling):
            sampler.check()
            if self.workers:
                raise ConfigError(
                    f"batch.workers={self.workers}: tuples are mined while the run goes on, by this process; set "
                    "batch.workers=0"
                )
            if isinstance(losses, RegionLossOptions) and not sampler.mining.pos_num:
                raise ConfigError("weak.mining.pos_num=0: SFRS learns from difficult positives; published are 10")
        if self.generations and not isinstance(losses, RegionLossOptions):
            raise ConfigError(f"weak.generations={list(self.generations)}: only SFRS has generations (loss=sfrs)")
        if self.centres is not None:
            self.centres.check(model, self.database)
        if model.card.architecture.whitening is not None:
            raise ConfigError(
                f"the whitening of {model.name} is fitted to the weights that would change: train with_whitening(None)"
                ", and fit it anew to the result"
            )
        if self.validation and self.options.validation.monitor == "reranked" and not model.local_dim:
            raise ConfigError(f"validation.monitor=reranked: {model.name} has one stage alone, take monitor=global")
        self.objective(self.new_generations()).check(model.network, model.name)

    def new_generations(self) -> Generations | None:
        """Of SFRS alone."""
        return Generations(self.generations) if isinstance(self.losses, RegionLossOptions) else None

    def objective(self, generations: Generations | None) -> Objective:
        """What is learned from a batch."""
        losses, sampler = self.losses, self.sampler
        if isinstance(losses, RegionLossOptions):
            assert generations is not None
            return RegionObjective(losses, generations)
        if isinstance(losses, WeakLossOptions):
            return WeakObjective(losses)
        assert isinstance(sampler, PlaceBatchSampler)
        return place_objective(losses, sampler.places)


def assemble(setup: TrainingSetup, out: Path) -> tuple[PlaceTraining, BatchSource, RunLength]:
    """Module, batches and length of the run in ``out``; ``ConfigError`` for parts that do not go together."""
    setup.check()
    options, sampler = setup.options, setup.sampler
    generations = setup.new_generations()
    if setup.centres is not None or generations is not None:
        first = _first_weights(setup, out)
        if generations is not None:
            generations.initial = first
    module_of: list[PlaceTraining] = []
    source: BatchSource
    if isinstance(sampler, PlaceBatchSampler):
        source = PlaceBatches(sampler)
    else:
        source = WeakBatches(
            sampler,
            setup.model.card.architecture.aggregation.descriptor_dim,
            lambda rows, numbers: module_of[0].describe(setup.images, rows, numbers, options.validation.batch_size),
            lambda epoch: module_of[0].begin_epoch(epoch),
            out / DESCRIPTORS,
            setup.model.device,
            options.loop.devices,
            (lambda epoch: 0) if generations is None else generations.start,
        )
    length = RunLength.of(len(source), sum(setup.generations) or options.loop.epochs, options.loop.steps)
    if not length.total:
        raise ConfigError("the training set gives no batch: lower batch.places, or set batch.drop_last=false")
    batches = [len(source) * epochs for epochs in setup.generations] or [length.total]
    steps = optimizer_steps(batches, options.loop.accumulate)
    options = replace(options, schedule=options.schedule.resolved(len(source), options.loop.accumulate))
    augmentation = BatchAugmentation(setup.augmentation)
    objective = setup.objective(generations)
    module_of.append(
        PlaceTraining(setup.model, objective, augmentation, options, steps, sampler.places.name, generations)
    )
    return module_of[0], source, length


def _first_weights(setup: TrainingSetup, out: Path) -> Mapping[str, Tensor]:
    """The weights that the run begins with, in its folder since it was first started.

    A file without a state beside it may be of another start, whose settings nobody compares: it is written anew.
    """
    path, network = out / INITIAL, setup.model.network
    if path.is_file() and (out / LAST).is_file():
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    elif setup.centres is not None:
        set_centres(setup.centres, setup.model, setup.images, setup.database, setup.options.seed)
    state = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    if not (path.is_file() and (out / LAST).is_file()) and launched_rank() == 0:
        write_atomically(path, partial(torch.save, state))
    return state
