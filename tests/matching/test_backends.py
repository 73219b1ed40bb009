"""Every backend against a brute force in integers, where every similarity is exact and ties are frequent."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.errors import ConfigError
from fol.matching import backend_names, check_sets, get_backend, weighted_score
from fol.matching.backends import torch_tiled

CPU = torch.device("cpu")
BACKENDS = {
    "reference": get_backend("reference", CPU),
    "torch": get_backend("torch", CPU),
    "torch for accelerators": torch_tiled.TorchTiledBackend(grouped=True),
}
DIM = 16  # rows of +-1/4 have length 1, and their products are multiples of 1/8: no rounding anywhere


def brute_force(query, candidate, threshold):
    """Pairs of rows of +-1 (or 0), by definition: for each row scan all, an equal later one never wins."""

    def nearest(row, others):
        best = None
        for index, other in enumerate(others):
            if any(other):
                product = sum(a * b for a, b in zip(row, other, strict=True))
                if best is None or product > best[0]:
                    best = (product, index)
        return best

    pairs = []
    for i, row in enumerate(query):
        there = nearest(row, candidate) if any(row) else None
        if there is None:
            continue
        back = nearest(candidate[there[1]], query)
        if back[1] == i and (threshold is None or there[0] / DIM > threshold):
            pairs.append([i, there[1]])
    return pairs


@st.composite
def ragged_sets(draw):
    """A query and some candidates with many equal, opposite, zero and similar rows; empty sets too."""
    signs = st.lists(st.sampled_from([-1, 1]), min_size=DIM, max_size=DIM)
    pool = [[0] * DIM, *draw(st.lists(signs, min_size=1, max_size=12))]
    rows = st.lists(st.sampled_from(pool), max_size=70)
    return draw(rows), draw(st.lists(rows, min_size=1, max_size=4)), draw(st.sampled_from([None, -0.5, 0.0, 0.25, 0.7]))


def tensors(rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, DIM) / 4


@pytest.mark.parametrize("name", BACKENDS)
@settings(max_examples=60, deadline=None)
@given(case=ragged_sets())
def test_pairs_equal_the_brute_force(name, case):
    query, candidates, threshold = case
    checked = check_sets(tensors(query), [tensors(candidate) for candidate in candidates])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_tiled, "_TILE_ROWS", 32)  # several tiles even here
        matches = BACKENDS[name].match(*checked, threshold)
    assert [matches[k].pairs.tolist() for k in range(len(candidates))] == [
        brute_force(query, candidate, threshold) for candidate in candidates
    ]


@pytest.mark.parametrize("name", BACKENDS)
def test_the_threshold_is_strict(name):
    checked = check_sets(torch.tensor([[0.5, 0.5, 0.5, 0.5]]), [torch.tensor([[0.5, 0.5, 0.5, -0.5]])])
    assert [len(BACKENDS[name].match(*checked, t)[0]) for t in (0.4999, 0.5, 0.5001)] == [1, 0, 0]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("threshold", [None, -0.75])
def test_opposite_tokens_match_each_other_and_no_padding(name, threshold):
    """Padding has a product of 0, more than any real token here."""
    query = torch.tensor([[0.0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]])
    candidate = torch.tensor([[-0.5, -0.5, -0.5, -0.5], [0.0, 0, 0, 0], [0.5, -0.5, -0.5, -0.5]])
    matches = BACKENDS[name].match(*check_sets(query, [candidate]), threshold)
    assert matches.partner.tolist() == [[-1, 2]]
    assert matches.similarity.tolist() == [[0.0, -0.5]]


@pytest.mark.parametrize("name", ["torch", "torch for accelerators"])
@pytest.mark.parametrize("length", [1000, 3600])
def test_counts_equal_the_published_code(name, length, published):
    query, candidates, expected = published(length)
    matches = BACKENDS[name].match(*check_sets(query, candidates), 0.7)
    assert [len(matches[k]) for k in range(len(matches))] == expected


def random_sets(lengths, dim=64, seed=0):
    """Unit rows; every candidate repeats half of the query, with noise."""
    generator = torch.Generator().manual_seed(seed)
    query = torch.nn.functional.normalize(torch.randn(300, dim, generator=generator), dim=1)
    candidates = []
    for length in lengths:
        rows = torch.randn(length, dim, generator=generator) / dim**0.5
        half = min(length // 2, 300)
        rows[:half] = query[torch.randperm(300, generator=generator)[:half]] + 0.6 * rows[:half]
        candidates.append(torch.nn.functional.normalize(rows, dim=1))
    return query, candidates


LENGTHS = [1, 300, 17, 0, 450, 33, 299, 2, 128, 600]


@pytest.mark.parametrize("name", BACKENDS)
def test_a_candidate_has_the_same_result_in_any_company(name):
    query, candidates = random_sets(LENGTHS)
    together = BACKENDS[name].match(*check_sets(query, candidates), None)
    for k, candidate in enumerate(candidates):
        alone = BACKENDS[name].match(*check_sets(query, [candidate]), None)
        assert torch.equal(alone.partner[0], together.partner[k])
        assert torch.equal(alone.similarity[0], together.similarity[k])  # to the last bit


def test_products_for_accelerators_have_the_same_shapes_in_any_company(monkeypatch):
    """Their libraries choose kernels by shape, so the last bits follow the shape."""
    shapes = []
    product = torch.bmm
    monkeypatch.setattr(torch, "bmm", lambda a, b: shapes.append((a.shape, b.shape)) or product(a, b))
    query, candidates = random_sets(LENGTHS)
    backend = BACKENDS["torch for accelerators"]
    backend.match(*check_sets(query, candidates), 0.7)
    together = set(shapes)
    for candidate in candidates:
        shapes.clear()
        backend.match(*check_sets(query, [candidate]), 0.7)
        assert set(shapes) <= together


@pytest.mark.parametrize("name", BACKENDS)
def test_similarities_and_matches_agree_with_float64(name):
    query, candidates = random_sets(LENGTHS)
    matches = BACKENDS[name].match(*check_sets(query, candidates), 0.3)
    for k, candidate in enumerate(candidates):
        exact = query.double() @ candidate.double().T
        mutual = (exact == exact.amax(1, keepdim=True)) & (exact == exact.amax(0)) if len(candidate) else exact > 2
        found = matches[k]
        assert found.pairs.tolist() == (mutual & (exact > 0.3)).nonzero().tolist()
        torch.testing.assert_close(
            found.similarity.double(), exact[found.query_index, found.candidate_index], rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("name", ["torch", "torch for accelerators"])
def test_padding_changes_nothing(name):
    query, candidates = random_sets([200, 300])
    plain = BACKENDS[name].match(*check_sets(query, candidates), None)
    padded_query = torch.zeros(401, 64)
    real = torch.arange(300) + 50  # zero rows before and after
    padded_query[real] = query
    padded = torch.zeros(2, 333, 64)
    for k, candidate in enumerate(candidates):
        padded[k, 33 : 33 + len(candidate)] = candidate
    matches = BACKENDS[name].match(*check_sets(padded_query, padded), None)
    shifted = torch.where(plain.partner >= 0, plain.partner + 33, -1)
    assert torch.equal(matches.partner[:, real], shifted)
    assert torch.equal(matches.similarity[:, real], plain.similarity)
    assert int((matches.partner >= 0).sum()) == int((plain.partner >= 0).sum())


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_scored_in_float32(name, dtype):
    query, candidates = random_sets([200, 0, 300])
    query, candidates = query.to(dtype), [c.to(dtype) for c in candidates]
    matches = BACKENDS[name].match(*check_sets(query, candidates), 0.5)
    as_float = BACKENDS[name].match(*check_sets(query.float(), [c.float() for c in candidates]), 0.5)
    assert torch.equal(matches.partner, as_float.partner)
    assert torch.equal(matches.similarity, as_float.similarity)


@pytest.mark.parametrize("name", ["torch", "torch for accelerators"])
def test_identical_sets_match_once_per_distinct_token(name):
    rows = random_sets([])[0]
    repeated = torch.cat([rows, rows[:37], rows[100:101].repeat(20, 1)])
    matches = BACKENDS[name].match(*check_sets(repeated, [repeated]), 0.7)
    assert matches[0].pairs.tolist() == [[i, i] for i in range(300)]


@pytest.mark.parametrize("name", BACKENDS)
def test_collapsed_features_still_match_exactly(name):
    """A large common vector brings all cosines near 1: many near-ties, everything above the threshold."""
    query, candidates = random_sets([300, 280])
    common = 5 * torch.nn.functional.normalize(torch.ones(64), dim=0)
    query, candidates = (
        torch.nn.functional.normalize(query + common, dim=1),
        [torch.nn.functional.normalize(c + common, dim=1) for c in candidates],
    )
    matches = BACKENDS[name].match(*check_sets(query, candidates), 0.7)
    for k, candidate in enumerate(candidates):
        exact = query.double() @ candidate.double().T
        expected = ((exact == exact.amax(1, keepdim=True)) & (exact == exact.amax(0))).nonzero().tolist()
        wrong = {tuple(p) for p in expected} ^ {tuple(p) for p in matches[k].pairs.tolist()}
        assert len(wrong) <= 2  # near-ties below float32's resolution


def test_gradients_do_not_reach_the_answer():
    query, candidates = random_sets([40])
    matches = BACKENDS["torch"].match(*check_sets(query.requires_grad_(), candidates), 0.5)
    assert not matches.similarity.requires_grad


def test_callers_settings_do_not_change_the_result():
    query, candidates = random_sets([300, 280])
    before = BACKENDS["torch"].match(*check_sets(query, candidates), None)
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = BACKENDS["torch"].match(*check_sets(query, candidates), None)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(before.similarity, inside.similarity)
    assert torch.equal(before.partner, inside.partner)


@pytest.mark.gpu
def test_cuda_equals_the_cpu(published):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    query, candidates, expected = published(1000)
    checked = check_sets(query.cuda(), candidates.cuda())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.cuda.set_sync_debug_mode("error")  # matching must not wait for the device
        try:
            matches = get_backend("auto", "cuda").match(*checked, 0.7)
            weighted_score(matches, checked[0].weights, [c.weights for c in checked[1]])
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert matches.partner.device.type == "cuda"
    assert [len(matches[k]) for k in range(len(matches))] == expected


def test_unknown_backend_lists_the_choices():
    with pytest.raises(
        ConfigError, match=r"^unknown matching backend 'cublas'; choose one of: auto, cpu, reference, torch, triton$"
    ):
        get_backend("cublas", "cpu")
    assert backend_names() == ("auto", "cpu", "reference", "torch", "triton")
