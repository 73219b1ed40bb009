"""Centred sets against the definition, token by token."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from fol.matching import centre, check_sets


def test_the_querys_mean_is_taken_off_both_sides():
    generator = torch.Generator().manual_seed(1)
    common = torch.randn(16, generator=generator)
    query, candidate = (normalize(common * 3 + torch.randn(n, 16, generator=generator), dim=1) for n in (9, 7))
    assert float((query @ candidate.T).amin()) > 0.6
    centred, (other,) = centre(*check_sets(query, [candidate]))
    mean = sum(query) / 9
    for rows, found in ((query, centred), (candidate, other)):
        for row, got in zip(rows, found.descriptors, strict=True):
            torch.testing.assert_close(got, (row - mean) / (row - mean).norm(), atol=1e-5, rtol=0)
    assert float((centred.descriptors @ other.descriptors.T).amin()) < 0


def test_padding_stays_padding_and_a_single_token_has_no_direction_left():
    query = torch.eye(4)[:3]
    padded = torch.cat([query[:1], torch.zeros(1, 4), query[1:]])
    plain, filled = (centre(*check_sets(rows, [query]))[0] for rows in (query, padded))
    assert filled.valid.tolist() == [True, False, True, True] and filled.count == 3
    assert torch.equal(filled.descriptors[filled.valid], plain.descriptors)
    alone, (other,) = centre(*check_sets(query[:1], [query]))
    assert alone.count == 0 and other.count == 2  # the candidate's copy of it has none either


def test_without_tokens_nothing_changes():
    query, candidates = check_sets(torch.zeros(0, 4), [torch.eye(4)])
    same, others = centre(query, candidates)
    assert same is query and others == candidates
