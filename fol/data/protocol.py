"""Protocols by name: which photos take part, what is right, where is searched, what counts.

The same photos give different numbers under different rules, which is the first cause of results that cannot be
reproduced. A protocol is one such set of rules with a name; results never appear without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fol.data.coordinates import within_radius
from fol.data.dataset import Groups, PlaceDataset, SearchRules, WithoutPositives, all_positions
from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.errors import ConfigError, DataError
from fol.types import Place

#: What makes a database photo right: near enough, few enough frames away, or listed in the benchmark's own files.
PositivesRule = Literal["radius", "frames", "listed"]


@dataclass(frozen=True)
class PublishedCounts:
    """How many photos take part in a protocol, and how many queries have a positive (None where nobody says).

    ``exact``: counted in published files. Otherwise as printed in papers, where they round or do not say how they
    counted; another number is then no fault.
    """

    database: int
    queries: int
    with_positives: int | None = None
    exact: bool = True

    def fit(self, database: int, queries: int, with_positives: int) -> bool:
        """Whether these are the numbers found."""
        return (self.database, self.queries) == (database, queries) and self.with_positives in (None, with_positives)


@dataclass(frozen=True)
class Protocol:
    """Rules under which a data set of the catalogue is measured; ``name`` is ``<data set>@<rules>``.

    ``positives`` with ``reach``: metres (``radius``, inclusive) or frames (``frames``, inclusive); ``listed`` needs
    none. ``subtask`` and ``panoramas=False`` leave photos out of both sides. ``search_within`` is the metadata key
    whose value a database photo must share with the query to be searched at all; ``one_per`` the key of which only
    the best-ranked database photo of each value counts (suppression of the other views of one panorama), and
    ``ignore_same`` the key whose value a database photo must not share with the query: such photos are passed over,
    wherever they stand, and are never right.
    ``query_short_side`` resizes queries, not the database, to that many pixels on their shorter side: what
    convolutional networks then see; others resize further, to their fixed size.
    ``published``: its counts, where they differ from those of the data set.
    """

    name: str
    summary: str
    positives: PositivesRule = "radius"
    reach: float = 25.0
    subtask: str | None = None
    panoramas: bool = True
    search_within: str | None = None
    one_per: str | None = None
    ignore_same: str | None = None
    query_short_side: int | None = None
    without_positives: WithoutPositives = "count_as_miss"
    published: PublishedCounts | None = None

    def __post_init__(self) -> None:
        if self.positives not in get_args(PositivesRule) or self.without_positives not in get_args(WithoutPositives):
            raise ConfigError(f"protocol {self.name}: {self.positives}, {self.without_positives} are no known rules")
        if not 0 <= self.reach < float("inf"):
            raise ConfigError(f"protocol {self.name}: reach={self.reach} must be 0 or more")

    @property
    def dataset(self) -> str:
        """Name of the data set in the catalogue."""
        return self.name.partition("@")[0]


def apply_protocol(
    photos: PhotoSet, protocol: Protocol, *, name: str | None = None, radii: Sequence[float] = ()
) -> PlaceDataset:
    """The data set as ``protocol`` sees it. ``radii`` in metres are further ones to measure recall at.

    Raises ``DataError`` naming what the photos lack that the protocol needs, ``ConfigError`` for radii without
    coordinates to measure them in.
    """
    shown = printable(photos.root)
    database, database_indices = _taking_part(photos.database, protocol, shown)
    queries, query_indices = _taking_part(photos.queries, protocol, shown)
    for side, places in (("database", database), ("query", queries)):
        if not places:
            raise DataError(f"{shown}: no {side} photo takes part in {protocol.name}")
    rules = _search_rules(database, queries, protocol, shown)
    groups = rules.groups(len(database), len(queries))
    ignored = _ignored(database, queries, protocol, shown)
    if protocol.positives == "listed":
        positives = _listed(photos, database_indices, query_indices, protocol)
    elif protocol.positives == "frames":
        positives = _by_frame(database, queries, groups, protocol, shown)
    else:
        positives = _by_radius(database, queries, groups, protocol.reach, protocol.name, shown)
    further = {
        float(r): _without(_by_radius(database, queries, groups, r, protocol.name, shown), ignored) for r in radii
    }
    return PlaceDataset(
        name=name or protocol.dataset,
        root=photos.root,
        database=database,
        queries=queries,
        positives=_without(positives, ignored),
        ignored=ignored,
        protocol=protocol.name,
        rules=rules,
        without_positives=protocol.without_positives,
        positives_within=further,
    )


def _taking_part(
    places: Sequence[Place], protocol: Protocol, shown: str
) -> tuple[tuple[Place, ...], NDArray[np.int64]]:
    """The photos that a protocol leaves in, and their indices."""
    if protocol.subtask is not None and not any("subtasks" in place.metadata for place in places):
        raise DataError(f"{shown}: its files tell no subtasks, which {protocol.name} needs: give the benchmark's own")
    indices = [
        i
        for i, place in enumerate(places)
        if (protocol.panoramas or place.metadata.get("pano") != "True")
        and (protocol.subtask is None or protocol.subtask in place.metadata.get("subtasks", "").split())
    ]
    return tuple(places[i] for i in indices), np.array(indices, np.int64)


def _search_rules(database: Sequence[Place], queries: Sequence[Place], protocol: Protocol, shown: str) -> SearchRules:
    numbers: dict[str, int] = {}
    within = protocol.search_within
    return SearchRules(
        database_groups=None if within is None else _numbered(database, within, numbers, protocol, shown),
        query_groups=None if within is None else _numbered(queries, within, numbers, protocol, shown),
        one_per=None if protocol.one_per is None else _numbered(database, protocol.one_per, {}, protocol, shown),
        query_short_side=protocol.query_short_side,
    )


def _ignored(
    database: Sequence[Place], queries: Sequence[Place], protocol: Protocol, shown: str
) -> tuple[NDArray[np.int64], ...]:
    """Per query the database photos that are passed over, ascending; one array for all queries of one value."""
    key = protocol.ignore_same
    if key is None:
        return tuple(np.empty(0, np.int64) for _ in queries)
    numbers: dict[str, int] = {}
    values = _numbered(database, key, numbers, protocol, shown)
    asked = _numbered(queries, key, numbers, protocol, shown).tolist()
    same = {value: np.flatnonzero(values == value) for value in set(asked)}
    return tuple(same[value] for value in asked)


def _without(
    positives: Sequence[NDArray[np.int64]], ignored: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], ...]:
    return tuple(
        own[~np.isin(own, passed_over)] if len(passed_over) else own
        for own, passed_over in zip(positives, ignored, strict=True)
    )


def _numbered(
    places: Sequence[Place], key: str, numbers: dict[str, int], protocol: Protocol, shown: str
) -> NDArray[np.int64]:
    """The value of ``key`` of each photo as a number, the same for equal values."""
    found = np.empty(len(places), np.int64)
    for i, place in enumerate(places):
        value = place.metadata.get(key)
        if value is None:
            raise DataError(
                f"{shown}: {printable(place.name)} has no {key}, which {protocol.name} needs of every photo"
            )
        found[i] = numbers.setdefault(value, len(numbers))
    return found


def _listed(
    photos: PhotoSet, database_indices: NDArray[np.int64], query_indices: NDArray[np.int64], protocol: Protocol
) -> tuple[NDArray[np.int64], ...]:
    if photos.listed is None:
        raise DataError(f"{printable(photos.root)}: has no list of positives, which {protocol.name} needs")
    renumbered = np.full(len(photos.database), -1, np.int64)
    renumbered[database_indices] = np.arange(len(database_indices))
    return tuple(found[found >= 0] for found in (renumbered[photos.listed[i]] for i in query_indices.tolist()))


def _by_radius(
    database: Sequence[Place], queries: Sequence[Place], groups: Groups, radius: float, name: str, shown: str
) -> tuple[NDArray[np.int64], ...]:
    remedy = f"{name} needs those of all"
    centres = all_positions(queries, "queries", shown, remedy)
    points = all_positions(database, "database", shown, remedy)
    found: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(queries)
    for database_indices, query_indices in groups:
        numbers = query_indices.tolist()
        near = within_radius([centres[i] for i in numbers], [points[i] for i in database_indices.tolist()], radius)
        for query, indices in zip(numbers, near, strict=True):
            found[query] = database_indices[indices]
    return tuple(found)


def _by_frame(
    database: Sequence[Place], queries: Sequence[Place], groups: Groups, protocol: Protocol, shown: str
) -> tuple[NDArray[np.int64], ...]:
    query_frames, database_frames = _frame_numbers(queries, protocol, shown), _frame_numbers(database, protocol, shown)
    found: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(queries)
    for database_indices, query_indices in groups:
        order = database_indices[np.argsort(database_frames[database_indices], kind="stable")]
        frames = database_frames[order]
        low = np.searchsorted(frames, query_frames[query_indices] - protocol.reach, "left")
        high = np.searchsorted(frames, query_frames[query_indices] + protocol.reach, "right")
        for query, start, stop in zip(query_indices.tolist(), low.tolist(), high.tolist(), strict=True):
            found[query] = np.sort(order[start:stop])
    return tuple(found)


def _frame_numbers(places: Sequence[Place], protocol: Protocol, shown: str) -> NDArray[np.float64]:
    frames = np.empty(len(places))
    for i, place in enumerate(places):
        try:
            frames[i] = int(place.metadata["frame"])
        except (KeyError, ValueError) as error:
            what = f"frame {place.metadata['frame']!r}" if "frame" in place.metadata else "no frame number"
            raise DataError(
                f"{shown}: {printable(place.name)} has {what}: {protocol.name} needs a whole number"
            ) from error
    return frames
