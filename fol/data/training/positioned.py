"""Places with several photos each as queries and a database with positions: what weak supervision learns from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fol.data.dataset import PlaceDataset, SearchRules
from fol.data.readers.names import place_name
from fol.data.training.places import TrainingPlaces
from fol.types import Place, Position

_APART = 1000.0  # metres between places whose positions are made up


def positioned_dataset(places: TrainingPlaces) -> PlaceDataset:
    """Every second photo of a place is a query, the others are the database; each stands where its place does.

    Places without a position get points far from each other, one for all that see the same thing; where positions are
    known they alone decide. Photos are searched within their set and coordinate frame, and made-up points by
    themselves. There is no ground truth.
    """
    points, parts = _points(places)
    number_in_place = np.arange(len(places.images)) - places.starts[places.place_of_image]
    is_query = number_in_place % 2 == 1
    root = Path(os.path.commonpath([image.parent for image in places.images]))

    def side(numbers: NDArray[np.int64]) -> tuple[Place, ...]:
        found = []
        for number in numbers.tolist():
            image, (easting, northing) = places.images[number], points[places.place_of_image[number]].tolist()
            found.append(Place(place_name(image, root), image, Position(easting, northing)))
        return tuple(found)

    database, queries = np.flatnonzero(~is_query), np.flatnonzero(is_query)
    part_of_image = parts[places.place_of_image]
    return PlaceDataset(
        name=places.name,
        root=root,
        database=side(database),
        queries=side(queries),
        positives=None,
        ignored=tuple(np.empty(0, np.int64) for _ in queries),
        protocol="places with positions",
        rules=SearchRules(part_of_image[database], part_of_image[queries]),
    )


def _points(places: TrainingPlaces) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Metres ``[P, 2]`` of the places and ``[P]`` which of them can be compared."""
    count = len(places.places)
    pairs = places.overlapping
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    owner = connected_components(graph, directed=False)[1]
    made_up = np.stack([_APART * owner, np.zeros(count)], axis=1)
    known = np.full((count, 2), np.nan) if places.positions is None else places.positions
    without = np.isnan(known[:, 0])
    zeros = np.zeros(count, np.int64)
    keys = np.stack([zeros if each is None else each for each in (places.sets, places.frames)] + [without], axis=1)
    parts = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    return np.where(without[:, None], made_up, known), parts.astype(np.int64)
