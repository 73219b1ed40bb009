"""The public re-ranking call."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fol
from fol.errors import ConfigError, MatchingError
from fol.matching import mutual_nearest
from fol.reranking import RerankOptions, rerank
from fol.types import LocalFeatures, LocalFeaturesBatch


def units(length, dim=32, seed=0):
    return torch.nn.functional.normalize(torch.randn(length, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def sharing(query, shares, noise=0.05):
    """Candidates that repeat the first ``share`` tokens of the query; the rest is opposite to all of those."""
    return [
        torch.nn.functional.normalize(
            torch.cat([query[:share] + noise * units(len(query), seed=100 + k)[:share], -query[share:]]), dim=1
        )
        for k, share in enumerate(shares)
    ]


def features(descriptors, seed=0, weights=None):
    generator = torch.Generator().manual_seed(seed)
    count = len(descriptors)
    return LocalFeatures(
        descriptors,
        torch.rand(count, 2, generator=generator) * 600,
        torch.rand(count, generator=generator) if weights is None else weights,
    )


QUERY = units(60)
SHARES = [10, 40, 25, 40, 0, 55]
CANDIDATES = sharing(QUERY, SHARES)


def test_official_counts_matches_and_only_reports_the_global_similarity():
    similarity = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    ranking = fol.rerank(QUERY, CANDIDATES, similarity, method="official")
    assert ranking.ids.tolist() == [5, 1, 3, 2, 0, 4]  # 1 before 3: equal scores keep the incoming order
    assert ranking.scores.tolist() == [55, 40, 40, 25, 10, 0]
    assert ranking.num_matches.tolist() == [55, 40, 40, 25, 10, 0]
    assert ranking.local_scores.tolist() == ranking.scores.tolist()
    assert ranking.global_similarity.tolist() == pytest.approx([0.6, 0.2, 0.4, 0.3, 0.1, 0.5])
    assert ranking.matches is None
    assert (ranking.ids.dtype, ranking.num_matches.dtype) == (torch.int64, torch.int64)
    assert (ranking.scores.dtype, ranking.global_similarity.dtype) == (torch.float32, torch.float32)


def test_fol_scores_by_hand():
    generator = torch.Generator().manual_seed(5)
    query_weights = torch.rand(60, generator=generator)
    weights = [torch.rand(60, generator=generator) for _ in SHARES]
    ranking = rerank(
        features(QUERY, weights=query_weights),
        [features(c, weights=w) for c, w in zip(CANDIDATES, weights, strict=True)],
        np.linspace(0.9, 0.4, 6),
        options=RerankOptions(fusion_weight=0.5),
    )
    local = [
        sum(math.sqrt(query_weights[i] * w[i]) for i in range(share)) / math.sqrt(query_weights.sum() * w.sum())
        for share, w in zip(SHARES, weights, strict=True)
    ]
    final = [0.5 * g + s for g, s in zip(np.linspace(0.9, 0.4, 6), local, strict=True)]
    order = sorted(range(6), key=lambda k: -final[k])
    assert ranking.ids.tolist() == order
    assert ranking.local_scores.tolist() == pytest.approx([local[k] for k in order], abs=1e-6)
    assert ranking.scores.tolist() == pytest.approx([final[k] for k in order], abs=1e-6)


def test_switches_lead_from_fol_to_official():
    options = RerankOptions(weighted=False, normalise=False, fusion_weight=0.0)
    query, candidates = features(QUERY), [features(c) for c in CANDIDATES]
    ours = rerank(query, candidates, [0.5] * 6, options=options)
    official = rerank(query, candidates, [0.5] * 6, method="official")
    assert ours.ids.tolist() == official.ids.tolist()
    assert ours.scores.tolist() == official.scores.tolist()


@pytest.mark.parametrize("method", ["fol", "official"])
def test_every_form_of_input_ranks_the_same(method):
    ones = torch.ones(60)
    sets = [features(c, weights=ones) for c in CANDIDATES]
    forms = [torch.stack(CANDIDATES), CANDIDATES, sets, LocalFeaturesBatch.pack(sets)]
    results = [rerank(q, c, method=method) for q in (QUERY, features(QUERY, weights=ones)) for c in forms]
    for result in results[1:]:
        assert torch.equal(result.ids, results[0].ids)
        assert torch.equal(result.scores, results[0].scores)


@pytest.mark.parametrize("method", ["fol", "official"])
def test_zero_rows_of_plain_tensors_are_padding(method):
    ragged = [c[:length] for c, length in zip(CANDIDATES, [60, 30, 50, 41, 60, 57], strict=True)]
    padded = torch.nn.utils.rnn.pad_sequence(ragged, batch_first=True)
    a, b = rerank(QUERY, ragged, method=method), rerank(torch.cat([QUERY, torch.zeros(9, 32)]), padded, method=method)
    assert torch.equal(a.ids, b.ids)
    assert torch.equal(a.scores, b.scores)


@pytest.mark.parametrize("method", ["fol", "official"])
def test_a_score_does_not_depend_on_the_other_candidates(method):
    query = features(units(200))
    candidates = [
        features(c[: 200 - 7 * k], seed=k) for k, c in enumerate(sharing(query.descriptors, range(0, 190, 9)))
    ]
    similarity = np.linspace(0.8, 0.2, len(candidates))
    together = rerank(query, candidates, similarity, method=method)
    score = dict(zip(together.ids.tolist(), together.scores.tolist(), strict=True))
    for batch in (1, 2, 5):
        for first in range(0, len(candidates), batch):
            part = slice(first, first + batch)
            ranking = rerank(
                query, candidates[part], similarity[part], method=method, ids=np.arange(len(candidates))[part]
            )
            assert {k: score[k] for k in ranking.ids.tolist()} == dict(
                zip(ranking.ids.tolist(), ranking.scores.tolist(), strict=True)
            )


@settings(max_examples=40, deadline=None)
@given(scores=st.lists(st.integers(0, 4), max_size=12), top=st.none() | st.integers(1, 15))
def test_order_is_stable(scores, top):
    query = torch.eye(8)
    candidates = [torch.eye(8)[:score] for score in scores]
    ranking = rerank(query, candidates, method="official", top=top, ids=[100 + k for k in range(len(scores))])
    expected = sorted(range(len(scores)), key=lambda k: (-scores[k], k))[:top]
    assert ranking.ids.tolist() == [100 + k for k in expected]
    assert ranking.scores.tolist() == [scores[k] for k in expected]


def test_matches_on_request():
    ranking = rerank(QUERY, CANDIDATES, method="official", top=3, return_matches=True)
    assert len(ranking) == 3
    assert len(ranking.matches) == 3
    for k, pairs in zip(ranking.ids.tolist(), ranking.matches, strict=True):
        assert torch.equal(pairs, mutual_nearest(QUERY, CANDIDATES[k], 0.7).pairs)
        assert pairs.dtype == torch.int64
    assert rerank(QUERY, [CANDIDATES[4]], return_matches=True).matches[0].shape == (0, 2)


@pytest.mark.parametrize("method", ["fol", "official"])
@pytest.mark.parametrize("empty", [[], torch.zeros(0, 60, 32)])
def test_no_candidates(method, empty):
    ranking = rerank(QUERY, empty, method=method, return_matches=True)
    assert len(ranking) == 0
    assert ranking.scores.shape == ranking.local_scores.shape == ranking.num_matches.shape == (0,)
    assert ranking.matches == ()
    assert ranking.global_similarity is None
    assert rerank(QUERY, empty, [], method=method, ids=[]).global_similarity.shape == (0,)


@pytest.mark.parametrize("method", ["fol", "official"])
def test_images_without_tokens_score_zero(method):
    ranking = rerank(QUERY, [LocalFeatures.empty(32), CANDIDATES[0], LocalFeatures.empty()], method=method)
    assert ranking.ids.tolist() == [1, 0, 2]
    assert ranking.scores.tolist()[1:] == [0, 0]
    assert rerank(LocalFeatures.empty(32), CANDIDATES, method=method).scores.tolist() == [0] * 6


def test_one_match_scores_one():
    assert rerank(QUERY[:1], [QUERY[:1]], method="official").scores.tolist() == [1]
    assert rerank(QUERY[:1], [QUERY[:1]]).scores.tolist() == [1]


def test_an_image_scores_one_with_itself_and_counts_its_distinct_tokens():
    repeated = torch.cat([QUERY, QUERY[:20]])
    assert rerank(repeated, [repeated], method="official").scores.tolist() == [60]
    assert rerank(features(QUERY), [features(QUERY)]).scores.item() == pytest.approx(1.0, abs=1e-6)


def test_half_precision():
    half = [c.half() for c in CANDIDATES]
    ranking = rerank(QUERY.half(), half, method="official")
    assert ranking.scores.tolist() == [55, 40, 40, 25, 10, 0]
    assert torch.equal(rerank(QUERY, half, method="official").ids, ranking.ids)  # types may differ
    assert ranking.scores.dtype == torch.float32


def test_threshold_is_an_option():
    noisy = sharing(QUERY, [60], noise=1.0)  # cosines near 0.7
    counts = [
        rerank(QUERY, noisy, method="official", options=RerankOptions(threshold=t)).num_matches.item()
        for t in (None, 0.5, 0.7, 0.999)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] > counts[3] == 0


@pytest.mark.parametrize("method", ["fol", "official"])
def test_backends_agree(method):
    results = [
        rerank(QUERY, CANDIDATES, method=method, options=RerankOptions(backend=b)) for b in ("torch", "reference")
    ]
    assert torch.equal(results[0].ids, results[1].ids)
    assert torch.equal(results[0].scores, results[1].scores)


def test_inputs_are_left_alone_and_gradients_end():
    query, candidates = QUERY.clone().requires_grad_(), torch.stack(CANDIDATES)
    before = candidates.clone()
    assert not rerank(query, candidates, torch.ones(6)).scores.requires_grad
    assert torch.equal(candidates, before)


@pytest.mark.parametrize("ids", [torch.arange(6) * 7, np.arange(6, dtype=np.int32) * 7, [0, 7, 14, 21, 28, 35]])
def test_ids_are_carried_along(ids):
    assert rerank(QUERY, CANDIDATES, method="official", ids=ids).ids.tolist() == [35, 7, 21, 14, 0, 28]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "salad"}, ConfigError, r"unknown re-ranking method 'salad'; choose one of: fol, official"),
        ({"top": 0}, ConfigError, r"top must be an integer of at least 1 or None"),
        ({"top": 2.5}, ConfigError, r"top must be an integer"),
        (
            {"global_similarity": [0.5]},
            MatchingError,
            r"there are 6 candidates, but global similarities of shape \(1,\)",
        ),
        ({"global_similarity": [0, 0, math.nan, 0, 0, 0]}, MatchingError, r"candidate 2 has the global similarity nan"),
        ({"global_similarity": ["a"] * 6}, MatchingError, r"the global similarities are not numbers"),
        ({"ids": [1, 2]}, MatchingError, r"there are 6 candidates, but ids of shape \(2,\)"),
        ({"ids": [0.5] * 6}, MatchingError, r"ids are float64; they must be integers"),
        ({"ids": torch.ones(6)}, MatchingError, r"ids are torch.float32; they must be integers"),
        (
            {"options": RerankOptions(verify="homography")},
            MatchingError,
            r"the query has no positions to verify; give LocalFeatures",
        ),
    ],
)
def test_bad_arguments_say_the_way_out(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        rerank(QUERY, CANDIDATES, **arguments)
    assert "\n" not in str(caught.value)


def test_a_bad_candidate_is_named():
    with pytest.raises(MatchingError, match="^candidate 3 has a NaN"):
        rerank(QUERY, [*CANDIDATES[:3], CANDIDATES[3] * math.nan])
    with pytest.raises(MatchingError, match="^candidate 1 has descriptors of 16 dimensions, the query of 32"):
        rerank(QUERY, [CANDIDATES[0], CANDIDATES[0][:, :16]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": math.nan}, "threshold must be a finite cosine or None"),
        ({"threshold": "0.7"}, "threshold must be"),
        ({"fusion_weight": -1.0}, "fusion_weight must be a number of at least 0"),
        ({"verify": "affine"}, "unknown verify 'affine'; choose one of: None, fundamental, homography"),
        ({"verify_threshold": 0.0}, "verify_threshold must be pixels above 0"),
        ({"verify_top": 0}, "verify_top must be an integer of at least 1"),
        ({"backend": "cuda"}, "unknown backend 'cuda'; choose one of: auto, cpu, reference, torch, triton"),
    ],
)
def test_bad_options_say_the_way_out(values, message):
    with pytest.raises(ConfigError, match=message):
        RerankOptions(**values)


def placed(shares, consistent):
    """Query and candidates whose matches follow one motion, or none."""
    generator = torch.Generator().manual_seed(9)
    positions = torch.rand(60, 2, generator=generator) * 600
    candidates = []
    for rows, follows in zip(sharing(QUERY, shares), consistent, strict=True):
        moved = 1.1 * positions + 20 if follows else torch.rand(60, 2, generator=generator) * 600
        candidates.append(LocalFeatures(rows, moved, torch.ones(60)))
    return LocalFeatures(QUERY, positions, torch.ones(60)), candidates


@pytest.mark.parametrize("method", ["fol", "official"])
def test_verification_puts_the_consistent_candidate_first(method):
    query, candidates = placed([55, 30, 50], [False, True, False])
    assert rerank(query, candidates, method=method).ids.tolist() == [0, 2, 1]
    options = RerankOptions(verify="homography", verify_threshold=3.0)
    ranking = rerank(query, candidates, method=method, options=options, return_matches=True)
    assert ranking.ids.tolist()[0] == 1
    assert ranking.num_matches.tolist()[0] == 30
    assert max(ranking.num_matches.tolist()[1:]) <= 5
    assert [len(m) for m in ranking.matches] == ranking.num_matches.tolist()


def test_unverified_candidates_stay_behind_with_scores_in_order():
    query, candidates = placed([55, 30, 50, 20, 25], [False, True, True, True, False])
    options = RerankOptions(verify="homography", verify_threshold=3.0, verify_top=3)
    ranking = rerank(query, candidates, method="official", options=options)
    assert ranking.ids.tolist() == [2, 1, 0, 4, 3]  # 0, 2, 1 verified; 4 and 3 as they were
    assert ranking.scores.tolist()[:2] == [50, 30]
    assert ranking.scores.tolist() == sorted(ranking.scores.tolist(), reverse=True)
    assert ranking.num_matches.tolist()[3:] == [25, 20]
    assert ranking.local_scores.tolist()[3:] == [25, 20]


@pytest.mark.parametrize("model", ["homography", "fundamental"])
def test_verification_copes_with_few_and_no_tokens(model):
    query, candidates = placed([5, 40], [True, True])
    ranking = rerank(query, [LocalFeatures.empty(32), *candidates], options=RerankOptions(verify=model))
    assert ranking.ids.tolist() == [2, 0, 1]
    assert ranking.num_matches.tolist()[1:] == [0, 0]


MEASURE = """
import resource, sys, time, torch
from fol.reranking import RerankOptions, rerank
count, length, method, compare = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], len(sys.argv) > 4
torch.set_num_threads(1)  # one thread and its own time: other work on the machine does not count
generator = torch.Generator().manual_seed(0)
candidates = torch.empty(count, length, 128)
query = torch.nn.functional.normalize(torch.randn(length, 128, generator=generator), dim=1)
for k, rows in enumerate(candidates):  # in place: building the input must not be the peak
    torch.randn(length, 128, generator=generator, out=rows)
    half = int(length * 0.8 * (1 - k / count))
    rows[:half].mul_(0.05).add_(query[:half])
    torch.nn.functional.normalize(rows, dim=1, out=rows)
rerank(query[:64], candidates[:2, :64], method=method)  # imports and the libraries' own buffers
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
ranking = rerank(query, candidates, torch.linspace(1, 0, count), method=method)
seconds = time.process_time() - start
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, seconds)
if compare:
    start = time.process_time()
    for k, rows in enumerate(candidates):  # the published formulation, one candidate at a time
        similarity = rows @ query.T
        there, back = similarity.max(dim=0), similarity.max(dim=1).indices
        mutual = (back[there.indices] == torch.arange(length)) & (there.values > 0.7)
        assert int(mutual.sum()) == int(ranking.num_matches[ranking.ids == k])
    print(time.process_time() - start)
"""


def measure(*arguments):
    """Megabytes above the features, and seconds."""
    if sys.platform != "linux":
        pytest.skip("peak memory is read the way Linux reports it")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return [float(word) for word in done.stdout.split()]


def test_peak_memory_does_not_grow_with_the_number_of_candidates():
    few, many = measure(2, 3400, "fol")[0], measure(10, 3400, "fol")[0]
    assert many < 35  # one matrix of a pair alone is 46 MB
    assert many - few < 8


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fol", "official"])
def test_hundred_candidates_of_3600_tokens(method):
    megabytes, seconds, published = measure(100, 3600, method, "compare")
    assert megabytes < 100
    assert seconds < published
