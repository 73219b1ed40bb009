"""Places kept out of training as a data set to validate on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fol.data.dataset import PlaceDataset
from fol.data.readers.names import place_name
from fol.data.training.places import TrainingPlaces
from fol.types import Place


def held_out_dataset(places: TrainingPlaces) -> PlaceDataset:
    """The first image of each place as its query, the others as the database; right is an image of the same place.

    Images of places in ``places.overlapping`` show the same thing too and count neither for nor against. Database
    images of places with a single image are distractors.
    """
    firsts = np.unique(places.place_of_image, return_index=True)[1]
    counts = np.bincount(places.place_of_image, minlength=len(places.places))
    query_numbers = [int(i) for i in firsts if counts[places.place_of_image[i]] > 1]
    database_numbers = np.setdiff1d(np.arange(len(places.images)), query_numbers).tolist()
    database_places = places.place_of_image[database_numbers]
    neighbours: dict[int, set[int]] = {}
    for a, b in places.overlapping.tolist():
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    positives: list[NDArray[np.int64]] = []
    ignored: list[NDArray[np.int64]] = []
    for number in query_numbers:
        place = int(places.place_of_image[number])
        positives.append(np.flatnonzero(database_places == place))
        ignored.append(np.flatnonzero(np.isin(database_places, list(neighbours.get(place, ())))))
    root = Path(os.path.commonpath([image.parent for image in places.images]))

    def as_place(number: int) -> Place:
        image = places.images[number]
        return Place(place_name(image, root), image)

    return PlaceDataset(
        name=f"{places.name}-held-out",
        root=root,
        database=tuple(as_place(i) for i in database_numbers),
        queries=tuple(as_place(i) for i in query_numbers),
        positives=tuple(positives),
        ignored=tuple(ignored),
        protocol="same place",
    )
