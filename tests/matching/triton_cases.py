"""Cases for the Triton kernels, run in a process of their own by test_triton.py: interpreted on the CPU, or on a GPU.

Everything is compared with the reference backend on the same device; integers bit for bit.
"""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.matching import check_sets, get_backend
from fol.matching.backends.triton_kernels import kernels
from fol.matching.backends.triton_kernels.launch import (
    LIST_BLOCK,
    RaggedPairs,
    longest_coded_set,
    match_pairs,
)
from fol.matching.backends.triton_kernels.packing import pack
from fol.matching.quantisation import QuantisedLocalFeatures, Quantiser, random_rotation
from fol.types import LocalFeaturesBatch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")
PRECISIONS = ["exact", "int8"]
EXAMPLES = 6 if INTERPRETED else 200
BACKENDS = {precision: get_backend("triton", DEVICE, precision) for precision in PRECISIONS}
REFERENCES = {precision: get_backend("reference", DEVICE, precision) for precision in PRECISIONS}


def on_device(item):
    if isinstance(item, list):
        return [on_device(part) for part in item]
    return item.to(DEVICE)


def assert_equal(found, expected, tolerance):
    assert found.partner.dtype == torch.int64
    assert found.similarity.dtype == torch.float32
    assert torch.equal(found.partner, expected.partner)
    torch.testing.assert_close(found.similarity, expected.similarity, rtol=0, atol=tolerance)


def assert_as_reference(precision, query, candidates, threshold, tolerance=0.0):
    """Products of float32 differ in the last bits, with the order of the sums; integers never.

    On a GPU torch multiplies by the reciprocal where it is asked to divide by a number: there the last bit may differ.
    """
    checked = check_sets(on_device(query), on_device(candidates))
    expected = REFERENCES[precision].match(*checked, threshold)
    found = BACKENDS[precision].match(*checked, threshold)
    assert_equal(found, expected, 0.0 if precision == "int8" and INTERPRETED else tolerance)
    return expected


def unit(rows):
    return torch.nn.functional.normalize(rows, dim=-1)


def similar_sets(length, lengths, dim, seed=0, common=0.0):
    """Unit rows; every candidate repeats half of the query, with noise; ``common`` brings all close together."""
    generator = torch.Generator().manual_seed(seed)
    query = unit(torch.randn(length, dim, generator=generator))
    candidates = []
    for size in lengths:
        rows = unit(torch.randn(size, dim, generator=generator))
        half = min(size // 2, length)
        rows[:half] = query[torch.randperm(length, generator=generator)[:half]] + 0.6 * rows[:half]
        candidates.append(unit(rows))
    direction = common * unit(torch.ones(dim))
    return unit(query + direction), [unit(candidate + direction) for candidate in candidates]


@st.composite
def ragged_sets(draw):
    """Many equal, opposite and zero rows; empty sets too. Entries of +-1/4: no product is rounded, ties are ties."""
    signs = st.lists(st.sampled_from([-1, 1]), min_size=16, max_size=16)
    pool = torch.tensor([[0] * 16, *draw(st.lists(signs, min_size=1, max_size=12))], dtype=torch.float32) / 4
    rows = st.lists(st.integers(0, len(pool) - 1), max_size=draw(st.sampled_from([5, 70, 130])))
    sets = [pool[torch.tensor(draw(rows), dtype=torch.long)] for _ in range(draw(st.integers(2, 5)))]
    return sets[0], sets[1:], draw(st.sampled_from([None, -0.5, 0.0, 0.25, 0.7]))


@pytest.mark.parametrize("precision", PRECISIONS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(case=ragged_sets())
def test_ties_duplicates_zero_rows_and_empty_sets(precision, case):
    assert_as_reference(precision, *case, tolerance=1e-6 if precision == "int8" else 0.0)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("dim", "threshold"), [(128, 0.3), (64, None), (100, 0.5), (7, -2.0)])
def test_ragged_sets(precision, dim, threshold):
    query, candidates = similar_sets(100, [1, 0, 300 if dim == 128 else 65], dim)
    expected = assert_as_reference(precision, query, candidates, threshold, 1e-6)
    assert int((expected.partner[2] >= 0).sum()) > 10


@pytest.mark.parametrize("precision", PRECISIONS)
def test_one_query_token(precision):
    query, candidates = similar_sets(300, [1, 70], 32)
    assert_as_reference(precision, query[:1], candidates, None, 1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_tokens_anywhere(precision):
    query, candidates = similar_sets(20, [3], 32)
    assert_as_reference(precision, query[:0], candidates, None)
    assert_as_reference(precision, query, [candidates[0][:0]], None)
    assert len(BACKENDS[precision].match(check_sets(on_device(query), [])[0], [], 0.5)) == 0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_among_equals_the_lowest_wins_across_tiles(precision):
    """Distinct rows, then all of them again: the second copies lie in other tiles and match nothing."""
    rows = similar_sets(90, [], 32)[0]
    repeated = torch.cat([rows, rows, rows[:20]])
    expected = assert_as_reference(precision, repeated, [repeated, rows], 0.7, 1e-6)
    assert expected[0].pairs.tolist() == [[i, i] for i in range(90)]


@pytest.mark.parametrize("threshold", [None, -0.75])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_opposite_tokens_match_each_other_and_no_padding(precision, threshold):
    query = torch.tensor([[0.0] * 4, [0.5] * 4])
    candidate = torch.tensor([[-0.5] * 4, [0.0] * 4, [0.5, -0.5, -0.5, -0.5]])
    assert_as_reference(precision, query, [candidate], threshold, 1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_features_close_together(precision):
    """Everything is above the threshold; integers must still agree to the last bit."""
    query, candidates = similar_sets(100, [130, 90], 64, common=6.0)
    checked = check_sets(on_device(query), on_device(candidates))
    found = BACKENDS[precision].match(*checked, 0.7)
    expected = REFERENCES[precision].match(*checked, 0.7)
    differing = int((found.partner != expected.partner).sum())
    assert differing <= (0 if precision == "int8" else 4)  # near-ties below float32's resolution
    assert int((expected.partner >= 0).sum()) > 40


@pytest.mark.parametrize("precision", PRECISIONS)
def test_padding_and_mixed_types(precision):
    query, candidates = similar_sets(100, [120, 60], 32)
    padded = torch.zeros(131, 32)
    padded[torch.arange(100) + 7] = query
    block = torch.zeros(2, 140, 32)
    for k, candidate in enumerate(candidates):
        block[k, 11 : 11 + len(candidate)] = candidate
    assert_as_reference(precision, padded, block, 0.4, 1e-6)
    assert_as_reference(precision, padded.half(), [candidates[0].double(), block[1].bfloat16()], 0.4, 1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_candidate_has_the_same_result_in_any_company(precision):
    query, candidates = similar_sets(100, [90, 1, 200, 64], 64)
    checked_query, checked = check_sets(on_device(query), on_device(candidates))
    together = BACKENDS[precision].match(checked_query, checked, None)
    for k, candidate in enumerate(checked):
        alone = BACKENDS[precision].match(checked_query, [candidate], None)
        assert torch.equal(alone.partner[0], together.partner[k])
        assert torch.equal(alone.similarity[0], together.similarity[k])  # to the last bit


@pytest.mark.parametrize("precision", PRECISIONS)
def test_several_queries_in_one_launch(precision):
    """Queries of different lengths, one with padding, one without tokens, and candidates that they share."""
    long, candidates = similar_sets(150, [100, 0, 70], 32)
    queries = [long, torch.cat([long[:40], torch.zeros(5, 32), long[40:60]]), long[:0]]
    sets = check_sets(on_device(long), on_device(candidates))[1]
    checked = [check_sets(on_device(query), [])[0] for query in queries]
    own = [sets, [sets[2], sets[0]], sets[:2]]
    for found, query, listed in zip(BACKENDS[precision].match_many(checked, own, 0.4), checked, own, strict=True):
        alone = BACKENDS[precision].match(query, listed, 0.4)
        assert torch.equal(found.partner, alone.partner)
        assert torch.equal(found.similarity, alone.similarity)


def coded(rows, lengths, quantiser):
    total = sum(lengths)
    batch = LocalFeaturesBatch(rows, torch.zeros(total, 2), torch.ones(total), tuple(lengths))
    return QuantisedLocalFeatures.encode(batch, quantiser)


def test_stored_codes():
    query, candidates = similar_sets(100, [120, 0, 60], 64, common=1.0)
    rows = torch.cat(candidates)
    quantiser = Quantiser.fit(rows, random_rotation(64, seed=3))
    stored = coded(rows, [120, 0, 60], quantiser)
    expected = assert_as_reference("int8", query, stored, 0.5, 1e-6)
    assert int((expected.partner >= 0).sum()) > 40


def test_stored_codes_of_two_kinds_and_plain_descriptors_together():
    query, candidates = similar_sets(80, [70, 90, 50], 32)
    kinds = [Quantiser.fit(candidates[0]), Quantiser.fit(candidates[1], random_rotation(32, seed=1))]
    stored = [coded(rows, [len(rows)], kind) for rows, kind in zip(candidates[:2], kinds, strict=True)]
    assert_as_reference("int8", query, [*stored, candidates[2]], 0.3, 1e-6)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_products_do_not_overflow(sign):
    """All codes +-127 in 256 dimensions, and biases at both ends: the largest numbers that a key can hold."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.full((70, 256), 127, dtype=torch.int8)
    codes[::2] = -127
    bias = torch.rand(70, generator=generator) * 2 - 1

    quantiser = Quantiser(torch.zeros(256, device=DEVICE), 360.0)  # one object, so codes are comparable
    places = torch.zeros(70, 2, device=DEVICE), torch.ones(70, device=DEVICE), (70,), quantiser
    mine = QuantisedLocalFeatures(codes.to(DEVICE), bias.to(DEVICE), *places)
    checked = check_sets(mine, QuantisedLocalFeatures(sign * mine.codes, mine.bias.flip(0), *places))
    expected = REFERENCES["int8"].match(*checked, None)
    assert_equal(BACKENDS["int8"].match(*checked, None), expected, 1e-4)
    assert int((expected.partner >= 0).sum()) == 2


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_threshold_is_strict(precision):
    """At a cosine that occurs, and beside it: the marks of the first pass may keep too much but never too little."""
    query, candidates = similar_sets(60, [70], 32)
    checked = check_sets(on_device(query), on_device(candidates))
    every = BACKENDS[precision].match(*checked, None)
    values = every.similarity[every.partner >= 0]
    for value in values.sort().values[[0, len(values) // 2, -2]].tolist():
        kept = BACKENDS[precision].match(*checked, value)
        assert torch.equal(kept.partner >= 0, (every.partner >= 0) & (every.similarity > value))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_launch_serves_other_lengths(precision):
    """What a captured graph relies on: sets and lengths change in place, within the capacities."""
    query, candidates = similar_sets(100, [90, 130], 32)
    quantiser = None if precision == "exact" else Quantiser.fit(query).to(DEVICE)
    x = pack([check_sets(on_device(query), [])[0]], quantiser)
    y = pack(check_sets(on_device(query), on_device(candidates))[1], quantiser)
    table = RaggedPairs.upload([0, 0], [100, 100], [0, 90], [90, 130], DEVICE)
    pairs = RaggedPairs(table.table, 160, 200)
    whole = match_pairs(x.sets, y.sets, pairs, 0.3, quantiser)
    pairs.table.copy_(torch.tensor([[0, 20], [100, 50], [90, 0], [40, 0]]))
    changed = match_pairs(x.sets, y.sets, pairs, 0.3, quantiser)
    fresh = RaggedPairs.upload([0], [100], [90], [40], DEVICE)
    alone = match_pairs(x.sets, y.sets, fresh, 0.3, quantiser)
    assert torch.equal(changed[0][0, :100], alone[0][0])
    assert torch.equal(changed[1][0, :100], alone[1][0])
    assert bool((whole[0][:, 100:] == -1).all())
    assert int((changed[0][0] >= 0).sum()) > 5
    assert bool((changed[0][1] == -1).all())  # an empty candidate
    assert bool((changed[1][1] == 0).all())


def test_lists_longer_than_a_block():
    generator = torch.Generator().manual_seed(0)
    marks = (torch.rand(3, 2500, generator=generator) < 0.5).to(DEVICE, torch.int8)
    lengths = torch.tensor([2500, 0, 1100], device=DEVICE)
    listed = torch.full((3, 2500), -1, dtype=torch.int32, device=DEVICE)
    count = torch.empty(3, dtype=torch.int64, device=DEVICE)
    kernels.list_marked[(3,)](marks, lengths, listed, count, 2500, BLOCK=LIST_BLOCK)
    for pair, length in enumerate(lengths.tolist()):
        expected = marks[pair, :length].nonzero().flatten().tolist()
        assert int(count[pair]) == len(expected)
        assert listed[pair, : len(expected)].tolist() == expected


def test_long_coded_sets():
    """Two candidates of more tokens than the helpers take at a time, and a query of one."""
    query, candidates = similar_sets(40, [1100, 1030], 32, common=1.0)
    quantiser = Quantiser.fit(query)
    stored = coded(torch.cat(candidates), [1100, 1030], quantiser)
    expected = assert_as_reference("int8", query[:3], stored, 0.5, 1e-6)
    assert int((expected.partner >= 0).sum()) > 1


def test_codes_too_long_for_a_key_are_left_to_torch():
    assert longest_coded_set(128) == 32768
    assert longest_coded_set(300) == 0
    query, candidates = similar_sets(30, [20], 300)
    assert_as_reference("int8", query, candidates, 0.3, 1e-6)


def test_packed_rows_are_not_copied():
    query, candidates = similar_sets(30, [20, 30, 10], 64)
    rows = on_device(torch.cat(candidates))
    batch = LocalFeaturesBatch(rows, rows.new_zeros(60, 2), rows.new_ones(60), (20, 30, 10))
    assert pack(check_sets(on_device(query), batch)[1], None).sets.rows.data_ptr() == rows.data_ptr()
    codes = QuantisedLocalFeatures.encode(batch, Quantiser.fit(rows))
    sets = check_sets(on_device(query), codes)[1]
    assert pack(sets, codes.quantiser).sets.rows.data_ptr() == codes.codes.data_ptr()
