"""Several results in one table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fol.errors import ConfigError
from fol.evaluation import EvaluationResult, MatchCount, QueryResult, Subject, comparison_table


def result(model: str, dataset: str, ranks: list[tuple[int, int]], **changes: object) -> EvaluationResult:
    """Two stages; ``ranks`` per query of the first positive before and after re-ranking."""
    subject = Subject(model, model * 9, "fol", "fol", {"threshold": 0.7}, dataset, "", "utm<=25m", 50, 100)
    queries = tuple(QueryResult(str(i), 1, before, after) for i, (before, after) in enumerate(ranks))
    return replace(EvaluationResult(subject, (1, 5), "count_as_miss", True, queries), **changes)  # type: ignore[arg-type]


CITY_QUERIES = (QueryResult("a", 1, 1, 1, true_matches=MatchCount(9, 8, 2)), QueryResult("b", 1, 3, 1))
RESULTS = [
    result("nano", "city", [], queries=CITY_QUERIES, match_radius=14.0),
    result("nano", "street", [(1, 2), (1, 1), (2, 1), (1, 1)]),
    result("hog", "street", [(1, 0), (7, 0), (2, 0), (7, 0)], two_stage=False),
]


def test_data_sets_as_rows_models_as_columns() -> None:
    assert comparison_table(RESULTS).splitlines() == [
        "| data set | queries | nano R@1 global | nano R@1 re-ranked | nano match accuracy | hog R@1 |",
        "| --- | --- | --- | --- | --- | --- |",
        "| city | 2 | 50.0 | 100.0 | 25.0 |  |",
        "| street | 4 | 75.0 | 75.0 |  | 25.0 |",
    ]
    assert comparison_table(RESULTS, k=5).splitlines()[-1] == "| street | 4 | 100.0 | 100.0 |  | 50.0 |"


def test_namesakes_are_told_apart() -> None:
    one = RESULTS[1]
    other = replace(one, subject=replace(one.subject, fingerprint="0" * 64))
    assert "nano (nanonano) R@1 global" in comparison_table([one, other])
    assert "nano (00000000) R@1 global" in comparison_table([one, other])
    official = replace(one, subject=replace(one.subject, method="official"))
    assert "nano (official) R@1 re-ranked" in comparison_table([one, official])


def test_what_cannot_stand_in_one_row() -> None:
    one = RESULTS[1]
    with pytest.raises(ConfigError, match="nano on street comes twice"):
        comparison_table([one, one])
    with pytest.raises(ConfigError, match="street: .*4 queries.* and .*1 queries.* cannot be compared"):
        comparison_table([one, result("hog", "street", [(1, 1)])])
    with pytest.raises(ConfigError, match="has no R@3"):
        comparison_table([one], k=3)
    with pytest.raises(ConfigError, match="no result"):
        comparison_table([])
