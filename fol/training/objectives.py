"""What is learned from a batch: one class per kind of supervision, all in the same loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from fol.data.training import TrainingPlaces, never_negative
from fol.errors import ConfigError
from fol.losses import FoLLoss, FoLLossOptions, LossTerms, MultiSimilarityOptions
from fol.losses.multi_similarity import multi_similarity
from fol.losses.weak import sare_inbatch
from fol.losses.weak_options import InBatchLossOptions
from fol.models.fol import FoL
from fol.training.batches import TrainingBatch
from fol.training.distributed import gather_batch, rank


@dataclass(frozen=True, eq=False)
class Step:
    """Losses of a batch, and its ``descriptors [B, D]``, whose spread tells whether photos are still told apart."""

    losses: LossTerms
    descriptors: Tensor


class Objective(Protocol):
    """From photos of a batch to losses."""

    def check(self, network: nn.Module, name: str) -> None:
        """``ConfigError`` when the network, called ``name``, cannot be trained so."""

    def __call__(self, network: nn.Module, photos: Tensor, batch: TrainingBatch, seed: int) -> Step:
        """Losses of ``photos [B, 3, H, W]``, augmented and normalised; ``seed`` decides what is random."""


@dataclass(frozen=True, eq=False)
class FoLObjective:
    """The FoL losses, on the joint batch of all ranks."""

    losses: FoLLoss
    places: TrainingPlaces

    def check(self, network: nn.Module, name: str) -> None:
        """See ``Objective``."""
        if not isinstance(network, FoL):
            raise ConfigError(f"{name} has no local features: the FoL losses need a two-stage model")

    def __call__(self, network: nn.Module, photos: Tensor, batch: TrainingBatch, seed: int) -> Step:
        """See ``Objective``."""
        output = network(photos, training=True)
        output, numbers = gather_batch(output), gather_batch(batch.numbers)
        labels, never = place_labels(self.places, numbers, photos.device)
        with torch.autocast(photos.device.type, enabled=False):
            generator = torch.Generator(photos.device).manual_seed(seed - rank())
            losses: LossTerms = self.losses(output, labels, generator=generator, never_negative=never)
        return Step(losses, output.descriptor)


@dataclass(frozen=True, eq=False)
class DescriptorObjective:
    """A ``loss`` of the joint batch's descriptors alone, of their place ids and of the pairs that are no negatives.

    Multi-similarity for single-stage models (SALAD: models/aggregators/salad.py, main.py), SARE inside of batches.
    """

    name: str
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    places: TrainingPlaces

    def check(self, network: nn.Module, name: str) -> None:
        """See ``Objective``."""

    def __call__(self, network: nn.Module, photos: Tensor, batch: TrainingBatch, seed: int) -> Step:
        """See ``Objective``."""
        descriptors = gather_batch(network(photos).descriptor)
        labels, never = place_labels(self.places, gather_batch(batch.numbers), photos.device)
        with torch.autocast(photos.device.type, enabled=False):
            value = self.loss(descriptors.float(), labels, never)
        return Step(LossTerms(value, {self.name: value}, {}), descriptors)


def place_labels(places: TrainingPlaces, numbers: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Place ids ``[B]`` of photos, and which pairs ``[B, B]`` are never negatives of each other."""
    found = numbers.cpu()
    labels = torch.from_numpy(places.place_of_image)[found].to(device)
    return labels, never_negative(places, found.numpy()).to(device)


def place_objective(
    losses: FoLLossOptions | MultiSimilarityOptions | InBatchLossOptions, places: TrainingPlaces
) -> Objective:
    """The objective of these losses for batches of places."""
    if isinstance(losses, FoLLossOptions):
        return FoLObjective(FoLLoss(losses), places)
    if isinstance(losses, InBatchLossOptions):
        pairs = losses.pairs
        return DescriptorObjective(pairs.name, lambda x, labels, never: sare_inbatch(x, labels, pairs, never), places)
    options = losses
    return DescriptorObjective(
        "multi_similarity", lambda x, labels, never: multi_similarity(x, labels, options, never), places
    )
