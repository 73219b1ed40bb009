"""Batches: every place once, equal shares, whole groups, neighbours, and the same again from (seed, epoch)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fol.data.training import PlaceBatchSampler, TrainingPlaces, merge_places
from fol.errors import ConfigError


def make(
    counts: list[int],
    groups: list[str] | None = None,
    positions: NDArray[np.float64] | None = None,
    sets: NDArray[np.int64] | None = None,
) -> TrainingPlaces:
    return TrainingPlaces(
        "set",
        tuple(Path(f"{i}.jpg") for i in range(sum(counts))),
        np.repeat(np.arange(len(counts)), counts),
        tuple(f"p{p}" for p in range(len(counts))),
        tuple(groups or [""] * len(counts)),
        positions,
        np.empty((0, 2), np.int64),
        sets=sets,
    )


@st.composite
def settings_of_a_sampler(draw: st.DrawFn) -> dict[str, Any]:
    counts = draw(st.lists(st.integers(1, 6), min_size=1, max_size=40))
    groups = draw(st.lists(st.sampled_from("abc"), min_size=len(counts), max_size=len(counts)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    positions = rng.uniform(0, 1000, (len(counts), 2))
    positions[rng.random(len(counts)) < 0.2] = np.nan
    sets = np.sort(rng.integers(0, draw(st.integers(1, 4)), len(counts))) if draw(st.booleans()) else None
    return {
        "places": make(counts, groups, positions, sets),
        "places_per_batch": draw(st.integers(2, 9)),
        "images_per_place": draw(st.integers(1, 5)),
        "seed": draw(st.integers(0, 10**6)),
        "hard": draw(st.sampled_from(["none", "set", "group", "neighbourhood"])),
        "choice": draw(st.sampled_from(["random", "recent"])),
        "drop_last": draw(st.booleans()),
        "short": draw(st.sampled_from(["fewer", "repeat"])),
    }


@settings(max_examples=150, deadline=None)
@given(settings_of_a_sampler(), st.integers(0, 50))
def test_an_epoch(given_settings: dict[str, Any], epoch: int) -> None:
    sampler = PlaceBatchSampler(**given_settings)
    places, per_batch, per_place = sampler.places, sampler.places_per_batch, sampler.images_per_place
    batches = sampler.batches(epoch)
    assert len(batches) == len(sampler)
    seen: list[int] = []
    for number, batch in enumerate(batches):
        labels = places.place_of_image[batch]
        changes = np.flatnonzero(np.diff(labels)) + 1
        runs = np.split(batch, changes)
        members = [int(places.place_of_image[run[0]]) for run in runs]
        assert len(set(members)) == len(members)  # place-major: a place is one run
        seen += members
        if number < len(batches) - 1 or sampler.drop_last:
            assert len(members) == per_batch
        for run, place in zip(runs, members, strict=True):
            count = int((places.place_of_image == place).sum())
            assert len(set(run.tolist())) == min(count, per_place)
            assert len(run) == (min(count, per_place) if sampler.short == "fewer" else per_place)
    assert len(seen) == len(set(seen))
    total = len(places.places)
    assert len(seen) == (total - total % per_batch if sampler.drop_last else total)
    if total > 1 and not sampler.drop_last:
        assert min(len(set(places.place_of_image[batch].tolist())) for batch in batches) > 1
    for batch, again in zip(batches, PlaceBatchSampler(**given_settings).batches(epoch), strict=True):
        np.testing.assert_array_equal(batch, again)


@settings(max_examples=100, deadline=None)
@given(settings_of_a_sampler(), st.sampled_from(["set", "group"]), st.integers(0, 50))
def test_whole_batches_of_a_set_or_a_group_are_not_mixed(given_settings: dict[str, Any], hard: str, epoch: int) -> None:
    sampler = PlaceBatchSampler(**{**given_settings, "hard": hard})
    size, places = sampler.places_per_batch, sampler.places
    sets = np.zeros(len(places.places)) if places.sets is None else places.sets
    keys = np.array(places.groups) if hard == "group" else sets
    batches = sampler.place_batches(epoch)
    pure = sum(len(batch) >= size and len(set(keys[batch].tolist())) == 1 for batch in batches)
    joined = any(len(batch) > size for batch in batches)  # by the one place that was left over, of whatever set
    assert pure >= sum(keys.tolist().count(key) // size for key in set(keys.tolist())) - joined


@settings(max_examples=80, deadline=None)
@given(settings_of_a_sampler(), st.integers(1, 4), st.integers(1, 3))
def test_shares_of_ranks(given_settings: dict[str, Any], world: int, multiple: int) -> None:
    given_settings |= {"places_per_batch": max(2, world * multiple), "short": "repeat", "drop_last": True}
    if given_settings["places_per_batch"] % world:
        given_settings["places_per_batch"] *= world
    sampler = PlaceBatchSampler(**given_settings)
    joint = sampler.batches(3)
    shares = [sampler.batches(3, rank, world) for rank in range(world)]
    for number, batch in enumerate(joint):
        parts = [share[number] for share in shares]
        assert len({len(part) for part in parts}) == 1
        np.testing.assert_array_equal(np.concatenate(parts), batch)
        owners = [set(sampler.places.place_of_image[part].tolist()) for part in parts]
        assert sum(map(len, owners)) == len(set().union(*owners))


def test_the_last_batch_is_divided_as_far_as_it_goes() -> None:
    sampler = PlaceBatchSampler(make([2] * 9), 4, 2)  # batches of 4 and 5 places: a single place joins its neighbour
    assert [len(batch) for batch in sampler.batches(0)] == [8, 10]
    assert [[len(batch) for batch in sampler.batches(0, rank, 2)] for rank in (0, 1)] == [[4, 4], [4, 4]]


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be divided among 3"):
        PlaceBatchSampler(make([2] * 9), 4, 2).batches(0, 0, 3)
    with pytest.raises(ConfigError, match="set short=repeat"):
        PlaceBatchSampler(make([2, 1, 2, 2]), 4, 2).batches(0, 0, 2)
    with pytest.raises(ConfigError, match="set drop_last"):
        PlaceBatchSampler(make([2] * 10), 8, 2).batches(0, 0, 4)


def test_epochs_and_seeds_differ_and_images_change() -> None:
    places = make([6] * 30)
    sampler = PlaceBatchSampler(places, 5, 2, seed=1)
    first, second = sampler.place_batches(0), sampler.place_batches(1)
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    other = PlaceBatchSampler(places, 5, 2, seed=2).place_batches(0)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    drawn = {int(i) for epoch in range(30) for batch in sampler.batches(epoch) for i in batch}
    assert len(drawn) == 180  # every photo has its turn


def test_recent_takes_the_first_images_of_each_place() -> None:
    sampler = PlaceBatchSampler(make([3, 1, 4]), 3, 2, choice="recent")
    for epoch in range(3):
        assert sorted(sampler.batches(epoch)[0].tolist()) == [0, 1, 3, 4, 5]
    repeated = PlaceBatchSampler(make([3, 1, 4]), 3, 2, choice="recent", short="repeat")
    assert sorted(repeated.batches(0)[0].tolist()) == [0, 1, 3, 3, 4, 5]


def test_batches_of_one_group() -> None:
    groups = ["a"] * 13 + ["b"] * 8 + ["c"] * 3
    sampler = PlaceBatchSampler(make([1] * 24, groups), 4, 1, hard="group")
    for epoch in range(5):
        pure = [len({groups[p] for p in batch}) == 1 for batch in sampler.place_batches(epoch)]
        # a: 3 whole batches, b: 2; what is left (1 of a, 3 of c) makes the sixth
        assert len(pure) == 6 and sum(pure) == 5


def test_batches_of_neighbours() -> None:
    corners = np.array([[0.0, 0.0], [1000.0, 0.0], [0.0, 1000.0], [1000.0, 1000.0]])
    rng = np.random.default_rng(0)
    positions = np.concatenate([corner + rng.uniform(-20, 20, (4, 2)) for corner in corners])
    shuffled = rng.permutation(16)
    sampler = PlaceBatchSampler(make([1] * 16, positions=positions[shuffled]), 4, 1, hard="neighbourhood")
    for epoch in range(10):
        for batch in sampler.place_batches(epoch):
            assert len({int(p) // 4 for p in shuffled[batch]}) == 1  # the four places around one corner


def test_neighbours_are_nearer_than_chance_and_change_between_epochs() -> None:
    positions = np.random.default_rng(1).uniform(0, 1000, (400, 2))

    def spread(hard: Any, epoch: int) -> float:
        batches = PlaceBatchSampler(make([1] * 400, positions=positions), 10, 1, hard=hard).place_batches(epoch)
        return float(np.mean([positions[batch].std(axis=0).mean() for batch in batches]))

    # 40 square cells in 1000 m have sides of 158 m: a standard deviation of 46 m against 289 m of the whole
    assert spread("neighbourhood", 0) < 80 < 200 < spread("none", 0)
    sampler = PlaceBatchSampler(make([1] * 400, positions=positions), 10, 1, hard="neighbourhood")
    first, second = ({frozenset(b.tolist()) for b in sampler.place_batches(epoch)} for epoch in (0, 1))
    assert len(first & second) < 10


def test_wrong_options() -> None:
    for options, message in (
        ({"places_per_batch": 1}, "places_per_batch=1"),
        ({"images_per_place": 0}, "images_per_place=0"),
        ({"seed": -1}, "seed=-1"),
        ({"hard": "city"}, "hard='city' is unknown"),
        ({"hard": "group"}, "has no groups"),
        ({"hard": "neighbourhood"}, "has no positions"),
    ):
        with pytest.raises(ConfigError, match=message):
            PlaceBatchSampler(make([2, 2]), **{"places_per_batch": 2, "images_per_place": 2, **options})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rank 2 of 2"):
        PlaceBatchSampler(make([2, 2]), 2, 2).batches(0, 2, 2)


def test_batches_of_one_set() -> None:
    first, second = make([2] * 8), make([2] * 12)
    merged = merge_places([first, second])
    found = PlaceBatchSampler(merged, 4, 2, hard="set", seed=1).place_batches(0)
    assert sorted(place for batch in found for place in batch.tolist()) == list(range(20))
    assert sorted({place < 8 for place in batch.tolist()} == {True} for batch in found) == [False] * 3 + [True] * 2
    assert all(len({place < 8 for place in batch.tolist()}) == 1 for batch in found)
