"""Scores computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from fol.matching import BatchMatches, count_matches, fuse, weighted_score

# Two candidates and three query tokens; the second candidate has no tokens at all.
MATCHES = BatchMatches(torch.tensor([[1, -1, 0], [-1, -1, -1]]), torch.tensor([[0.9, 0.0, 0.8], [0.0, 0.0, 0.0]]))
QUERY_WEIGHTS = torch.tensor([0.25, 1.0, 0.5])
CANDIDATE_WEIGHTS = [torch.tensor([0.5, 1.0, 0.25]), torch.zeros(0)]


def test_count():
    assert count_matches(MATCHES).tolist() == [2, 0]


def test_weighted_sum():
    expected = math.sqrt(0.25 * 1.0) + math.sqrt(0.5 * 0.5)
    raw = weighted_score(MATCHES, QUERY_WEIGHTS, CANDIDATE_WEIGHTS, normalise=False)
    assert raw.tolist() == pytest.approx([expected, 0.0], abs=1e-7)
    normalised = weighted_score(MATCHES, QUERY_WEIGHTS, CANDIDATE_WEIGHTS)
    assert normalised.tolist() == pytest.approx([expected / 1.75, 0.0], abs=1e-7)


@pytest.mark.parametrize("length", [1, 7, 5000])
def test_an_image_reaches_one_with_itself(length):
    weights = torch.rand(length, generator=torch.Generator().manual_seed(1))
    itself = BatchMatches(torch.arange(length)[None], torch.ones(1, length))
    assert weighted_score(itself, weights, [weights]).item() == pytest.approx(1.0, abs=1e-6)


def test_zero_weights_score_zero():
    assert weighted_score(MATCHES, torch.zeros(3), CANDIDATE_WEIGHTS).tolist() == [0.0, 0.0]


def test_no_candidates():
    none = BatchMatches(torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, 3))
    assert weighted_score(none, QUERY_WEIGHTS, []).shape == (0,)


def test_the_score_does_not_depend_on_the_company():
    generator = torch.Generator().manual_seed(2)
    partner = torch.stack([torch.randperm(900, generator=generator) for _ in range(40)])
    weights = torch.rand(41, 900, generator=generator)
    similarity = torch.ones(40, 900)
    together = weighted_score(BatchMatches(partner, similarity), weights[40], list(weights[:40]))
    for k in range(40):
        one = slice(k, k + 1)
        alone = weighted_score(BatchMatches(partner[one], similarity[one]), weights[40], [weights[k]])
        assert torch.equal(alone, together[one])


def test_the_score_does_not_depend_on_the_order_of_the_tokens():
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(2, 900, generator=generator)
    partner = torch.randperm(900, generator=generator)
    scores = set()
    for _ in range(20):
        order = torch.randperm(900, generator=generator)
        matches = BatchMatches(partner[order][None], torch.ones(1, 900))
        scores.add(weighted_score(matches, weights[0, order], [weights[1]], normalise=False).item())
    assert len(scores) == 1


def test_fusion():
    local, similarity = torch.tensor([0.5, 0.25]), torch.tensor([0.5, 1.0])
    assert fuse(local, similarity, 2.0).tolist() == [1.5, 2.25]
    assert fuse(local, similarity, 0.0).tolist() == [0.5, 0.25]
    assert fuse(local, None, 2.0).tolist() == [0.5, 0.25]
