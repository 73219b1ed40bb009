"""The batches of a whole run in their order, from any position on (Lightning data module)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fol.data.training import PlaceBatchSampler, PlaceImages
from fol.errors import ConfigError
from fol.training.distributed import rank, world_size

#: Number of an image in the training set, and what it is for in its batch (0 where all are for the same).
Slot = tuple[int, int]


class TrainingBatch(NamedTuple):
    """``images [B, 3, H, W]`` uint8, their ``numbers [B]`` in the training set, and their ``roles [B]`` in the batch.

    A named tuple because Lightning moves those to the device as they are.
    """

    images: Tensor
    numbers: Tensor
    roles: Tensor


class BatchSource(Protocol):
    """Which images each batch of a run has."""

    @property
    def seed(self) -> int:
        """What decides everything that is drawn."""

    def __len__(self) -> int:
        """Batches of an epoch, the same for every epoch."""

    def batches(self, epoch: int, position: int, rank: int, world: int) -> Iterator[list[Slot]]:
        """The batches of an epoch from number ``position`` on, of one rank."""

    def state_dict(self) -> dict[str, Any]:
        """What the next batches depend on besides the seed and the position."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""


@dataclass(frozen=True, eq=False)
class PlaceBatches:
    """Batches of places: a pure function of (seed, epoch)."""

    sampler: PlaceBatchSampler

    @property
    def seed(self) -> int:
        """See ``BatchSource``."""
        return self.sampler.seed

    def __len__(self) -> int:
        return len(self.sampler)

    def batches(self, epoch: int, position: int, rank: int, world: int) -> Iterator[list[Slot]]:
        """See ``BatchSource``."""
        for batch in self.sampler.batches(epoch, rank, world)[position:]:
            yield [(number, 0) for number in batch.tolist()]

    def state_dict(self) -> dict[str, Any]:
        """See ``BatchSource``."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``BatchSource``."""


@dataclass(frozen=True)
class RunLength:
    """Batches of a run: ``per_epoch`` (the same in every epoch) and in all."""

    per_epoch: int
    total: int

    @staticmethod
    def of(per_epoch: int, epochs: int, steps: int | None) -> RunLength:
        """``steps`` wins over ``epochs`` when it ends the run earlier."""
        total = per_epoch * epochs
        return RunLength(per_epoch, total if steps is None else min(steps, total))


class _Slots(Dataset[tuple[Slot, Tensor]]):
    def __init__(self, images: PlaceImages) -> None:
        self.images = images

    def __getitem__(self, slot: Slot) -> tuple[Slot, Tensor]:
        return slot, self.images[slot[0]]


def _collate(items: list[tuple[Slot, Tensor]]) -> TrainingBatch:
    slots, photos = zip(*items, strict=True)
    numbers, roles = torch.tensor(slots).unbind(1)
    return TrainingBatch(torch.stack(photos), numbers, roles)


class _Batches:
    """Every batch of the run from ``start`` on; epoch after epoch as one sequence."""

    def __init__(self, source: BatchSource, length: RunLength, start: int) -> None:
        self.source, self.length, self.start = source, length, start

    def __iter__(self) -> Iterator[list[Slot]]:
        number = self.start
        while number < self.length.total:
            epoch, position = divmod(number, self.length.per_epoch)
            for batch in self.source.batches(epoch, position, rank(), world_size()):
                yield batch
                number += 1
                if number == self.length.total:
                    return

    def __len__(self) -> int:
        return self.length.total


class TrainingBatches(lightning.LightningDataModule):
    """The run as one long sequence of batches. ``done`` of them lie behind.

    To Lightning the run is a single epoch: its own restarts at epoch borders are then never needed, and a run resumes
    in the same way wherever it was stopped.
    """

    def __init__(self, images: PlaceImages, source: BatchSource, length: RunLength, workers: int = 0) -> None:
        super().__init__()
        self.images, self.source, self.length, self.workers = images, source, length, workers
        self.done = 0

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.done // self.length.per_epoch

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches from ``done`` on; its length is that of the whole run, as Lightning counts."""
        loader: DataLoader[Any] = DataLoader(
            _Slots(self.images),
            batch_sampler=_Batches(self.source, self.length, self.done),
            collate_fn=_collate,
            num_workers=self.workers,
        )
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Position in the run."""
        fixed = {"done": self.done, "per_epoch": self.length.per_epoch, "seed": self.source.seed}
        return {**fixed, "source": self.source.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken; ``ConfigError`` when its batches were others."""
        for name, now in (("per_epoch", self.length.per_epoch), ("seed", self.source.seed)):
            if state[name] != now:
                raise ConfigError(
                    f"the run that is to go on had {name}={state[name]} in its batches, now it is {now}: the training "
                    "photos or settings have changed; train in another folder"
                )
        self.done = int(state["done"])
        self.source.load_state_dict(state.get("source", {}))
