"""Places with positions as queries and a database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from fol.data.training import RadiusOptions, TrainingPlaces, WeakPlaces, positioned_dataset

#: Photos of four places: three, two, two and one.
OWNERS = np.array([0, 0, 0, 1, 1, 2, 2, 3])


def places(**changes: object) -> TrainingPlaces:
    made = TrainingPlaces(
        "walk",
        tuple(Path(f"/walk/{i}.jpg") for i in range(8)),
        OWNERS,
        ("a", "b", "c", "d"),
        ("", "", "", ""),
        np.array([[0.0, 0.0], [5.0, 0.0], [300.0, 0.0], [301.0, 0.0]]),
        np.empty((0, 2), np.int64),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def positives(given: TrainingPlaces, **radii: float) -> dict[str, set[str]]:
    """By name of the query."""
    weak = WeakPlaces.of([positioned_dataset(given)], RadiusOptions(**radii))  # type: ignore[arg-type]
    found = weak.positives(weak.queries)
    return {weak.images[q].stem: {weak.images[i].stem for i in own} for q, own in zip(weak.queries, found, strict=True)}


def test_every_second_photo_asks_and_places_share_their_position() -> None:
    dataset = positioned_dataset(places())
    assert [place.name for place in dataset.queries] == ["1.jpg", "4.jpg", "6.jpg"]
    assert [place.name for place in dataset.database] == ["0.jpg", "2.jpg", "3.jpg", "5.jpg", "7.jpg"]
    # Places 0 and 1 are 5 m from each other, 2 and 3 one metre.
    assert positives(places()) == {"1": {"0", "2", "3"}, "4": {"0", "2", "3"}, "6": {"5", "7"}}
    assert positives(places(), positive_radius=2.0) == {"1": {"0", "2"}, "4": {"3"}, "6": {"5", "7"}}


def test_frames_and_sets_are_worlds_of_their_own() -> None:
    framed = places(frames=np.array([0, 1, 1, 1]))
    assert positives(framed) == {"1": {"0", "2"}, "4": {"3"}, "6": {"5", "7"}}
    assert positives(places(sets=np.array([0, 0, 0, 1]))) == {"1": {"0", "2", "3"}, "4": {"0", "2", "3"}, "6": {"5"}}


def test_positions_are_made_up_where_there_are_none() -> None:
    alone = {"1": {"0", "2"}, "4": {"3"}, "6": {"5"}}
    assert positives(places(positions=None)) == alone
    # What sees the same thing shares a point, also by a chain: 0 with 2, 2 with 3.
    chain = positives(places(positions=None, overlapping=np.array([[2, 3], [0, 2]])))
    assert chain == {"1": {"0", "2", "5", "7"}, "4": {"3"}, "6": {"0", "2", "5", "7"}}
    # Place 1 is not known: it is near nothing, whatever its point is.
    partly = np.array([[0.0, 0.0], [np.nan, np.nan], [300.0, 0.0], [301.0, 0.0]])
    assert positives(places(positions=partly)) == {"1": {"0", "2"}, "4": {"3"}, "6": {"5", "7"}}


def test_noise_reaches_every_photo_by_itself() -> None:
    quiet = positives(places(positions=None))
    noisy = positives(places(positions=None), gps_noise=8.0, positive_radius=10.0)
    assert set(noisy) <= set(quiet) and noisy != quiet
    assert all(own <= quiet[name] for name, own in noisy.items())  # a kilometre apart
