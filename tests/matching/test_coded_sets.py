"""Codes as input: accepted, refused, and whose codes count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fol.errors import ConfigError, MatchingError
from fol.matching import check_sets, get_backend
from fol.matching.inputs import quantisers
from fol.matching.quantisation import QuantisedLocalFeatures, Quantiser
from fol.types import LocalFeaturesBatch


def unit(count, dim=16, seed=0):
    return torch.nn.functional.normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def coded(lengths, seed=1, quantiser=None):
    count = sum(lengths)
    weights = torch.arange(count) / max(1, count)
    batch = LocalFeaturesBatch(unit(count, seed=seed), torch.zeros(count, 2), weights, tuple(lengths))
    return QuantisedLocalFeatures.encode(batch, quantiser or Quantiser.fit(batch.descriptors))


def test_packed_codes_are_split_by_image():
    features = coded([3, 0, 5])
    query, candidates = check_sets(unit(4), features)
    assert [len(c) for c in candidates] == [c.count for c in candidates] == [3, 0, 5]
    assert torch.equal(candidates[2].weights, features.weights[3:])
    codes, bias = candidates[2].encoded(features.quantiser)
    assert codes.data_ptr() == features.codes[3:].data_ptr()  # no copy
    assert torch.equal(bias, features.bias[3:])
    assert torch.equal(candidates[2].descriptors, features[2].descriptors)
    assert query.quantiser is None


def test_a_query_may_be_codes_of_one_image():
    features = coded([6])
    query, _ = check_sets(features, [])
    assert len(query) == 6
    assert query.encoded(features.quantiser)[0] is query.stored.codes
    with pytest.raises(MatchingError, match="the query has the codes of 2 images; give those of one"):
        check_sets(coded([3, 3]), [])


def test_other_codes_are_encoded_again():
    features = coded([6])
    other = Quantiser(torch.zeros(16), 100.0)
    codes, _ = check_sets(features, [])[0].encoded(other)
    assert torch.equal(codes, other.encode(features.quantiser.decode(features.codes))[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": torch.zeros(8, 16)}, "has torch.float32 codes; they must be int8"),
        ({"codes": torch.zeros(8, 15, dtype=torch.int8)}, "codes of 15 dimensions, its quantiser has 16"),
        ({"bias": torch.zeros(7)}, r"has a bias of shape \(7,\); it must be \[8\]"),
        ({"bias": torch.tensor([0.0] * 5 + [torch.nan] * 3)}, "candidate 1 has a bias that is not finite"),
        ({"weights": torch.tensor([2.0] + [0.0] * 7)}, r"candidate 0 has weights that are not in \[0, 1\]"),
        ({"lengths": (3, 4)}, "lengths add up to 7, but there are 8"),
    ],
)
def test_bad_codes_are_named(change, message):
    with pytest.raises(MatchingError, match=message):
        check_sets(unit(4), replace(coded([3, 5]), **change))


def test_the_codes_compared_follow_from_query_and_candidate_alone():
    first, second = coded([3]), coded([4], seed=2)
    query, candidates = check_sets(unit(5), [unit(6, seed=3), first, second, unit(0), unit(2, seed=4)])
    groups = quantisers(query, candidates)
    assert [members for _, members in groups] == [[0, 4], [1], [2]]
    assert groups[1][0] is first.quantiser
    torch.testing.assert_close(groups[0][0].mean, unit(5).mean(dim=0))  # fitted to the query
    of_query = quantisers(check_sets(first, [])[0], candidates)
    assert [members for _, members in of_query] == [[0, 1, 4], [2]]
    assert quantisers(check_sets(unit(0), [])[0], candidates) == []


@pytest.mark.parametrize("name", ["cpu", "torch", "reference"])
@pytest.mark.parametrize("precision", ["exact", "int8", "binary"])
def test_mixed_candidates_have_the_same_result_in_any_company(name, precision):
    backend = get_backend(name, "cpu", precision)
    candidates = [unit(40, seed=3), coded([30]), coded([20], seed=2)]
    together = backend.match(*check_sets(unit(50), candidates), None)
    for k, candidate in enumerate(candidates):
        alone = backend.match(*check_sets(unit(50), [candidate]), None)
        assert torch.equal(alone.partner[0], together.partner[k])
        assert torch.equal(alone.similarity[0], together.similarity[k])


def test_an_unknown_precision_lists_the_choices():
    with pytest.raises(ConfigError, match="unknown matching precision 'fp8'; choose one of: exact, int8, binary"):
        get_backend("cpu", "cpu", "fp8")
