"""What a training run is made of, and how the parts are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from fol.losses.weak_options import RegionLossOptions, WeakLossOptions
from fol.models import PlaceModel
from fol.models.global_network import GlobalNetwork
from fol.reranking import RerankOptions
from fol.training.batches import BatchSource, PlaceBatches, RunLength
from fol.training.distributed import launched_rank
from fol.training.generations import Generations
from fol.training.module import PlaceTraining
from fol.training.objectives import Objective, place_objective
from fol.training.options import TrainingOptions
from fol.training.weak_batches import WeakBatches, WeakSampling
from fol.training.weak_objectives import RegionObjective, WeakObjective

Losses: TypeAlias = FoLLossOptions | MultiSimilarityOptions | WeakLossOptions | RegionLossOptions
INITIAL = "initial.pt"
DESCRIPTORS = "mining.f32"
_KMEANS_PHOTOS, _KMEANS_LOCATIONS = 500, 100  # OpenIBL, examples/cluster.py


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """What a run is made of.

    ``identity``: settings that must not change between a run and its resumption; the model's card, the losses, the
    optimiser, the schedule and the augmentation are always compared. Of weakly supervised runs: ``generations`` are the
    epochs of each generation of SFRS, ``kmeans`` sets NetVLAD's centres before the first step.
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
    kmeans: bool = False
    identity: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line: what is learned from."""
        if isinstance(self.sampler, WeakSampling):
            return self.sampler.places.summary
        places = self.sampler.places
        return f"{places.name}: {len(places.images)} photos of {len(places.places)} places"


def assemble(setup: TrainingSetup, out: Path) -> tuple[PlaceTraining, BatchSource, RunLength]:
    """Module, batches and length of the run in ``out``; ``ConfigError`` for parts that do not go together."""
    options, sampler = setup.options, setup.sampler
    if isinstance(sampler, PlaceBatchSampler):
        if not isinstance(setup.losses, FoLLossOptions | MultiSimilarityOptions):
            raise ConfigError("these losses learn from tuples: give weak.folders instead of places")
        source = PlaceBatches(sampler)
        length = _length(len(source), options, options.loop.epochs)
        return _module(setup, place_objective(setup.losses, sampler.places), [length], None), source, length
    if not isinstance(setup.losses, WeakLossOptions | RegionLossOptions):
        raise ConfigError("these losses learn from places: give places.folders instead of weak")
    if setup.workers:
        raise ConfigError("batch.workers: tuples are mined while the run goes on, by this process; set batch.workers=0")
    generations = None
    if isinstance(setup.losses, RegionLossOptions):
        generations = Generations(setup.generations)
    if setup.kmeans or generations is not None:
        first = _first_weights(setup, out)
        if generations is not None:
            generations.initial = first
    module_of: list[PlaceTraining] = []
    dim = setup.model.network(torch.zeros(1, 3, *setup.model.card.preprocessing.image_size)).descriptor.shape[1]
    weak = WeakBatches(
        sampler,
        dim,
        lambda rows, numbers: module_of[0].describe(setup.images, rows, numbers, options.validation.batch_size),
        lambda epoch: module_of[0].begin_epoch(epoch),
        out / DESCRIPTORS,
        setup.model.device,
        options.loop.devices,
    )
    epochs = sum(setup.generations) if generations is not None else options.loop.epochs
    length = _length(len(weak), options, epochs)
    lengths = [length]
    if generations is not None:
        lengths = [RunLength(len(weak), len(weak) * count) for count in setup.generations]
    objective: Objective
    if isinstance(setup.losses, RegionLossOptions):
        assert generations is not None
        objective = RegionObjective(setup.losses, generations)
    else:
        objective = WeakObjective(setup.losses)
    module_of.append(_module(setup, objective, lengths, generations))
    return module_of[0], weak, length


def _module(
    setup: TrainingSetup, objective: Objective, lengths: Sequence[RunLength], generations: Generations | None
) -> PlaceTraining:
    steps = [-(-length.total // setup.options.loop.accumulate) for length in lengths]
    name = setup.sampler.places.name
    augmentation = BatchAugmentation(setup.augmentation)
    return PlaceTraining(setup.model, objective, augmentation, setup.options, steps, name, generations)


def _length(per_epoch: int, options: TrainingOptions, epochs: int) -> RunLength:
    length = RunLength.of(per_epoch, epochs, options.loop.steps)
    if not length.total:
        raise ConfigError("the training set gives no batch: lower batch.places, or set batch.drop_last=false")
    return length


def _set_centres(setup: TrainingSetup) -> None:
    """NetVLAD's centres and assignment from the local features of some photos, decided by the seed."""
    network = setup.model.network
    if not isinstance(network, GlobalNetwork):
        raise ConfigError(f"weak.kmeans=true: {setup.model.name} has no NetVLAD to set the centres of")
    generator = torch.Generator().manual_seed(setup.options.seed)
    chosen = torch.randperm(len(setup.images), generator=generator)[:_KMEANS_PHOTOS].tolist()
    preprocessing, device = setup.model.card.preprocessing, setup.model.device
    read = partial(_normalised, preprocessing)
    rows = [
        network.sample_features(read(setup.images[number]).to(device), _KMEANS_LOCATIONS, generator)
        for number in chosen
    ]
    network.aggregation.initialise(torch.cat(rows), setup.options.seed)


def _normalised(preprocessing: Any, image: Tensor) -> Tensor:
    normalised: Tensor = preprocessing.normalise(image[None].float().div(255))
    return normalised


def _first_weights(setup: TrainingSetup, out: Path) -> Mapping[str, Tensor]:
    """The weights that the run begins with, in its folder since it was first started."""
    path, network = out / INITIAL, setup.model.network
    if path.is_file():
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    elif setup.kmeans:
        _set_centres(setup)
    state = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    if not path.is_file() and launched_rank() == 0:
        write_atomically(path, partial(torch.save, state))
    return state
