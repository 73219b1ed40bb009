"""Stages that look again at the best so far; each against what the single calls say."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from fol import LocalFeatures, RerankOptions, rerank
from fol.errors import ConfigError
from fol.matching import mutual_nearest

COUNT, LENGTH, DIM = 12, 80, 64


def scene(seed: int = 0) -> tuple[LocalFeatures, list[LocalFeatures], torch.Tensor]:
    """A query, candidates that share less and less with it, and global similarities in another order."""
    generator = torch.Generator().manual_seed(seed)

    def unit(*shape: int) -> torch.Tensor:
        return normalize(torch.randn(*shape, generator=generator), dim=-1)

    def local(rows: torch.Tensor) -> LocalFeatures:
        weights = torch.rand(len(rows), generator=generator)
        return LocalFeatures(rows, torch.rand(len(rows), 2, generator=generator) * 200, weights)

    query = unit(LENGTH, DIM)
    candidates = []
    for k in range(COUNT):
        rows = unit(LENGTH - k, DIM)
        shared = 60 - 5 * k
        rows[:shared] = normalize(query[:shared] + 0.3 * rows[:shared], dim=1)
        candidates.append(local(rows))
    return local(query), candidates, torch.linspace(0.5, 0.9, COUNT)


def test_the_cascade_scores_its_last_candidates_as_the_last_precision_does():
    query, candidates, similarity = scene()
    options = RerankOptions(cascade_int8=5, cascade_exact=3)
    ranking = rerank(query, candidates, similarity, "cascade", options=options)
    exact = rerank(query, candidates, similarity, options=RerankOptions(fusion_weight=1.0))
    coded = rerank(query, candidates, similarity, options=RerankOptions(precision="int8"))
    binary = rerank(query, candidates, similarity, options=RerankOptions(precision="binary"))
    by_id = {name: dict(zip(r.ids.tolist(), r.scores.tolist(), strict=True)) for name, r in
             {"exact": exact, "int8": coded, "binary": binary}.items()}  # fmt: skip
    best_five = binary.ids[:5].tolist()
    best_three = sorted(sorted(best_five), key=lambda k: -by_id["int8"][k])[:3]
    assert ranking.ids[:3].tolist() == sorted(sorted(best_three), key=lambda k: -by_id["exact"][k])
    assert ranking.scores[:3].tolist() == [by_id["exact"][k] for k in ranking.ids[:3].tolist()]
    assert set(ranking.ids[:5].tolist()) == set(best_five)
    assert ranking.ids[5:].tolist() == binary.ids[5:].tolist()
    assert ranking.scores.tolist() == sorted(ranking.scores.tolist(), reverse=True)


def test_a_cascade_over_everything_is_the_last_stage_alone():
    query, candidates, similarity = scene(1)
    cascade = rerank(query, candidates, similarity, "cascade", options=RerankOptions(cascade_int8=COUNT))
    alone = rerank(query, candidates, similarity, options=RerankOptions(precision="int8"))
    assert torch.equal(cascade.ids, alone.ids) and torch.equal(cascade.scores, alone.scores)
    assert torch.equal(cascade.num_matches, alone.num_matches)


def test_a_margin_matches_the_candidates_close_to_the_best_only():
    query, candidates, similarity = scene(2)
    # Steps of 0.4 / 11 = 0.036: within 0.1 of the best are the last three.
    ranking = rerank(query, candidates, similarity, options=RerankOptions(candidate_margin=0.1, min_candidates=1))
    assert set(ranking.ids[:3].tolist()) == {9, 10, 11}
    assert ranking.ids[3:].tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert ranking.num_matches[3:].tolist() == [0] * 9 and (ranking.local_scores[3:] == 0).all()
    everything = rerank(query, candidates, similarity)
    score = dict(zip(everything.ids.tolist(), everything.scores.tolist(), strict=True))
    assert ranking.scores[:3].tolist() == [score[k] for k in ranking.ids[:3].tolist()]
    assert (ranking.scores[3:] <= ranking.scores[2]).all()
    at_least = rerank(query, candidates, similarity, options=RerankOptions(candidate_margin=0.0, min_candidates=7))
    assert int((at_least.num_matches > 0).sum()) <= 7 and set(at_least.ids[:7].tolist()) == set(range(5, 12))


def test_a_margin_without_global_similarities_matches_all():
    query, candidates, _ = scene()
    plain, asked = (
        rerank(query, candidates, options=RerankOptions(candidate_margin=margin)) for margin in (None, 0.01)
    )
    assert torch.equal(plain.ids, asked.ids) and torch.equal(plain.scores, asked.scores)


def test_a_token_budget_matches_the_heaviest_and_counts_in_the_callers_numbers():
    query, candidates, _ = scene(3)
    bare = [c.descriptors for c in candidates]
    options = RerankOptions(max_tokens=40)
    ranking = rerank(query.descriptors, bare, return_matches=True, options=options)
    for k, pairs in zip(ranking.ids.tolist(), ranking.matches, strict=True):
        # Plain tensors: all weights equal, so the first 40 of each stay.
        expected = mutual_nearest(query.descriptors[:40], bare[k][:40], 0.7).pairs
        assert torch.equal(pairs, expected)
    weighted = rerank(query, candidates, return_matches=True, options=options)
    similarity = query.descriptors @ candidates[0].descriptors.T
    first = weighted.matches[weighted.ids.tolist().index(0)]
    assert 0 < len(first) < 40 and (similarity[first[:, 0], first[:, 1]] > 0.7).all()
    loose = rerank(query, candidates, options=RerankOptions(max_tokens=LENGTH))
    assert torch.equal(loose.scores, rerank(query, candidates).scores)


def test_centring_makes_squeezed_descriptors_tell_apart():
    query, candidates, _ = scene(4)
    common = normalize(torch.randn(DIM, generator=torch.Generator().manual_seed(8)), dim=0)

    def squeezed(local: LocalFeatures) -> LocalFeatures:
        return LocalFeatures(normalize(local.descriptors + 5 * common, dim=1), local.positions, local.weights)

    near, others = squeezed(query), [squeezed(c) for c in candidates]
    plain = rerank(near, others, method="official")
    centred = rerank(near, others, method="official", options=RerankOptions(centred=True))
    truth = rerank(query, candidates, method="official")
    unrelated = truth.ids[-1]  # shares 5 rows of 69
    assert int(plain.num_matches[plain.ids == unrelated]) > 15
    assert int(centred.num_matches[centred.ids == unrelated]) <= 8
    assert centred.ids[:6].tolist() == truth.ids[:6].tolist()


@pytest.mark.parametrize(("kind", "gain"), [("cosine", lambda c: c), ("margin", lambda c: (c - 0.7) / 0.3)])
def test_similarity_weights_by_hand(kind, gain):
    query, candidates, _ = scene(5)
    ranking = rerank(query, candidates, options=RerankOptions(similarity_weight=kind, normalise=False))
    for k, score in zip(ranking.ids.tolist(), ranking.scores.tolist(), strict=True):
        found = mutual_nearest(query.descriptors, candidates[k].descriptors, 0.7)
        expected = sum(
            math.sqrt(float(query.weights[i]) * float(candidates[k].weights[j])) * gain(float(c))
            for i, j, c in zip(found.query_index, found.candidate_index, found.similarity, strict=True)
        )
        assert score == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"precision": "bf16"}, "unknown precision 'bf16'; choose one of: exact, int8, binary"),
        ({"similarity_weight": "softmax"}, "unknown similarity_weight 'softmax'; choose one of: one, cosine, margin"),
        ({"similarity_weight": "margin", "threshold": None}, "similarity_weight 'margin' needs a threshold below 1"),
        ({"candidate_margin": -0.1}, "candidate_margin must be at least 0 or None"),
        ({"min_candidates": 0}, "min_candidates must be an integer of at least 1"),
        ({"cascade_int8": 0}, "cascade_int8 must be an integer of at least 1"),
        ({"cascade_exact": -1}, "cascade_exact must be an integer of at least 0"),
        ({"max_tokens": 0}, "max_tokens must be an integer of at least 1 or None"),
        ({"centred_threshold": "x"}, "centred_threshold must be a finite cosine or None"),
    ],
)
def test_bad_options_say_the_way_out(values, message):
    with pytest.raises(ConfigError, match=message):
        RerankOptions(**values)
