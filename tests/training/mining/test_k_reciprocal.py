"""k-reciprocal distances against the dense definition, difficult positives by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fol.training.mining import Neighbours, difficult_positives, nearest_neighbours, reciprocal_distances

pytestmark = pytest.mark.usefixtures("one_thread")


def clustered(photos: int, dim: int, seed: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(photos // 12 + 1, dim))
    vectors = centres[rng.integers(0, len(centres), photos)] + spread * rng.normal(size=(photos, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def dense(features: np.ndarray, k1: int, weight: float) -> np.ndarray:
    """All n x n distances by the definition: k-reciprocal sets, their extension, Jaccard of the weights."""
    vectors = features.astype(np.float64)
    squared = np.maximum(2 - 2 * vectors @ vectors.T, 0)
    original = (squared**2) / (squared**2).max(1, keepdims=True)
    count = len(vectors)
    order = np.argsort(original, axis=1)

    def reciprocal(photo: int, k: int) -> set[int]:
        return {j for j in order[photo, : k + 1].tolist() if photo in order[j, : k + 1].tolist()}

    weights = np.zeros((count, count))
    for photo in range(count):
        near = reciprocal(photo, k1)
        extended = set(near)
        for other in near:
            theirs = reciprocal(other, round(k1 / 2))
            if len(theirs & near) > 2 / 3 * len(theirs):
                extended |= theirs
        members = sorted(extended)
        kernel = np.exp(-original[photo, members])
        weights[photo, members] = kernel / kernel.sum()
    common = np.minimum(weights[:, None], weights[None]).sum(2)
    return (1 - weight) * (1 - common / (2 - common)) + weight * original


@pytest.mark.parametrize(
    ("photos", "k1", "weight", "spread", "seed"),
    [
        (230, 20, 0.1, 1.0, 0),
        (230, 20, 0.1, 0.5, 1),
        (230, 7, 0.3, 0.7, 2),
        (40, 12, 0.0, 1.0, 3),
        (15, 20, 0.1, 1.0, 4),
    ],
)
def test_like_the_dense_definition(photos, k1, weight, spread, seed):
    features = clustered(photos, 24, seed, spread)
    queries = np.arange(photos - photos * 30 // 230, photos)
    database = np.arange(queries[0])
    expected = dense(features, k1, weight)[np.ix_(queries, database)]
    for kept in (k1 + 1, 3 * (k1 + 1)):  # distances that the lists do not have come from the descriptors
        neighbours = nearest_neighbours(features, np.arange(photos), kept, max_bytes=1 << 30)
        candidates = np.tile(database, (len(queries), 1))
        squared = np.maximum(2 - 2 * features[queries] @ features[database].T, 0)
        found = reciprocal_distances(neighbours, features, queries, candidates, squared, k1=k1, jaccard_lambda=weight)
        assert np.abs(found - expected).max() < 1e-6
    assert expected.std() > 0.01


def test_a_part_of_the_photos_and_padding():
    features = clustered(120, 16, 5, 0.8)
    members = np.arange(1, 120, 2)
    neighbours = nearest_neighbours(features, members, 63, max_bytes=1 << 30)
    queries, candidates = np.array([101, 7]), np.array([[9, 35, -1], [101, -1, -1]])
    squared = np.where(candidates >= 0, 2 - 2 * (features[candidates] * features[queries][:, None]).sum(2), 0)
    found = reciprocal_distances(neighbours, features, queries, candidates, squared.astype(np.float32))
    expected = dense(features[members], 20, 0.1)
    assert found[0, :2] == pytest.approx(expected[50, [4, 17]], abs=1e-6)
    assert found[1, 0] == pytest.approx(expected[3, 50], abs=1e-6)
    assert np.isinf(found[candidates < 0]).all()


@pytest.mark.parametrize("max_bytes", [1 << 30, 1 << 11])
def test_nearest_neighbours_in_blocks_and_parts(max_bytes):
    features = clustered(53, 12, 6, 0.9)
    members = np.array([i for i in range(53) if i % 5])
    squared = 2 - 2 * features[members].astype(np.float64) @ features[members].T
    parts = [nearest_neighbours(features, members, 9, max_bytes=max_bytes, part=(i, 3)) for i in range(3)]
    found = Neighbours.join(parts)
    order = np.argsort(squared, axis=1)[:, :9]
    assert np.array_equal(found.nearest, order)
    assert np.allclose(found.squared, np.take_along_axis(squared, order, 1), atol=1e-6)
    assert np.allclose(found.farthest, squared.max(1), atol=1e-6)
    assert np.array_equal(found.members, members)


def test_difficult_positives_of_hand_made_ranks():
    # Twenty positives in the order of distance; where the Jaccard distance puts each.
    jaccard = np.array([1, 4, 0, 2, 3, 5, 19, 6, 8, 7, 10, 12, 9, 11, 13, 18, 14, 15, 16, 17])
    # Promoted by three, two and one places, each in the order of Jaccard; 0, 1, 6, 11 and 15 are demoted.
    by_three, by_two, by_one, same = [12], [2, 9, 13, 16, 17, 18, 19], [3, 4, 7, 14], [5, 8, 10]
    expected = by_three + by_two + by_one + same
    assert difficult_positives(np.arange(20), jaccard, 20).tolist() == expected
    assert difficult_positives(np.arange(20), jaccard, 10).tolist() == expected[:10]


def test_as_many_as_there_are():
    same = np.arange(4)
    assert difficult_positives(same, same, 10).tolist() == [0, 1, 2, 3]  # equal rankings: the nearest
    assert difficult_positives(same, same, 2).tolist() == [0, 1]
    assert difficult_positives(np.arange(1), np.zeros(1, int), 10).tolist() == [0]
    assert difficult_positives(np.arange(3), np.array([2, 0, 1]), 10).tolist() == [1, 2]  # the first was demoted
    assert difficult_positives(np.array([1, 0, 2]), np.array([0, 1, 2]), 10).tolist() == [0, 2]
