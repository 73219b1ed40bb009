"""Queries and database of which only positions are known: what may be a positive, and what may not be a negative.

Radii and rules are those of NetVLAD (Relja/netvlad, datasets/dbBase.m) and OpenIBL (ibl/utils/data/dataset.py).
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fol.data.coordinates import planar_frames
from fol.data.dataset import PlaceDataset, all_positions, read_dataset
from fol.data.images import printable
from fol.errors import ConfigError, DataError
from fol.types import Place

DifferentTimes = Literal["auto", "always", "never"]
_MONTH = re.compile(r"\d{6}")  # time stamps of the Tokyo Time Machine: year and month
_SLACK = 1e-7  # metres, so that radii are inclusive for coordinates written in decimals
_AT_ONCE = 4096  # queries whose neighbours are held at once


@dataclass(frozen=True)
class RadiusOptions:
    """Metres, all inclusive but ``least_distance``.

    A database photo within ``positive_radius`` of a query, and farther than ``least_distance`` where that is above 0
    (NetVLAD's MATLAB code: 1), may be its positive; one within ``exclusion_radius`` is never its negative.

    ``gps_noise``: standard deviation of the Gaussian noise that is added to easting and northing of every capture once,
    decided by ``seed``: photos of one panorama are one capture and move together, on both sides. Positives and
    exclusion then follow from the noisy positions alone.

    ``different_times``: a positive must have another time stamp than its query (Tokyo Time Machine, whose queries are
    photos of its database); ``auto`` where both stamps are a year and a month (``201305``), as that data set has them.
    """

    positive_radius: float = 10.0
    exclusion_radius: float = 25.0
    least_distance: float = 0.0
    gps_noise: float = 0.0
    seed: int = 0
    different_times: DifferentTimes = "auto"

    def check(self) -> None:
        """``ConfigError`` for a value out of range."""
        for name in ("positive_radius", "exclusion_radius", "least_distance", "gps_noise", "seed"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name}={value}: it must be 0 or more, and finite")
        if self.exclusion_radius < self.positive_radius:
            raise ConfigError(
                f"exclusion_radius={self.exclusion_radius:g} is below positive_radius={self.positive_radius:g}: "
                "a photo would be positive and negative"
            )
        if self.least_distance >= self.positive_radius:
            raise ConfigError(f"least_distance={self.least_distance:g}: it must be below positive_radius")
        if self.different_times not in get_args(DifferentTimes):
            raise ConfigError(f"different_times={self.different_times!r}: choose auto, always or never")


@dataclass(frozen=True, eq=False)
class WeakPlaces:
    """M photos: the ``database`` first of them, then the queries that have a positive. Memory is linear in M.

    Image numbers 0 to M - 1 are those of ``images``; rows of a cache of features are in the same order. ``points
    [M, 2]`` metres, with noise where it was asked for; ``groups [M]``: which photos are comparable: those of one data
    set, one city (or what else its protocol searches by itself) and one coordinate frame. ``captures [M]``: the
    panorama, or the file, that a photo is from; ``times [M]`` its time stamp as a number, -1 where that decides
    nothing. ``dropped``: queries that were left out because they have no positive.
    """

    name: str
    images: tuple[Path, ...]
    database: int
    points: NDArray[np.float64]
    groups: NDArray[np.int64]
    captures: NDArray[np.int64]
    times: NDArray[np.int64]
    dropped: int
    radii: RadiusOptions

    @staticmethod
    def read(
        roots: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], radii: RadiusOptions | None = None
    ) -> WeakPlaces:
        """Of one or several folders with ``database/`` and ``queries/`` (``fol.data.read_dataset``)."""
        folders = [roots] if isinstance(roots, str | os.PathLike) else list(roots)
        return WeakPlaces.of([read_dataset(folder) for folder in folders], radii)

    @staticmethod
    def of(datasets: Sequence[PlaceDataset], radii: RadiusOptions | None = None) -> WeakPlaces:
        """Of data sets that have positions; their photos are never compared with those of another.

        Raises ``DataError`` for photos without a position, and when no query has a positive; ``ConfigError`` for radii
        that make no sense.
        """
        radii = RadiusOptions() if radii is None else radii
        radii.check()
        if not datasets:
            raise DataError("no training set was given: name at least one folder")
        # Databases of all sets first, then the queries of all.
        sides = [*((i, d.database) for i, d in enumerate(datasets)), *((i, d.queries) for i, d in enumerate(datasets))]
        owners = np.repeat([i for i, _ in sides], [len(side) for _, side in sides])
        places = [place for _, side in sides for place in side]
        points, groups = _comparable(datasets, owners)
        captures = _numbers(_capture(owner, place) for owner, place in zip(owners.tolist(), places, strict=True))
        if radii.gps_noise:
            points = points + _noise(captures, radii)
        whole = WeakPlaces(
            " + ".join(dataset.name for dataset in datasets),
            tuple(place.image for place in places),
            sum(len(dataset.database) for dataset in datasets),
            points,
            groups,
            captures,
            _times(places, radii.different_times),
            0,
            radii,
        )
        return whole._usable()

    @property
    def queries(self) -> NDArray[np.int64]:
        """Image numbers of the queries, ascending."""
        return np.arange(self.database, len(self.images), dtype=np.int64)

    @property
    def summary(self) -> str:
        """One line to check before the work starts."""
        noise = f", {self.radii.gps_noise:g} m of noise" if self.radii.gps_noise else ""
        return (
            f"{self.name}: {self.database} database, {len(self.queries)} queries, {self.dropped} dropped without a "
            f"positive within {self.radii.positive_radius:g} m{noise}"
        )

    def positives(self, queries: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Database photos that may show what each of the given queries shows, ascending image numbers."""
        found = []
        for query, near in zip(queries.tolist(), self._near(queries, self.radii.positive_radius), strict=True):
            kept = self.captures[near] != self.captures[query]
            if self.times[query] >= 0:
                kept &= self.times[near] != self.times[query]
            if self.radii.least_distance:
                kept &= np.hypot(*(self.points[near] - self.points[query]).T) > self.radii.least_distance
            found.append(near[kept])
        return found

    def excluded(self, queries: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Database photos that are no negatives of each of the given queries, ascending image numbers."""
        return list(self._near(queries, self.radii.exclusion_radius))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the photos' list, wherever the folder that all lie in is, and of how many are the database."""
        root = Path(os.path.commonpath([image.parent for image in self.images]))
        found = hashlib.sha256(str(self.database).encode())
        for image in self.images:
            found.update(b"\0" + image.relative_to(root).as_posix().encode("utf-8", "surrogateescape"))
        return found.hexdigest()

    @cached_property
    def members(self) -> dict[int, NDArray[np.int64]]:
        """Per group the image numbers of its database photos, ascending."""
        return {
            group: np.flatnonzero(self.groups[: self.database] == group) for group in np.unique(self.groups).tolist()
        }

    @cached_property
    def _trees(self) -> dict[int, cKDTree]:
        return {group: cKDTree(self.points[members]) for group, members in self.members.items()}

    def _near(self, queries: NDArray[np.int64], radius: float) -> list[NDArray[np.int64]]:
        found: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(queries)
        for group in np.unique(self.groups[queries]).tolist():
            askers = np.flatnonzero(self.groups[queries] == group)
            if not len(self.members[group]):
                continue
            balls = self._trees[group].query_ball_point(
                self.points[queries[askers]], radius + _SLACK, return_sorted=True
            )
            for asker, ball in zip(askers.tolist(), balls, strict=True):
                found[asker] = self.members[group][np.asarray(ball, np.int64)]
        return found

    def _usable(self) -> WeakPlaces:
        """Without the queries that have no positive."""
        queries = self.queries
        chunks = np.split(queries, range(_AT_ONCE, len(queries), _AT_ONCE))
        kept = [query for chunk in chunks for query, own in zip(chunk, self.positives(chunk), strict=True) if len(own)]
        if not kept:
            raise DataError(
                f"{printable(self.name)}: none of {len(queries)} queries has another photo of the database within "
                f"positive_radius={self.radii.positive_radius:g} m: raise it, or train on another set"
            )
        rows = np.concatenate([np.arange(self.database), np.array(kept, np.int64)])
        return WeakPlaces(
            self.name,
            tuple(self.images[i] for i in rows.tolist()),
            self.database,
            self.points[rows],
            self.groups[rows],
            self.captures[rows],
            self.times[rows],
            len(queries) - len(kept),
            self.radii,
        )


def _numbers(keys: Iterable[Hashable]) -> NDArray[np.int64]:
    """A number for each key, the same for equal ones."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def _capture(dataset: int, place: Place) -> Hashable:
    """What a photo was cut out of; of a photo by itself, its file."""
    panorama = place.metadata.get("panorama")
    return (dataset, panorama) if panorama else place.image


def _comparable(
    datasets: Sequence[PlaceDataset], owners: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Metres and group of all photos, which are of the data sets ``owners``."""
    points, groups = np.empty((len(owners), 2)), np.empty(len(owners), np.int64)
    first = 0
    for index, dataset in enumerate(datasets):
        rows, parts = np.flatnonzero(owners == index), _parts(dataset)
        places = [*dataset.database, *dataset.queries]
        for part in np.unique(parts).tolist():
            here = np.flatnonzero(parts == part)
            points[rows[here]], frames = _planar(dataset, [places[i] for i in here.tolist()])
            groups[rows[here]] = first + frames
            first += int(frames.max()) + 1
    return points, groups


def _parts(dataset: PlaceDataset) -> NDArray[np.int64]:
    """Which photos, database and then queries, are searched together: by the protocol, else by city."""
    rules = dataset.rules
    if rules.database_groups is not None and rules.query_groups is not None:
        return np.concatenate([rules.database_groups, rules.query_groups])
    return _numbers(place.metadata.get("city", "") for place in (*dataset.database, *dataset.queries))


def _planar(dataset: PlaceDataset, places: Sequence[Place]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    shown = printable(dataset.root)
    positions = all_positions(places, "training set", shown, "training on positions needs those of all")
    try:
        return planar_frames(positions)
    except DataError as error:
        raise DataError(f"{shown}: {error}") from error


def _noise(captures: NDArray[np.int64], radii: RadiusOptions) -> NDArray[np.float64]:
    rng = np.random.default_rng([radii.seed, 0x6B5])
    offsets = rng.normal(0.0, radii.gps_noise, (int(captures.max()) + 1, 2))
    moved: NDArray[np.float64] = offsets[captures]
    return moved


def _times(places: Sequence[Place], rule: DifferentTimes) -> NDArray[np.int64]:
    known: dict[str, int] = {}
    found = np.full(len(places), -1, np.int64)
    if rule == "never":
        return found
    for i, place in enumerate(places):
        stamp = place.metadata.get("timestamp", "")
        if stamp and (rule == "always" or _MONTH.fullmatch(stamp)):
            found[i] = known.setdefault(stamp, len(known))
    return found
