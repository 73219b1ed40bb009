"""What is accepted, and how a bad set is named."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from fol.errors import MatchingError
from fol.matching import check_sets
from fol.types import LocalFeatures, LocalFeaturesBatch

EYE = torch.eye(4)


def features(length=4, dim=4, **changes):
    parts = {
        "descriptors": torch.eye(max(length, dim))[:length, :dim],
        "positions": torch.zeros(length, 2),
        "weights": torch.ones(length),
    }
    return LocalFeatures(**(parts | changes))


def test_plain_tensors_have_weight_one_and_zero_rows_none():
    rows = EYE.clone()
    rows[2] = 0
    query, (candidate,) = check_sets(rows, EYE[None])
    assert query.valid.tolist() == [True, True, False, True]
    assert query.weights.tolist() == [1, 1, 0, 1]
    assert query.count == 3
    assert query.positions is None
    descriptors, index = query.compact()
    assert torch.equal(descriptors, EYE[[0, 1, 3]])
    assert index.tolist() == [0, 1, 3]
    assert candidate.compact()[1] is None


def test_all_forms_of_candidates_are_the_same():
    sets = [features(3), features(0), features(4)]
    batch = LocalFeaturesBatch.pack(sets)
    for form in (sets, tuple(sets), batch, [s.descriptors for s in sets]):
        assert [len(c) for c in check_sets(EYE, form)[1]] == [3, 0, 4]
    assert check_sets(EYE, [])[1] == []
    assert check_sets(EYE, torch.zeros(0, 5, 4))[1] == []


def test_an_empty_set_may_have_any_dimension():
    assert check_sets(EYE, [LocalFeatures.empty(), torch.zeros(0, 7)])[1][0].count == 0
    assert check_sets(LocalFeatures.empty(), [EYE])[0].count == 0


@pytest.mark.parametrize(
    ("query", "candidates", "message"),
    [
        (EYE[0], [EYE], r"the query has descriptors of shape \(4,\); it must be \[L, D\]"),
        ([EYE], [EYE], r"the query is a list; give LocalFeatures or a tensor"),
        (EYE, EYE, r"the candidates have shape \(4, 4\); give one tensor \[N, Lc, D\] or a list"),
        (EYE, features(), r"the candidates are a LocalFeatures; give a list"),
        (EYE, "abc", r"the candidates are a str"),
        (EYE, [EYE, np.eye(4)], r"candidate 1 is a ndarray; give LocalFeatures or a tensor"),
        (EYE, [EYE, EYE[None]], r"candidate 1 has descriptors of shape \(1, 4, 4\)"),
        (EYE, [EYE, torch.eye(5)], r"candidate 1 has descriptors of 5 dimensions, the query of 4"),
        (EYE, [EYE.int()], r"candidate 0 has torch.int32 descriptors"),
        (EYE.bool(), [EYE], r"the query has torch.bool descriptors"),
        (EYE, [EYE.to("meta")], r"candidate 0 is on meta, the query on cpu"),
        (EYE, [EYE, EYE * torch.nan], r"candidate 1 has a NaN or infinite descriptor \(token 0, 4 in all\)"),
        (EYE * torch.inf, [EYE], r"the query has a NaN or infinite descriptor"),
        (EYE, [EYE * 1e30], r"candidate 0 has descriptors too large for float32"),
        (EYE, [features(positions=torch.zeros(3, 2))], r"candidate 0 has positions of shape \(3, 2\); .* \[4, 2\]"),
        (EYE, [features(weights=torch.ones(4, 1))], r"candidate 0 has weights of shape \(4, 1\); .* \[4\]"),
        (EYE, [features(weights=torch.full((4,), -0.1))], r"candidate 0 has weights that are not in \[0, 1\]"),
        (features(weights=torch.full((4,), torch.nan)), [EYE], r"the query has weights that are not in \[0, 1\]"),
        (
            EYE,
            LocalFeaturesBatch(EYE, torch.zeros(4, 2), torch.ones(4), (1, 2)),
            r"lengths add up to 3, but there are 4",
        ),
    ],
)
def test_a_bad_set_is_named(query, candidates, message):
    with pytest.raises(MatchingError, match=message) as caught:
        check_sets(query, candidates)
    assert "\n" not in str(caught.value)


def test_rows_far_from_unit_length_warn_once():
    with pytest.warns(UserWarning, match=r"candidate 1 has descriptors that are not of unit length \(1 of 3 sets do\)"):
        check_sets(EYE, [EYE, 3 * EYE])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sets(EYE.half(), [EYE * 1.01])
