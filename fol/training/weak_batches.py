"""Batches of weakly supervised tuples, mined with the network as it is: round after round of queries.

Before each round all photos are described anew, in evaluation mode and without augmentation, and the tuples of its
queries are mined (OpenIBL: ibl/utils/data/sampler.py, examples/netvlad_img.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fol.data.training import TrainingPlaces
from fol.data.training.weak_places import WeakPlaces
from fol.errors import ConfigError
from fol.training.batches import Slot
from fol.training.distributed import gather_objects, rank, wait_for_all, world_size
from fol.training.mining import MiningOptions, NegativeMemory, Neighbours, WeakTuples, find_neighbours, mine

QUERY, POSITIVE, NEGATIVE, DIFFICULT = range(4)
ROLES = 4  # a slot's role is that of its image, plus so many times the number of its tuple


@dataclass(frozen=True, eq=False)
class WeakSampling:
    """What the tuples of a run are made from.

    ``tuples`` a batch has on each rank; ``round`` queries go from one description of all photos to the next, twice as
    many after every ``round_doubles_every`` epochs, counted anew in each generation, as the learning rate is (OpenIBL:
    examples/netvlad_img_sfrs.py; NetVLAD: trainWeakly.m); None: always as many.
    """

    places: WeakPlaces
    mining: MiningOptions
    tuples: int = 4
    round: int = 1000
    seed: int = 0
    round_doubles_every: int | None = None

    def check(self) -> None:
        """``ConfigError`` for a value out of range."""
        self.mining.check()
        for name, value, low in (
            ("tuples", self.tuples, 1),
            ("round", self.round, 1),
            ("round_doubles_every", self.round_doubles_every, 1),
            ("seed", self.seed, 0),
        ):
            if value is not None and value < low:
                raise ConfigError(f"weak.{name}={value}: it must be at least {low}")


class WeakBatches:
    """See ``BatchSource``. ``describe`` writes the rows of some photos into the descriptors ``[M, D]`` of all.

    ``before_round`` is called with the epoch, and says whether there is a teacher: without one no difficult positives
    are chosen, as nothing is learned from them. ``file`` holds the descriptors of the round. ``first_epoch`` of the
    generation that an epoch belongs to.
    """

    def __init__(
        self,
        sampling: WeakSampling,
        dim: int,
        describe: Callable[[NDArray[np.float32], Sequence[int]], None],
        before_round: Callable[[int], bool],
        file: Path,
        device: torch.device | str,
        world: int = 1,
        first_epoch: Callable[[int], int] = lambda epoch: 0,
    ) -> None:
        sampling.check()
        self.sampling, self.dim, self.world = sampling, dim, world
        self.describe, self.before_round, self.file, self.device = describe, before_round, file, device
        self.first_epoch = first_epoch
        self.memory = NegativeMemory.empty(sampling.places, sampling.mining)
        self._round: tuple[int, int] | None = None  # epoch and number
        self._tuples: WeakTuples | None = None

    @property
    def seed(self) -> int:
        """See ``BatchSource``."""
        return self.sampling.seed

    def __len__(self) -> int:
        return sum(batches for _, batches in self._rounds(0))

    def batches(self, epoch: int, position: int, rank: int, world: int) -> Iterator[list[Slot]]:
        """See ``BatchSource``. Of a round with fewer tuples than batches, some come again."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.sampling.places.queries)
        first = 0
        start = 0
        for number, (queries, count) in enumerate(self._rounds(epoch)):
            if position < first + count:
                if self._round != (epoch, number):
                    self._mine(epoch, number, np.sort(order[start : start + queries]))
                assert self._tuples is not None
                shuffled = np.random.default_rng([self.seed, epoch, number, 1]).permutation(len(self._tuples))
                shares = np.array_split(np.resize(shuffled, max(len(shuffled), count * world)), count * world)
                for batch in range(position - first, count):
                    yield self._slots(shares[batch * world + rank])
                position = first + count
            first, start = first + count, start + queries

    def state_dict(self) -> dict[str, Any]:
        """See ``BatchSource``: the tuples of the round, which the network that mined them is needed for, and memory."""
        tuples = self._tuples
        fields = () if tuples is None else (tuples.query, tuples.positive, tuples.negatives, tuples.difficult)
        return {
            "round": None if self._round is None else list(self._round),
            "tuples": [torch.from_numpy(field.copy()) for field in fields],
            "memory": self.memory.state_dict(),
            "photos": self.sampling.places.digest,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``BatchSource``; ``ConfigError`` where the numbers of photos in ``state`` mean others."""
        photos = state.get("photos")  # runs of older versions did not note them
        if photos is not None and photos != self.sampling.places.digest:
            raise ConfigError(
                f"the run that is to go on mined its tuples from other photos than {self.sampling.places.summary}: "
                "give the same weak.folders, weak.synthetic and places.* with the same photos, or choose another out="
            )
        self.memory = NegativeMemory.from_state(state["memory"], self.sampling.places, self.sampling.mining)
        self._round = None if state["round"] is None else (state["round"][0], state["round"][1])
        self._tuples = WeakTuples(*(field.numpy() for field in state["tuples"])) if state["tuples"] else None

    def _rounds(self, epoch: int) -> list[tuple[int, int]]:
        """Queries and batches of each round of an epoch.

        Longer rounds are made of those of the first epoch, so that every epoch has equally many batches.
        """
        queries, each, every = len(self.sampling.places.queries), self.sampling.round, self.sampling.round_doubles_every
        sizes = [min(each, queries - start) for start in range(0, queries, each)]
        rounds = [(size, -(-size // (self.sampling.tuples * self.world))) for size in sizes]
        doubled = 0 if every is None else (epoch - self.first_epoch(epoch)) // every
        together = min(2**doubled, len(rounds))
        parts = [rounds[start : start + together] for start in range(0, len(rounds), together)]
        return [(sum(size for size, _ in part), sum(batches for _, batches in part)) for part in parts]

    def _mine(self, epoch: int, number: int, queries: NDArray[np.int64]) -> None:
        sampling = self.sampling
        options = sampling.mining
        if not self.before_round(epoch):
            options = replace(options, pos_num=0)
        features = self._descriptors()
        neighbours = None
        if options.pos_num:
            part = (rank(), world_size())
            parts = gather_objects(find_neighbours(features, sampling.places, options, device=self.device, part=part))
            neighbours = {group: Neighbours.join([own[group] for own in parts]) for group in parts[0]}

        def mined(chosen: MiningOptions) -> WeakTuples:
            seed = (self.seed, epoch, number)
            return mine(
                features, sampling.places, queries, chosen, self.memory, seed, neighbours=neighbours, device=self.device
            )

        tuples = mined(options)
        if not len(tuples) and options.violating_only:
            # All is learned here: the hardest give a loss of zero, and the run goes on to the next round.
            tuples = mined(replace(options, violating_only=False))
        if not len(tuples):
            raise ConfigError(
                f"none of {len(queries)} queries has a photo outside of weak.radii.exclusion_radius="
                f"{sampling.places.radii.exclusion_radius:g}: lower it, or give more photos"
            )
        self._tuples = tuples
        self.memory = self.memory.updated(sampling.places, tuples)
        self._round = (epoch, number)

    def _descriptors(self) -> NDArray[np.float32]:
        """Of all photos, by all ranks together."""
        count = len(self.sampling.places.images)
        if rank() == 0:
            with self.file.open("wb") as file:
                file.truncate(count * self.dim * 4)
        wait_for_all()
        features: NDArray[np.float32] = np.memmap(self.file, np.float32, "r+", shape=(count, self.dim))
        self.describe(features, range(count)[rank() :: world_size()])
        wait_for_all()
        return features

    def _slots(self, members: NDArray[np.int64]) -> list[Slot]:
        assert self._tuples is not None
        slots: list[Slot] = []
        for number, member in enumerate(members.tolist()):
            own = (
                (QUERY, self._tuples.query[[member]]),
                (POSITIVE, self._tuples.positive[[member]]),
                (NEGATIVE, self._tuples.negatives[member]),
                (DIFFICULT, self._tuples.difficult[member]),
            )
            slots += [(image, number * ROLES + role) for role, images in own for image in images.tolist() if image >= 0]
        return slots


def single_places(places: WeakPlaces) -> TrainingPlaces:
    """The photos as a training set in which each is a place of its own, as photos are read by place."""
    numbers = np.arange(len(places.images))
    names = tuple(str(number) for number in numbers.tolist())
    none = np.empty((0, 2), np.int64)
    return TrainingPlaces(places.name, places.images, numbers, names, ("",) * len(names), None, none)
