"""Re-ranking fewer candidates, replayed from stored rankings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.evaluation.candidates import recall_by_candidates, rerank_first
from fol.evaluation.journal import QueryRanking
from fol.reranking import rerank

# Retrieved 7 3 5 1, then 9 and 2 that nobody re-ranked. Final scores: 3 -> 1, 5 -> 4, 7 -> 2, 1 -> 4.
RANKING = QueryRanking(
    "q.jpg",
    retrieved=(7, 3, 5, 1, 9, 2),
    similarities=(0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
    reranked=(5, 1, 7, 3, 9, 2),
    scores=(4.0, 4.0, 2.0, 1.0),
    num_matches=(4, 4, 2, 1),
)


def test_by_hand() -> None:
    assert rerank_first(RANKING, 0) == RANKING.retrieved
    assert rerank_first(RANKING, 1) == RANKING.retrieved
    assert rerank_first(RANKING, 2) == (7, 3, 5, 1, 9, 2)
    assert rerank_first(RANKING, 3) == (5, 7, 3, 1, 9, 2)
    assert rerank_first(RANKING, 4) == RANKING.reranked  # equal scores keep the order of retrieval: 5 before 1
    assert rerank_first(RANKING, 100) == RANKING.reranked


def test_recall_by_hand() -> None:
    found = recall_by_candidates([RANKING], [[5]], (0, 2, 3, 4), (1, 2))
    assert {c: recall.values for c, recall in found.items()} == {
        0: {1: 0.0, 2: 0.0},
        2: {1: 0.0, 2: 0.0},
        3: {1: 1.0, 2: 1.0},
        4: {1: 1.0, 2: 1.0},
    }
    ignoring = recall_by_candidates([RANKING], [[1]], (4,), (1,), ignored=[[5]], without_positives="drop")
    assert ignoring[4].values == {1: 1.0}
    assert ignoring[4].without_positives == "drop"


def test_single_stage_and_unanswered_queries() -> None:
    single = QueryRanking("s.jpg", (4, 2), (0.9, 0.8))
    assert rerank_first(single, 2) == (4, 2)
    assert rerank_first(QueryRanking("broken.jpg", skipped="cannot be read"), 5) == ()


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        rerank_first(RANKING, -1)
    with pytest.raises(ValueError, match="candidate 7 has no score"):
        rerank_first(replace(RANKING, reranked=(5, 1, 8, 3, 9, 2)), 4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 8), st.sampled_from(["official", "fol"]))
def test_is_what_reranking_fewer_gives(seed: int, number: int, method: str) -> None:
    """The real call with only the first candidates gives the replayed order, ties included."""
    generator = torch.Generator().manual_seed(seed)
    query = torch.nn.functional.normalize(torch.randn(6, 4, generator=generator), dim=-1)
    candidates = torch.nn.functional.normalize(torch.randn(8, 6, 4, generator=generator), dim=-1)
    similarity = torch.rand(8, generator=generator).sort(descending=True).values
    everything = rerank(query, candidates, similarity, method)  # type: ignore[arg-type]
    stored = QueryRanking(
        "q",
        tuple(range(8)),
        tuple(similarity.tolist()),
        tuple(everything.ids.tolist()),
        tuple(everything.scores.tolist()),
        tuple(everything.num_matches.tolist()),
    )
    fewer = rerank(query, candidates[:number], similarity[:number], method)  # type: ignore[arg-type]
    assert rerank_first(stored, number) == (*fewer.ids.tolist(), *range(number, 8))
