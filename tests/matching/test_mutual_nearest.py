"""The reference against the published numbers, and against cases counted by hand."""

from __future__ import annotations

import pytest
import torch

from fol.errors import MatchingError
from fol.matching import mutual_nearest
from fol.types import LocalFeatures


def test_counts_equal_the_published_code(published):
    query, candidates, expected = published(1000)
    assert [len(mutual_nearest(query, candidate, 0.7)) for candidate in candidates] == expected


@pytest.mark.slow
def test_counts_equal_the_published_code_at_full_size(published):
    query, candidates, expected = published(3600)
    assert [len(mutual_nearest(query, candidate, 0.7)) for candidate in candidates] == expected


def test_matches_by_hand():
    east, north, between = [1.0, 0.0], [0.0, 1.0], [0.8, 0.6]
    found = mutual_nearest(torch.tensor([east, north, between]), torch.tensor([north, between]), 0.5)
    # east's nearest is `between` (0.8), but that one prefers its equal.
    assert found.pairs.tolist() == [[1, 0], [2, 1]]
    assert found.similarity.tolist() == pytest.approx([1.0, 1.0])
    assert found.pairs.dtype == torch.int64


def test_equal_similarities_resolve_to_the_lowest_index_on_both_sides():
    east = torch.tensor([1.0, 0.0])
    assert mutual_nearest(east.repeat(3, 1), east.repeat(4, 1), 0.5).pairs.tolist() == [[0, 0]]


def test_a_pair_may_share_its_maximum_without_being_mutual():
    # Products [[0.5, 0.5], [-0.5, 0.5]]: row 1 and column 1 meet at their maximum, but column 1's lowest maximal row
    # is row 0, which takes column 0. Counting equal maxima would give two matches.
    query = torch.tensor([[0.5, 0.5, 0.5, 0.5], [-0.5, -0.5, 0.5, 0.5]])
    candidate = torch.tensor([[0.5, 0.5, 0.5, -0.5], [0.5, -0.5, 0.5, 0.5]])
    assert mutual_nearest(query, candidate, 0.2).pairs.tolist() == [[0, 0]]


def test_one_match_counts_one():
    unit = torch.tensor([[0.6, 0.8]])
    assert len(mutual_nearest(unit, unit, 0.7)) == 1


def test_the_threshold_is_strict():
    query, candidate = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.75]])
    assert len(mutual_nearest(query, candidate, 0.5)) == 0
    assert len(mutual_nearest(query, candidate, 0.4999)) == 1


@pytest.mark.parametrize("threshold", [None, -1.0, 0.0, 0.7])
def test_zero_rows_never_match(threshold):
    query = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    candidate = torch.tensor([[0.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    expected = [[1, 1]] if threshold is None else []  # the only real pair has cosine -1
    assert mutual_nearest(query, candidate, threshold).pairs.tolist() == expected


@pytest.mark.parametrize("lengths", [(0, 3), (3, 0), (0, 0)])
def test_empty_sets_have_no_matches(lengths):
    query, candidate = (torch.eye(4)[:length] for length in lengths)
    found = mutual_nearest(query, candidate, 0.7)
    assert len(found) == 0
    assert found.pairs.shape == (0, 2)


def test_local_features_and_tensors_are_the_same():
    descriptors = torch.eye(5)
    features = LocalFeatures(descriptors, torch.rand(5, 2), torch.full((5,), 0.5))
    assert torch.equal(
        mutual_nearest(features, descriptors, 0.7).pairs, mutual_nearest(descriptors, features, 0.7).pairs
    )


def test_similarities_carry_gradients():
    query = torch.eye(3, requires_grad=True)
    mutual_nearest(query, torch.eye(3), 0.7).similarity.sum().backward()
    assert torch.equal(query.grad, torch.eye(3))


def test_nan_is_refused():
    with pytest.raises(MatchingError, match=r"^candidate 0 has a NaN or infinite descriptor \(token 1, 1 in all\)"):
        mutual_nearest(torch.eye(3), torch.tensor([[1.0, 0, 0], [0, torch.nan, 0]]), 0.7)
