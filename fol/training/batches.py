"""The batches of a whole run in their order, from any position on (Lightning data module)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fol.data.training import PlaceBatchSampler, PlaceImages
from fol.errors import ConfigError
from fol.training.distributed import rank, world_size


class TrainingBatch(NamedTuple):
    """``images [B, 3, H, W]`` uint8 and their ``numbers [B]`` in the training set, place by place.

    A named tuple because Lightning moves those to the device as they are.
    """

    images: Tensor
    numbers: Tensor


@dataclass(frozen=True)
class RunLength:
    """Batches of a run: ``per_epoch`` (the same in every epoch) and in all."""

    per_epoch: int
    total: int

    @staticmethod
    def of(sampler: PlaceBatchSampler, epochs: int, steps: int | None) -> RunLength:
        """``steps`` wins over ``epochs`` when it ends the run earlier."""
        per_epoch = len(sampler)
        total = per_epoch * epochs
        return RunLength(per_epoch, total if steps is None else min(steps, total))


class _Numbered(Dataset[tuple[int, Tensor]]):
    def __init__(self, images: PlaceImages) -> None:
        self.images = images

    def __getitem__(self, number: int) -> tuple[int, Tensor]:
        return number, self.images[number]


def _collate(items: list[tuple[int, Tensor]]) -> TrainingBatch:
    numbers, photos = zip(*items, strict=True)
    return TrainingBatch(torch.stack(photos), torch.tensor(numbers))


class _Batches:
    """Image numbers of every batch of the run from ``start`` on; epoch after epoch as one sequence."""

    def __init__(self, sampler: PlaceBatchSampler, length: RunLength, start: int) -> None:
        self.sampler, self.length, self.start = sampler, length, start

    def __iter__(self) -> Iterator[list[int]]:
        number = self.start
        while number < self.length.total:
            epoch, position = divmod(number, self.length.per_epoch)
            batches: list[NDArray[np.int64]] = self.sampler.batches(epoch, rank(), world_size())
            for batch in batches[position : position + self.length.total - number]:
                yield batch.tolist()
                number += 1

    def __len__(self) -> int:
        return self.length.total


class TrainingBatches(lightning.LightningDataModule):
    """The run as one long sequence of batches. ``done`` of them lie behind; that number is the sampler's whole state.

    To Lightning the run is a single epoch: its own restarts at epoch borders are then never needed, and a run resumes
    in the same way wherever it was stopped.
    """

    def __init__(self, images: PlaceImages, sampler: PlaceBatchSampler, length: RunLength, workers: int = 0) -> None:
        super().__init__()
        self.images, self.sampler, self.length, self.workers = images, sampler, length, workers
        self.done = 0

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.done // self.length.per_epoch

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches from ``done`` on; its length is that of the whole run, as Lightning counts."""
        loader: DataLoader[Any] = DataLoader(
            _Numbered(self.images),
            batch_sampler=_Batches(self.sampler, self.length, self.done),
            collate_fn=_collate,
            num_workers=self.workers,
        )
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Position in the run."""
        return {"done": self.done, "per_epoch": self.length.per_epoch, "seed": self.sampler.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken; ``ConfigError`` when its batches were others."""
        for name, now in (("per_epoch", self.length.per_epoch), ("seed", self.sampler.seed)):
            if state[name] != now:
                raise ConfigError(
                    f"the run that is to go on had {name}={state[name]} in its batches, now it is {now}: the training "
                    "photos or settings have changed; train in another folder"
                )
        self.done = int(state["done"])
