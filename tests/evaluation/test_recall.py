"""Recall by hand, and against a brute force written with nothing but lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fol.evaluation import RULES, first_positive_ranks, gained_and_lost, recall_at_k


def test_by_hand() -> None:
    rankings = [np.array([4, 2, 9]), np.array([1, 7, 3]), np.array([8, 5, 6])]
    positives = [np.array([2, 9]), np.array([1]), np.array([0])]
    recall = recall_at_k(rankings, positives, (1, 2, 3))
    assert recall.first_positive == (2, 1, None)
    assert recall.hits == {1: 1, 2: 2, 3: 2}
    assert recall.values == {1: 1 / 3, 2: 2 / 3, 3: 2 / 3}
    assert recall.num_queries == 3
    assert recall.num_without_positives == 0


def test_without_positives_both_rules() -> None:
    rankings = [[0, 1], [1, 0], [0, 1], [1, 0]]
    positives: list[list[int]] = [[0], [0], [], []]
    recall = recall_at_k(rankings, positives, (1, 2))
    assert recall.num_without_positives == 2
    assert recall.without_positives == "count_as_miss"  # the official rule is the default
    assert recall.values == {1: 0.25, 2: 0.5}
    assert recall.under("drop") == {1: 0.5, 2: 1.0}
    dropped = recall_at_k(rankings, positives, (1, 2), without_positives="drop")
    assert dropped.values == {1: 0.5, 2: 1.0}
    assert dropped.under("count_as_miss") == recall.values


def test_rules_are_stated_in_words() -> None:
    assert "all queries" in RULES["count_as_miss"]
    assert "count as misses" in RULES["count_as_miss"]
    assert "official" in RULES["count_as_miss"]
    assert "left out" in RULES["drop"]


def test_no_query_counts() -> None:
    recall = recall_at_k([[0]], [[]], (1,))
    assert recall.values == {1: 0.0}
    assert math.isnan(recall.under("drop")[1])
    assert math.isnan(recall_at_k([], [], (1,)).values[1])


def test_ignored_entries_leave_the_ranking() -> None:
    # 5 and 6 vanish: the positive 3 moves from rank 3 to rank 1. Without positives left there is nothing to hit.
    assert first_positive_ranks([[5, 6, 3]], [[3]], [[6, 5]]) == (1,)
    recall = recall_at_k([[5, 6, 3], [7, 8]], [[3], [7]], (1, 3), ignored=[[5, 6], [7]])
    assert recall.first_positive == (1, None)
    assert recall.num_without_positives == 1
    assert recall.values == {1: 0.5, 3: 0.5}
    assert recall.under("drop") == {1: 1.0, 3: 1.0}


def test_k_beyond_the_ranking() -> None:
    recall = recall_at_k([[3, 1], []], [[1], [1]], (1, 2, 1000))
    assert recall.hits == {1: 0, 2: 1, 1000: 1}


@pytest.mark.parametrize(
    ("rankings", "positives", "ks", "ignored"),
    [([[1]], [[1], [2]], (1,), None), ([[1]], [[1]], (0,), None), ([[1]], [[1]], (1,), [])],
)
def test_wrong_arguments(
    rankings: list[list[int]], positives: list[list[int]], ks: tuple[int], ignored: object
) -> None:
    with pytest.raises(ValueError, match=r"length|at least 1"):
        recall_at_k(rankings, positives, ks, ignored=ignored)  # type: ignore[arg-type]


def test_unknown_rule() -> None:
    with pytest.raises(ValueError, match="maybe"):
        recall_at_k([[1]], [[1]], (1,), without_positives="maybe")  # type: ignore[arg-type]


def test_gained_and_lost_by_hand() -> None:
    before = (1, 1, 2, None, 3, None)
    after = (1, 2, 1, 1, None, None)
    assert gained_and_lost(before, after) == ((2, 3), (1,))
    assert gained_and_lost(before, after, k=3) == ((3,), (4,))


QUERY = st.tuples(
    st.lists(st.integers(0, 15), unique=True, max_size=16),  # ranking
    st.sets(st.integers(0, 15), max_size=4),  # positives
    st.sets(st.integers(0, 15), max_size=4),  # ignored
)


@given(st.lists(QUERY, min_size=1, max_size=8), st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_against_brute_force(queries: list[tuple[list[int], set[int], set[int]]], ks: list[int]) -> None:
    recall = recall_at_k(
        [np.array(ranking, np.int64) for ranking, _, _ in queries],
        [np.array(sorted(positives), np.int64) for _, positives, _ in queries],
        ks,
        ignored=[np.array(sorted(ignored), np.int64) for _, _, ignored in queries],
    )
    findable = sum(1 for _, positives, ignored in queries if positives - ignored)
    for k in ks:
        hits = 0
        for ranking, positives, ignored in queries:
            seen = []
            for entry in ranking:
                if entry not in ignored:
                    seen.append(entry)
            if any(entry in positives for entry in seen[:k]):
                hits += 1
        assert recall.under("count_as_miss")[k] == hits / len(queries)
        if findable:
            assert recall.under("drop")[k] == hits / findable


@given(st.lists(QUERY, min_size=1, max_size=8))
def test_recall_never_falls_with_k(queries: list[tuple[list[int], set[int], set[int]]]) -> None:
    recall = recall_at_k([q[0] for q in queries], [sorted(q[1]) for q in queries], range(1, 18))
    values = list(recall.values.values())
    assert values == sorted(values)
