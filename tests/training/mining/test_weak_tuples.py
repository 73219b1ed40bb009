"""Mined tuples against loops over all photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.data.training.weak_places import RadiusOptions, WeakPlaces
from fol.errors import ConfigError, TrainingStopped
from fol.training.mining import MiningOptions, NegativeMemory, find_neighbours, mine
from fol.training.mining.similarity import pair_similarities

pytestmark = pytest.mark.usefixtures("one_thread")

ALL = MiningOptions(neg_num=4, neg_pool=10_000)


def make_places(database: int = 60, queries: int = 20, seed: int = 0, groups: int = 2) -> WeakPlaces:
    """Photos along a line, some metres apart, half of them in another group."""
    rng = np.random.default_rng(seed)
    along = np.concatenate([np.sort(rng.uniform(0, 200, database)), rng.uniform(0, 200, queries)])
    total = database + queries
    return WeakPlaces(
        "line",
        tuple(Path(f"{i}.jpg") for i in range(total)),
        database,
        np.column_stack([along, np.zeros(total)]),
        np.arange(total) % groups,
        np.arange(total),
        np.full(total, -1),
        0,
        RadiusOptions(positive_radius=20),
    )._usable()


def unit(rows: int, dim: int = 16, seed: int = 1) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def places() -> WeakPlaces:
    return make_places()


@pytest.fixture(scope="module")
def features(places) -> np.ndarray:
    return unit(len(places.images))


def allowed(places: WeakPlaces, query: int) -> tuple[list[int], list[int]]:
    """(positives, negatives) by loops."""
    positives, negatives = [], []
    for image in range(places.database):
        if places.groups[image] != places.groups[query]:
            continue
        metres = abs(places.points[image, 0] - places.points[query, 0])
        if metres <= 20:
            positives.append(image)
        if metres > 25:
            negatives.append(image)
    return positives, negatives


def nearest(features: np.ndarray, query: int, images: list[int]) -> list[int]:
    return sorted(images, key=lambda image: -float(features[image].astype(np.float64) @ features[query]))


def test_like_loops_when_every_photo_is_in_the_pool(places, features):
    options = replace(ALL, pos_num=3, pos_pool=5)
    tuples = mine(features, places, places.queries, options, NegativeMemory.empty(places, options), (1,))
    assert tuples.query.tolist() == places.queries.tolist()
    for query, positive, negatives, difficult in zip(
        tuples.query.tolist(),
        tuples.positive.tolist(),
        tuples.negatives.tolist(),
        tuples.difficult.tolist(),
        strict=True,
    ):
        positives, others = allowed(places, query)
        ranked = nearest(features, query, positives)
        assert positive == ranked[0]
        assert negatives == nearest(features, query, others)[:4]
        assert difficult == (ranked[:3] + [-1] * 3)[:3]


@pytest.mark.parametrize("squared", [True, False])
def test_only_violating_negatives(places, features, squared):
    options = replace(ALL, violating_only=True, margin=0.02, squared=squared)
    tuples = mine(features, places, places.queries, options, NegativeMemory.empty(places, options), (1,))
    expected = {}
    for query in places.queries.tolist():
        positives, others = allowed(places, query)

        def distance(image, query=query):
            squared_distance = 2 - 2 * float(features[image].astype(np.float64) @ features[query])
            return squared_distance if squared else squared_distance**0.5

        limit = distance(nearest(features, query, positives)[0]) + 0.02
        hard = [image for image in nearest(features, query, others)[:4] if distance(image) < limit]
        if hard:
            expected[query] = (hard + [-1] * 4)[:4]
    assert 0 < len(expected) < len(places.queries)  # some give no tuple
    assert any(-1 in row for row in expected.values())
    assert dict(zip(tuples.query.tolist(), tuples.negatives.tolist(), strict=True)) == expected


def test_the_pool_is_random_but_follows_from_seed_and_query(places, features):
    options = MiningOptions(neg_num=3, neg_pool=6)
    memory = NegativeMemory.empty(places, options)
    first, again, other = (
        mine(features, places, places.queries, options, memory, seed) for seed in ((7, 0, 0), (7, 0, 0), (7, 0, 1))
    )
    assert np.array_equal(first.negatives, again.negatives)
    assert not np.array_equal(first.negatives, other.negatives)
    halves = [mine(features, places, part, options, memory, (7, 0, 0)) for part in np.array_split(places.queries, 3)]
    assert np.array_equal(np.concatenate([half.negatives for half in halves]), first.negatives)
    for query, negatives in zip(first.query.tolist(), first.negatives.tolist(), strict=True):
        assert set(negatives) <= set(allowed(places, query)[1])
        assert len(set(negatives)) == 3


def test_the_pool_is_uniform_over_what_is_allowed(places, features):
    query = places.queries[:1]
    options = MiningOptions(neg_num=2, neg_pool=2)
    memory = NegativeMemory.empty(places, options)
    others = allowed(places, int(query[0]))[1]
    seen = np.zeros(places.database)
    for seed in range(600):
        seen[mine(features, places, query, options, memory, (seed,)).negatives] += 1
    assert np.flatnonzero(seen).tolist() == others
    expected = 1200 / len(others)
    # Chi-square with len(others) - 1 degrees of freedom: its mean plus six standard deviations.
    chi_square = ((seen[others] - expected) ** 2 / expected).sum()
    assert chi_square < len(others) + 6 * (2 * len(others)) ** 0.5


def test_what_was_hard_is_remembered(places, features):
    options = MiningOptions(neg_num=3, neg_pool=3)
    memory = NegativeMemory.empty(places, options)
    for chunk in range(60):
        tuples = mine(features, places, places.queries, options, memory, (0, chunk))
        memory = memory.updated(places, tuples)
    # With three new ones each time the hardest of at most 30 are all found, and never lost.
    for query, negatives in zip(tuples.query.tolist(), tuples.negatives.tolist(), strict=True):
        assert negatives == nearest(features, query, allowed(places, query)[1])[:3]


def test_memory_goes_through_a_checkpoint_and_keeps_queries_without_tuples(places, features, tmp_path):
    options = replace(ALL, violating_only=True, margin=0.02)
    whole = mine(features, places, places.queries, ALL, NegativeMemory.empty(places, ALL), (1,))
    before = NegativeMemory.empty(places, options).updated(places, whole)
    some = mine(features, places, places.queries, options, before, (1,))
    after = before.updated(places, some)
    left = ~np.isin(places.queries, some.query)
    assert left.any()
    assert np.array_equal(after.negatives[left], whole.negatives[left])
    assert np.array_equal(after.negatives[~left], some.negatives)
    torch.save(after.state_dict(), tmp_path / "memory.pt")
    state = torch.load(tmp_path / "memory.pt", weights_only=True)
    assert np.array_equal(NegativeMemory.from_state(state, places, options).negatives, after.negatives)
    with pytest.raises(ConfigError, match="training photos or mining.neg_num"):
        NegativeMemory.from_state(state, places, replace(options, neg_num=5))


def test_memory_limit_and_memory_map_change_nothing(places, features, tmp_path):
    wide = unit(len(places.images), 6000)
    np.save(tmp_path / "features.npy", wide)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    small, large = replace(ALL, max_bytes=1 << 20), ALL
    memory = NegativeMemory.empty(places, ALL)
    one = mine(mapped, places, places.queries, small, memory, (0,))  # 14 rows at once
    two = mine(wide, places, places.queries, large, memory, (0,))
    assert np.array_equal(one.negatives, two.negatives)
    assert np.array_equal(one.positive, two.positive)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 7), st.integers(0, 9), st.sampled_from([1 << 20, 1 << 10, 200]))
def test_similarities_of_any_pairs(seed, asked, most, max_bytes):
    rng = np.random.default_rng(seed)
    features = unit(12, 5, seed)
    queries = rng.integers(0, 12, asked)
    candidates = [rng.choice(12, rng.integers(0, most + 1), replace=False) for _ in range(asked)]
    found = pair_similarities(features, queries, candidates, max_bytes=max_bytes)
    for query, own, values in zip(queries, candidates, found, strict=True):
        assert np.allclose(values, features[own].astype(np.float64) @ features[query], atol=1e-6)


def test_difficult_positives_of_groups_stay_in_them(places, features):
    options = replace(ALL, pos_num=3, pos_pool=6, k1=4)
    seen: list[tuple[int, int]] = []
    neighbours = find_neighbours(features, places, options, progress=lambda *counts: seen.append(counts))
    total = len(places.images)
    assert seen == [(int((places.groups == 0).sum()), total), (total, total)]
    memory = NegativeMemory.empty(places, options)
    tuples = mine(features, places, places.queries, options, memory, (1,), neighbours=neighbours)
    plain = mine(features, places, places.queries, options, memory, (1,))
    assert np.array_equal(tuples.negatives, plain.negatives)
    assert not np.array_equal(tuples.difficult, plain.difficult)
    for query, difficult in zip(tuples.query.tolist(), tuples.difficult.tolist(), strict=True):
        chosen = [image for image in difficult if image >= 0]
        assert chosen and len(set(chosen)) == len(chosen)
        assert difficult == chosen + [-1] * (3 - len(chosen))
        assert set(chosen) <= set(nearest(features, query, allowed(places, query)[0])[:6])


def test_a_network_that_diverged_stops_the_run(places, features):
    spoilt = features.copy()
    spoilt[places.queries[0], 3] = np.nan
    with pytest.raises(TrainingStopped, match="not finite"):
        mine(spoilt, places, places.queries, ALL, NegativeMemory.empty(places, ALL), (0,))


def test_a_cache_of_other_photos_is_refused(places, features):
    with pytest.raises(ValueError, match="photos"):
        mine(features[:-1], places, places.queries, ALL, NegativeMemory.empty(places, ALL), (0,))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (MiningOptions(neg_num=0), "neg_num"),
        (MiningOptions(neg_num=20, neg_pool=10), "neg_pool"),
        (MiningOptions(pos_num=21), "pos_pool"),
        (MiningOptions(margin=-1), "margin"),
        (MiningOptions(k1=0), "k1"),
        (MiningOptions(jaccard_lambda=1.5), "jaccard_lambda"),
        (MiningOptions(max_bytes=1), "max_bytes"),
    ],
)
def test_senseless_options_are_refused(options, word):
    with pytest.raises(ConfigError, match=f"mining.{word}"):
        options.check()
