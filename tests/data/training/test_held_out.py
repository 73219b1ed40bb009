"""Places kept out of training as a data set: its queries, database, right answers and what does not count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.data import PlaceDataset
from fol.data.training import TrainingPlaces, held_out_dataset, read_training_places, split_places


def places(counts: Sequence[int], overlapping: Sequence[tuple[int, int]] = (), root: str = "set") -> TrainingPlaces:
    return TrainingPlaces(
        "set",
        tuple(Path(f"{root}/p{p}/{k}.jpg") for p, count in enumerate(counts) for k in range(count)),
        np.repeat(np.arange(len(counts)), counts),
        tuple(f"p{p}" for p in range(len(counts))),
        ("",) * len(counts),
        None,
        np.array(overlapping, np.int64).reshape(-1, 2),
    )


def answers(dataset: PlaceDataset) -> tuple[list[list[int]], list[list[int]]]:
    assert dataset.positives is not None and dataset.ignored is not None
    return [p.tolist() for p in dataset.positives], [i.tolist() for i in dataset.ignored]


def test_by_hand() -> None:
    # p0 overlaps with p2, p2 with p3; p1 has one image only: a distractor
    dataset = held_out_dataset(places([3, 1, 2, 2], overlapping=[(0, 2), (3, 2)]))
    assert (dataset.name, dataset.root, dataset.protocol) == ("set-held-out", Path("set"), "same place")
    assert [place.name for place in dataset.queries] == ["p0/0.jpg", "p2/0.jpg", "p3/0.jpg"]
    assert [place.name for place in dataset.database] == ["p0/1.jpg", "p0/2.jpg", "p1/0.jpg", "p2/1.jpg", "p3/1.jpg"]
    assert dataset.queries[1].image == Path("set/p2/0.jpg")
    assert answers(dataset) == ([[0, 1], [3], [4]], [[3], [0, 1, 4], [3]])


def test_a_place_that_overlaps_with_a_distractor_ignores_it() -> None:
    assert answers(held_out_dataset(places([2, 1], overlapping=[(1, 0)]))) == ([[0]], [[1]])


def test_names_begin_below_the_folder_that_all_images_share() -> None:
    dataset = held_out_dataset(places([2], root="deep/set"))
    assert dataset.root == Path("deep/set/p0")
    assert [place.name for place in (*dataset.queries, *dataset.database)] == ["0.jpg", "1.jpg"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(0, 1000))
def test_against_loops(counts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    every = [(a, b) for a in range(len(counts)) for b in range(len(counts)) if a < b]
    pairs = [(a, b) if rng.random() < 0.5 else (b, a) for a, b in every if rng.random() < 0.3]
    some = places(counts, pairs)
    dataset = held_out_dataset(some)
    positives, ignored = answers(dataset)
    place_of = {image: int(place) for image, place in zip(some.images, some.place_of_image, strict=True)}
    queries = [place_of[place.image] for place in dataset.queries]
    database = [place_of[place.image] for place in dataset.database]
    assert queries == [place for place, count in enumerate(counts) if count > 1]
    assert sorted([*queries, *database]) == some.place_of_image.tolist()
    assert len({place.image for place in (*dataset.queries, *dataset.database)}) == len(some.images)
    for query, right, neither in zip(queries, positives, ignored, strict=True):
        assert right == [i for i, place in enumerate(database) if place == query]
        assert len(right) == counts[query] - 1
        seen = {frozenset(pair) for pair in pairs}
        assert neither == [i for i, place in enumerate(database) if frozenset((place, query)) in seen]


@pytest.mark.parametrize("by", ["place", "group"])
def test_of_the_real_training_photos(shared_data: Path, by: str) -> None:
    train, kept = split_places(read_training_places(shared_data / "ie_tower_train"), 0.1, 0, by=by)  # type: ignore[arg-type]
    dataset = held_out_dataset(kept)
    assert len(dataset.queries) == len(kept.places) and all(place.image.is_file() for place in dataset.queries)
    assert len(dataset.queries) + len(dataset.database) == len(kept.images)
    assert not set(train.images) & {place.image for place in (*dataset.queries, *dataset.database)}
