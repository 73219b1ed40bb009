"""All backends that run on a CPU, in all precisions: bit for bit what the reference says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.errors import ConfigError
from fol.matching import check_sets, get_backend
from fol.matching.backends import cpu_binary, cpu_float32, cpu_int8
from fol.matching.backends.cpu import CpuBackend
from fol.matching.backends.cpu_features import VARIABLE, cpu_features
from fol.matching.backends.torch_tiled import TorchTiledBackend
from fol.matching.quantisation import QuantisedLocalFeatures, Quantiser, random_rotation
from fol.types import LocalFeaturesBatch

KERNELS = [
    (precision, kernel)
    for precision, module in (("exact", cpu_float32), ("int8", cpu_int8), ("binary", cpu_binary))
    for kernel in module.KERNELS
    if kernel.features <= cpu_features()
]
BACKENDS = [CpuBackend(precision, kernel) for precision, kernel in KERNELS] + [
    TorchTiledBackend(grouped, precision) for grouped in (False, True) for precision in ("int8", "binary")
]
NAMES = [f"{precision} {kernel.run.__name__.removeprefix('_run_')}" for precision, kernel in KERNELS] + [
    f"torch {precision}{' grouped' if grouped else ''}" for grouped in (False, True) for precision in ("int8", "binary")
]
CODED = [backend for backend in BACKENDS if backend.precision != "exact"]
each_backend = pytest.mark.parametrize("backend", BACKENDS, ids=NAMES)
each_kernel = pytest.mark.parametrize("backend", BACKENDS[: len(KERNELS)], ids=NAMES[: len(KERNELS)])


def unit(rows, dim, generator):
    return torch.nn.functional.normalize(torch.randn(rows, dim, generator=generator) + 0.3, dim=1)


def sets(length, lengths, dim=64, seed=0):
    """Candidates repeat the first rows of the query, some exactly; the query has equal rows."""
    generator = torch.Generator().manual_seed(seed)
    query = unit(length, dim, generator)
    query[length // 2 : length // 2 + length // 5] = query[: length // 5].clone()
    candidates = []
    for count in lengths:
        rows = unit(count, dim, generator)
        common = min(count // 2, length)
        rows[:common] = torch.nn.functional.normalize(query[:common] + 0.5 * rows[:common], dim=1)
        rows[: common // 3] = query[: common // 3]
        candidates.append(rows[torch.randperm(count, generator=generator)])
    return query, candidates


def coded(candidates, quantiser):
    lengths = tuple(len(rows) for rows in candidates)
    count = sum(lengths)
    packed = LocalFeaturesBatch(torch.cat(candidates), torch.zeros(count, 2), torch.ones(count), lengths)
    return QuantisedLocalFeatures.encode(packed, quantiser)


def assert_as_reference(backend, checked, threshold):
    expected = get_backend("reference", "cpu", backend.precision).match(*checked, threshold)
    matches = backend.match(*checked, threshold)
    assert torch.equal(matches.partner, expected.partner)
    if backend.precision == "exact":
        torch.testing.assert_close(matches.similarity, expected.similarity, rtol=0, atol=1e-6)
    else:
        assert torch.equal(matches.similarity, expected.similarity)


@st.composite
def rows_on_a_grid(draw, dim):
    """Few different rows of components -1, 0, 1, so that float32 products are exact and ties frequent."""
    component = st.sampled_from([-1.0, 0.0, 1.0])
    pool = draw(st.lists(st.lists(component, min_size=dim, max_size=dim), min_size=1, max_size=10))
    rows = st.lists(st.sampled_from(pool), max_size=80)
    query, candidates = draw(rows), draw(st.lists(rows, min_size=1, max_size=3))
    return [torch.tensor(part).reshape(-1, dim) for part in (query, *candidates)]


@each_backend
@pytest.mark.filterwarnings("ignore:.*not of unit length")
@settings(max_examples=25, deadline=None)
@given(case=st.integers(1, 9).flatmap(rows_on_a_grid), threshold=st.sampled_from([None, -0.5, 0.0, 0.7]))
def test_ties_duplicates_and_zero_rows(backend, case, threshold):
    assert_as_reference(backend, check_sets(case[0], case[1:]), threshold)


@each_backend
@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 80), min_size=2, max_size=4),
    dim=st.sampled_from([1, 3, 30, 64, 100, 128]),
    threshold=st.sampled_from([None, 0.3, 0.7]),
    with_codes=st.booleans(),
    seed=st.integers(0, 99),
)
def test_ragged_sets(backend, lengths, dim, threshold, with_codes, seed):
    query, candidates = sets(lengths[0], lengths[1:], dim, seed)
    if with_codes and sum(lengths[1:]):
        candidates = coded(candidates, Quantiser.fit(torch.cat(candidates), random_rotation(dim, 1)))
    assert_as_reference(backend, check_sets(query, candidates), threshold)


@each_backend
def test_images_of_usual_size(backend):
    query, candidates = sets(300, [290, 0, 1, 333])
    assert_as_reference(backend, check_sets(query, candidates), None)


@each_kernel
def test_large_images(backend):
    query, candidates = sets(400, [3600, 5000], dim=32)
    candidates[1][4990] = candidates[1][4500] = query[7]  # token numbers of more than 12 bits, and a tie among them
    assert_as_reference(backend, check_sets(query, candidates), 0.5)
    assert_as_reference(backend, check_sets(candidates[1], [query]), None)


def test_counts_equal_the_published_code(published):
    query, candidates, expected = published(3600)
    matches = get_backend("cpu", "cpu").match(*check_sets(query, candidates), 0.7)
    assert [len(matches[k]) for k in range(len(matches))] == expected


@each_kernel
def test_a_candidate_has_the_same_result_in_any_company(backend):
    query, candidates = sets(130, [1, 90, 17, 0, 64, 131])
    together = backend.match(*check_sets(query, candidates), None)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        threaded = backend.match(*check_sets(query, candidates), None)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(threaded.similarity, together.similarity)
    for k, candidate in enumerate(candidates):
        alone = backend.match(*check_sets(query, [candidate]), None)
        assert torch.equal(alone.partner[0], together.partner[k])
        assert torch.equal(alone.similarity[0], together.similarity[k])


@each_backend
def test_padding_changes_nothing(backend):
    query, candidates = sets(100, [90])
    padded = torch.zeros(120, 64)
    padded[20:110] = candidates[0]
    plain = backend.match(*check_sets(query, candidates), None)
    matches = backend.match(*check_sets(torch.cat([torch.zeros(5, 64), query]), [padded]), None)
    assert torch.equal(matches.partner[0, 5:], torch.where(plain.partner[0] >= 0, plain.partner[0] + 20, -1))
    assert torch.equal(matches.similarity[0, 5:], plain.similarity[0])
    assert matches.partner[0, :5].tolist() == [-1] * 5


@pytest.mark.parametrize("backend", CODED, ids=[name for name in NAMES if not name.startswith("exact")])
@pytest.mark.filterwarnings("ignore:.*not of unit length")
@pytest.mark.parametrize("length", [30.0, 3e4, 1e12])
def test_rows_that_are_not_normalised_overflow_nothing(backend, length):
    query, candidates = sets(70, [50])
    query, candidates = query[:30] * length, [candidates[0] * length]
    assert_as_reference(backend, check_sets(query, candidates), 0.5)


def test_binary_similarity_is_the_cosine_of_the_separating_share():
    """+-+- and +-++ differ in one sign of four, 45 degrees; the mean is zero, so codes have the signs of the rows."""
    query = torch.tensor([[0.5, -0.5, 0.5, -0.5], [-0.5, 0.5, -0.5, 0.5]])
    quantiser = Quantiser(torch.zeros(4), 100.0)
    candidate = coded([torch.tensor([[-0.5, 0.5, -0.5, 0.5], [0.5, -0.5, 0.5, 0.5]])], quantiser)
    matches = get_backend("cpu", "cpu", "binary").match(*check_sets(query, candidate), None)
    assert matches.partner.tolist() == [[1, 0]]
    torch.testing.assert_close(matches.similarity, torch.tensor([[0.5**0.5, 1.0]]), rtol=0, atol=1e-6)


def test_int8_similarity_is_near_the_cosine():
    query, candidates = sets(200, [180])
    matches = get_backend("cpu", "cpu", "int8").match(*check_sets(query, candidates), 0.5)[0]
    cosines = (query[matches.query_index] * candidates[0][matches.candidate_index]).sum(dim=1)
    assert len(matches) > 20
    torch.testing.assert_close(matches.similarity, cosines, rtol=0, atol=0.02)


@pytest.mark.parametrize("features", ["avx512f,avx512vnni,fma", "avx512f,avx2,fma", "avx2,fma", "neon", ""])
def test_every_machine_has_a_way(features, monkeypatch):
    """A processor without the newest instructions, emulated."""
    monkeypatch.setenv(VARIABLE, features)
    query, candidates = sets(60, [50, 3])
    checked = check_sets(query, candidates)
    for precision in ("int8", "binary"):
        assert_as_reference(get_backend("cpu", "cpu", precision), checked, 0.3)
    if "fma" in features:
        assert_as_reference(get_backend("cpu", "cpu"), checked, 0.3)
    else:
        with pytest.raises(ConfigError, match="no instructions for fast matching"):
            get_backend("cpu", "cpu")


def test_the_backend_is_for_cpus():
    with pytest.raises(ConfigError, match=r"'cpu' does not run on cuda"):
        get_backend("cpu", "cuda")
