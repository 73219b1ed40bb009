"""Which images form a batch: K images of each of P places, every place once per epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fol.data.training.places import TrainingPlaces
from fol.errors import ConfigError

Hard = Literal["none", "set", "group", "neighbourhood"]
Choice = Literal["recent", "random"]
Short = Literal["fewer", "repeat"]
#: Directions in which a cell of neighbouring places may be cut.
_DIRECTIONS = 6
_Places = NDArray[np.int64]


class PlaceBatchSampler:
    """Batches of ``places_per_batch`` places with ``images_per_place`` images each; a pure function of (seed, epoch).

    * ``hard``: ``"none"`` draws the places of a batch at random. ``"set"`` takes them from one of the sets that were
      merged (the same as ``"none"`` for a single set). ``"group"`` takes them from one group (city, floor,
      camera); what is left of the groups goes into batches of as few groups as possible. ``"neighbourhood"`` takes
      places that lie near each other: the cells of a k-d tree, cut along other axes and at other places in every epoch;
      places without a position form batches of their own. The published training walks through its cities one after the
      other, which gives batches of one city as ``"group"`` does (official: GSVCitiesDataset.py:60,76; train.py:61-66).
    * ``choice``: ``"random"`` images of a place, others in each epoch, or always the most ``"recent"``, as published.
    * ``short``: what a place with too few images gives: all of them once (``"fewer"``: batches vary in length) or some
      of them again (``"repeat"``: every batch is full; augmentation makes the copies differ).
    * ``drop_last``: leave out the batch that is not full. Otherwise a rest of a single place, which would have no
      negatives, joins the batch before it.

    Places that see the same thing may meet in a batch: ``never_negative`` says which pairs are no negatives.
    Raises ``ConfigError`` for a value out of range, and for a ``hard`` that the places have no data for.
    """

    def __init__(
        self,
        places: TrainingPlaces,
        places_per_batch: int,
        images_per_place: int,
        *,
        seed: int = 0,
        hard: Hard = "none",
        choice: Choice = "random",
        drop_last: bool = False,
        short: Short = "fewer",
    ) -> None:
        for name, value, low in (
            ("places_per_batch", places_per_batch, 2),
            ("images_per_place", images_per_place, 1),
            ("seed", seed, 0),
        ):
            if value < low:
                raise ConfigError(f"{name}={value}: it must be at least {low}")
        for name, text, allowed in (("hard", hard, Hard), ("choice", choice, Choice), ("short", short, Short)):
            if text not in get_args(allowed):
                raise ConfigError(f"{name}={text!r} is unknown; choose one of {', '.join(get_args(allowed))}")
        if hard == "group" and not any(places.groups):
            raise ConfigError(f"hard=group: {places.name} has no groups; its CSV needs a column such as city or floor")
        if hard == "neighbourhood" and places.positions is None:
            raise ConfigError(f"hard=neighbourhood: {places.name} has no positions; its CSV needs lat and lon, or UTM")
        self.places = places
        self.places_per_batch = places_per_batch
        self.images_per_place = images_per_place
        self.seed = seed
        self.hard = hard
        self.choice = choice
        self.drop_last = drop_last
        self.short = short

    def __len__(self) -> int:
        """Batches of an epoch, the same for every epoch and any number of ranks."""
        return len(self._lengths())

    def batches(self, epoch: int, rank: int = 0, world: int = 1) -> list[NDArray[np.int64]]:
        """Numbers of the images of each batch of an epoch, place by place.

        With ``world`` ranks each gets equally many whole places; the parts of all ranks in their order are the batch of
        one rank, less the places of the last batch that cannot be divided (fewer than ``world``). Raises
        ``ConfigError`` when the ranks would get unequal numbers of images.
        """
        if not 0 <= rank < world:
            raise ConfigError(f"rank {rank} of {world}: it must lie between 0 and {world - 1}")
        if self.places_per_batch % world:
            raise ConfigError(f"places_per_batch={self.places_per_batch} cannot be divided among {world} processes")
        order, starts = self._image_order(epoch), self.places.starts
        counts = np.minimum(np.diff(starts), self.images_per_place)
        batches = []
        for members in self.place_batches(epoch):
            share = len(members) // world
            if not share:
                raise ConfigError(
                    f"the last batch has {len(members)} places, fewer than the {world} processes: set drop_last, or "
                    "other places_per_batch"
                )
            parts = members[: share * world].reshape(world, share)
            if world > 1 and self.short == "fewer" and len(set(counts[parts].sum(axis=1).tolist())) > 1:
                raise ConfigError(
                    f"places with fewer than {self.images_per_place} images make the shares of {world} processes "
                    "unequal: set short=repeat, or raise min_images"
                )
            batches.append(np.concatenate([self._images(place, order, starts) for place in parts[rank]]))
        return batches

    def place_batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Numbers of the places of each batch of an epoch."""
        rng = np.random.default_rng([self.seed, epoch, 1])
        full, left = [], []
        for part in self._parts(rng):
            if self.hard == "neighbourhood":
                part = self._neighbours_together(part, rng)
            whole = len(part) // self.places_per_batch * self.places_per_batch
            full += np.split(part[:whole], whole // self.places_per_batch) if whole else []
            left.append(part[whole:])
        rest = np.concatenate(left)
        lengths = self._lengths()
        whole = (len(rest) // self.places_per_batch) * self.places_per_batch
        full += np.split(rest[:whole], whole // self.places_per_batch) if whole else []
        batches = [full[i] for i in rng.permutation(len(full))]
        if not self.drop_last and whole < len(rest):
            batches.append(rest[whole:])
        if len(batches) > len(lengths):  # a single place joins the batch before it
            batches[-2:] = [np.concatenate(batches[-2:])]
        return batches

    def _lengths(self) -> Sequence[int]:
        """Places of each batch."""
        full, rest = divmod(len(self.places.places), self.places_per_batch)
        lengths = [self.places_per_batch] * full
        if rest and not self.drop_last:
            if rest == 1 and full:
                lengths[-1] += 1
            else:
                lengths.append(rest)
        return lengths

    def _parts(self, rng: np.random.Generator) -> list[_Places]:
        """Places that belong together, each part shuffled, in random order."""
        keys = np.zeros(len(self.places.places), np.int64)
        if self.hard == "set" and self.places.sets is not None:
            keys = self.places.sets
        elif self.hard == "group":
            keys = np.unique(self.places.groups, return_inverse=True)[1].astype(np.int64)
        elif self.hard == "neighbourhood":
            assert self.places.positions is not None
            if self.places.frames is not None:
                keys = self.places.frames + 0
            keys[np.isnan(self.places.positions).any(axis=1)] = -1
        parts = [rng.permutation(np.flatnonzero(keys == key)) for key in np.unique(keys)]
        return [parts[i] for i in rng.permutation(len(parts))]

    def _neighbours_together(self, part: _Places, rng: np.random.Generator) -> _Places:
        """The same places in an order in which each full batch is a cell of a k-d tree."""
        assert self.places.positions is not None
        points = self.places.positions[part]
        if np.isnan(points).any():
            return part
        angles = rng.uniform(0, np.pi) + np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
        axes = np.stack([np.cos(angles), np.sin(angles)])
        cells = [np.arange(len(part))]
        while any(len(cell) > self.places_per_batch for cell in cells):
            cells = [half for cell in cells for half in self._halves(cell, points, axes, rng)]
        return part[np.concatenate(cells)]

    def _halves(
        self, cell: _Places, points: NDArray[np.float64], axes: NDArray[np.float64], rng: np.random.Generator
    ) -> list[_Places]:
        """A cell cut where both parts are most compact, near its middle, so that the first part is whole batches."""
        batches = -(-len(cell) // self.places_per_batch)
        if batches < 2:
            return [cell]
        cut = int(rng.integers(-(-batches // 3), batches * 2 // 3 + 1)) * self.places_per_batch
        centred = points[cell] - points[cell].mean(axis=0)
        orders = np.argsort(centred @ axes, axis=0, kind="stable").T
        # Within-part scatter is the whole scatter, the same for all, less what the parts' means explain; as the points
        # are centred, the sum over one part tells both means.
        explained = [float(np.square(centred[order[:cut]].sum(axis=0)).sum()) for order in orders]
        ordered = cell[orders[int(np.argmax(explained))]]
        return [ordered[:cut], ordered[cut:]]

    def _image_order(self, epoch: int) -> NDArray[np.int64]:
        """All images, place by place, in each place in the order in which they are taken."""
        if self.choice == "recent":
            return np.arange(len(self.places.images))
        keys = np.random.default_rng([self.seed, epoch, 2]).random(len(self.places.images))
        return np.lexsort((keys, self.places.place_of_image)).astype(np.int64)

    def _images(self, place: int, order: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
        own = order[starts[place] : starts[place + 1]]
        if self.short == "repeat":
            return own[np.arange(self.images_per_place) % len(own)]
        return own[: self.images_per_place]
