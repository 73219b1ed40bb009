"""What came of queries, and which are looked at first."""

from __future__ import annotations

import pytest

from fol.evaluation import QueryResult
from fol.reporting.query_list import ListedQuery, listed_queries, outcome_of, to_picture


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (QueryResult("a", 1, 1, 1), "right"),
        (QueryResult("a", 1, 1, 2), "lost"),
        (QueryResult("a", 1, 1, None), "lost"),
        (QueryResult("a", 1, 7, 1), "gained"),
        (QueryResult("a", 1, None, 1), "gained"),
        (QueryResult("a", 1, 2, 3), "wrong"),
        (QueryResult("a", 0), "no positives"),
        (QueryResult("a", 0, skipped="broken"), "skipped"),
    ],
)
def test_outcomes(query, expected):
    assert outcome_of(query, True) == expected


def test_outcome_of_a_single_stage():
    assert outcome_of(QueryResult("a", 1, 1), False) == "right"
    assert outcome_of(QueryResult("a", 1, 2), False) == "wrong"


def test_sure_and_wrong_comes_first(make_run):
    # Scores of make_run fall by 0.001 from query to query, so earlier queries are surer by their best score.
    orders = [([0, 1], None), ([0, 1], None), ([0, 1], None), ([3, 0], None), ([0, 1], None)]
    run = make_run(orders, positives=[[0], [1], [1], [3], []], skipped={4: "broken"})
    found = listed_queries(run.result, run.dataset, list(run.rankings.values()))
    assert [query.number for query in found] == [1, 2, 3, 0, 4]
    assert [query.outcome for query in found] == ["wrong", "wrong", "right", "right", "skipped"]


def test_every_outcome_gets_its_share_of_the_pictures():
    def some(outcome: str, count: int, start: int) -> list[ListedQuery]:
        return [ListedQuery(start + i, QueryResult("q", 1), outcome, 0.5) for i in range(count)]  # type: ignore[arg-type]

    listed = [*some("wrong", 50, 0), *some("lost", 50, 100), *some("gained", 50, 200), *some("right", 50, 300)]
    outcomes = [query.outcome for query in to_picture(listed, 10)]
    assert outcomes == ["lost"] * 3 + ["gained"] * 3 + ["wrong"] * 3 + ["right"]
    few = [*some("wrong", 50, 0), *some("lost", 1, 100), *some("skipped", 9, 400)]
    assert [query.outcome for query in to_picture(few, 10)] == ["lost"] + ["wrong"] * 9
    assert to_picture(listed, 0) == [] and len(to_picture(few[50:], 10)) == 1
