"""Photos by place: what a network is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fol.data.coordinates import within_radius
from fol.errors import ConfigError, DataError
from fol.types import Position

#: Metres below which two places are not used as negatives of each other: the radius of a right answer in evaluation.
SAME_PLACE_RADIUS = 25.0
HeldOutBy = Literal["place", "group"]


@dataclass(frozen=True, eq=False)
class TrainingPlaces:
    """N photos of P places.

    ``images`` N, grouped by place, in each place the most recent first where dates are known; ``place_of_image [N]`` in
    0..P-1, ascending; ``places`` P names; ``groups`` P: city, floor, camera ("" where unknown); ``positions [P, 2]``
    easting and northing in metres, NaN where unknown, None where all are; ``overlapping [M, 2]`` pairs of places that
    are never negatives of each other; ``frames [P]`` which coordinate frame a position is in (distances between frames
    mean nothing), None when all are in one; ``sets [P]`` which of several merged sets a place is from, None when there
    was one.
    """

    name: str
    images: tuple[Path, ...]
    place_of_image: NDArray[np.int64]
    places: tuple[str, ...]
    groups: tuple[str, ...]
    positions: NDArray[np.float64] | None
    overlapping: NDArray[np.int64]
    frames: NDArray[np.int64] | None = None
    sets: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if len(self.images) != len(self.place_of_image) or len(self.places) != len(self.groups):
            raise ValueError("images and place_of_image, places and groups must be equally long")
        if not np.array_equal(np.unique(self.place_of_image), np.arange(len(self.places))):
            raise ValueError("every place needs an image, and every image a place")
        if (np.diff(self.place_of_image) < 0).any():
            raise ValueError("images must be grouped by place, in the order of places")

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """``[P + 1]``: the images of place p are the numbers ``starts[p]`` to ``starts[p + 1] - 1``."""
        return np.searchsorted(self.place_of_image, np.arange(len(self.places) + 1)).astype(np.int64)

    def select(self, places: NDArray[np.int64], name: str | None = None) -> TrainingPlaces:
        """The given places alone, in the given order; pairs of ``overlapping`` with others are dropped."""
        new = np.full(len(self.places), -1, np.int64)
        new[places] = np.arange(len(places))
        numbers = [np.arange(self.starts[p], self.starts[p + 1]) for p in places]
        pairs = new[self.overlapping].reshape(-1, 2)
        return TrainingPlaces(
            self.name if name is None else name,
            tuple(self.images[i] for group in numbers for i in group),
            np.repeat(np.arange(len(places)), [len(group) for group in numbers]).astype(np.int64),
            tuple(self.places[p] for p in places),
            tuple(self.groups[p] for p in places),
            None if self.positions is None else self.positions[places],
            pairs[(pairs >= 0).all(axis=1)],
            None if self.frames is None else self.frames[places],
            None if self.sets is None else self.sets[places],
        )


def merge_places(sets: Sequence[TrainingPlaces]) -> TrainingPlaces:
    """One set of several; names of places and groups begin with the name of their set, and stay apart.

    Coordinates keep their frames: places of different sets are never near each other. A set may be given several times
    to be seen more often; its places are no negatives of themselves. Raises ``DataError`` for none.
    """
    if not sets:
        raise DataError("no training set was given: name at least one folder")
    counts = Counter(s.name for s in sets)
    seen: Counter[str] = Counter()
    names = []
    for s in sets:
        seen[s.name] += 1
        names.append(s.name if counts[s.name] == 1 else f"{s.name} ({seen[s.name]})")
    offsets = np.cumsum([0, *(len(s.places) for s in sets)])
    positions, frames, frame = [], [], 0
    for s in sets:
        positions.append(np.full((len(s.places), 2), np.nan) if s.positions is None else s.positions)
        own = np.zeros(len(s.places), np.int64) if s.frames is None else s.frames
        frames.append(own + frame)
        frame = int(frames[-1].max()) + 1
    return TrainingPlaces(
        " + ".join(names),
        tuple(image for s in sets for image in s.images),
        np.concatenate([s.place_of_image + k for s, k in zip(sets, offsets, strict=False)]),
        tuple(f"{n}/{place}" for s, n in zip(sets, names, strict=True) for place in s.places),
        tuple(f"{n}/{group}" if group else n for s, n in zip(sets, names, strict=True) for group in s.groups),
        np.concatenate(positions) if any(s.positions is not None for s in sets) else None,
        _overlapping(sets, offsets),
        np.concatenate(frames),
        np.repeat(np.arange(len(sets)), [len(s.places) for s in sets]).astype(np.int64),
    )


def _overlapping(sets: Sequence[TrainingPlaces], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sets' own pairs ``[M, 2]``, those of places with a photo in common, and those that follow from both."""
    own = [s.overlapping + offset for s, offset in zip(sets, offsets, strict=False)]
    neighbours: dict[int, list[int]] = {}
    for a, b in np.concatenate(own).tolist():
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    owners: dict[Path, list[int]] = {}
    shared: set[tuple[int, int]] = set()
    for s, offset in zip(sets, offsets, strict=False):
        for image, place in zip(real_images(s.images), (s.place_of_image + offset).tolist(), strict=True):
            known = owners.setdefault(image, [])
            for first in known:
                if first < offset:
                    others = {other for other in neighbours.get(first, ()) if other < offset}
                    shared |= {(other, place) for other in {first, *others}}
            known.append(place)
    return np.concatenate([*own, np.array(sorted(shared), np.int64).reshape(-1, 2)]).reshape(-1, 2)


def real_images(images: Sequence[Path]) -> list[Path]:
    """The images by one spelling of their folders, whether those were given relative, absolute or as a link."""
    folders = {folder: folder.resolve() for folder in {image.parent for image in images}}
    return [folders[image.parent] / image.name for image in images]


def split_places(
    places: TrainingPlaces, share: float, seed: int, by: HeldOutBy = "place"
) -> tuple[TrainingPlaces, TrainingPlaces]:
    """(train, held out): about ``share`` of the places kept apart, at random but decided by ``seed``.

    No photo of what a held-out place sees is trained on. ``by="place"``: places that overlap, or lie within
    ``SAME_PLACE_RADIUS`` of each other, stay together, also over several steps. ``by="group"``: whole groups are held
    out, and training places that overlap with or lie near a held-out one are left out of both. Parts are held out in
    random order as long as they fit into ``share``; where none does, the smallest part is. Raises ``ConfigError`` for a
    value out of range, and when nothing would be left to train on.
    """
    if by not in get_args(HeldOutBy):
        raise ConfigError(f"held-out places are chosen by {by!r}: choose one of {', '.join(get_args(HeldOutBy))}")
    if not 0 < share < 1:
        raise ConfigError(f"share of held-out places is {share}: it must lie between 0 and 1")
    pairs = np.concatenate([places.overlapping, _near_pairs(places)])
    parts = (
        _components(len(places.places), pairs) if by == "place" else np.unique(places.groups, return_inverse=True)[1]
    )
    sizes = np.bincount(parts)
    order = np.random.default_rng([seed, 0x5917]).permutation(len(sizes))
    limit, taken, chosen = share * len(places.places), 0, []
    for part in order.tolist():
        if taken + sizes[part] <= limit:
            chosen.append(part)
            taken += int(sizes[part])
    held = np.isin(parts, chosen or [int(order[np.argmin(sizes[order])])])
    train = ~held
    train[pairs[held[pairs].any(axis=1)].ravel()] = False
    if not train.any():
        what = "places that overlap each other" if by == "place" else f"group ({places.groups[0]!r})"
        raise ConfigError(
            f"{places.name}: cannot be split, all its places are one {what}: hold out another set instead"
        )
    numbers = np.arange(len(places.places))
    return places.select(numbers[train]), places.select(numbers[held])


def never_negative(
    places: TrainingPlaces, image_numbers: NDArray[np.int64], *, radius: float = SAME_PLACE_RADIUS
) -> Tensor:
    """``[B, B]`` bool: pairs of images of different places that may see the same thing.

    Those are the pairs of ``overlapping``, and places nearer to each other than ``radius`` metres. Images of one place
    are False here: they are positives.
    """
    members, row = np.unique(places.place_of_image[image_numbers], return_inverse=True)
    near = np.zeros((len(members), len(members)), bool)
    pairs = places.overlapping[np.isin(places.overlapping, members).all(axis=1)]
    first, second = np.searchsorted(members, pairs).reshape(-1, 2).T
    near[first, second] = near[second, first] = True
    if places.positions is not None and radius > 0:
        points = places.positions[members]
        # comparisons with NaN, where a position is unknown, are False
        close = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) < radius
        if places.frames is not None:
            close &= places.frames[members][:, None] == places.frames[members][None]
        near |= close
    np.fill_diagonal(near, False)
    return torch.from_numpy(near[row][:, row])


def _near_pairs(places: TrainingPlaces) -> NDArray[np.int64]:
    """``[M, 2]`` pairs of places within ``SAME_PLACE_RADIUS`` of each other, the smaller number first."""
    if places.positions is None:
        return np.empty((0, 2), np.int64)
    frames = np.zeros(len(places.places), np.int64) if places.frames is None else places.frames
    pairs = []
    for frame in np.unique(frames):
        here = np.flatnonzero((frames == frame) & ~np.isnan(places.positions).any(axis=1))
        points = [Position(float(east), float(north)) for east, north in places.positions[here]]
        for first, found in zip(here, within_radius(points, points, SAME_PLACE_RADIUS), strict=True):
            pairs += [(int(first), int(second)) for second in here[found] if second > first]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _components(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[count]``: number of the connected component of each node in the graph of ``pairs``."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for first, second in pairs.tolist():
        parent[root(first)] = root(second)
    found: NDArray[np.int64] = np.unique([root(node) for node in range(count)], return_inverse=True)[1].astype(np.int64)
    return found
