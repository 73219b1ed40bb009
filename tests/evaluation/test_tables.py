"""What people read of a result."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from fol.evaluation import (
    EvaluationResult,
    MatchCount,
    QueryResult,
    StageSeconds,
    Subject,
    markdown_table,
    result_table,
)

SUBJECT = Subject("tiny", "f" * 64, "fol", "fol", {}, "town|1", "3 database", "utm<=25m", 3, 100)
# Global: hits at rank 2 and 1 of four queries; re-ranked: rank 1 and 1. One query has no positive.
QUERIES = (QueryResult("a", 1, 2, 1), QueryResult("b", 1, 1, 1), QueryResult("c", 0), QueryResult("d", 1, skipped="no"))
RESULT = EvaluationResult(
    SUBJECT, (1, 5), "count_as_miss", True, QUERIES, ("x",), {"extract": StageSeconds(2.0, 0.5)}, {"rss": 2**20}
)


def shown(result: EvaluationResult) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(result_table(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_both_stages_with_protocol_and_rule() -> None:
    text = " ".join(shown(RESULT).split())
    for part in (
        "R@1 ┃ R@5",
        "global │ 25.0 │ 50.0",
        "re-ranked │ 50.0 │ 50.0",
        "change │ +25.0 │ +0.0",
        "protocol utm<=25m: 4 queries (1 without positives) against 3 images",
        "those without positives count as misses",
        "1 query gained and 0 lost at K=1",
        "could not be used and count as misses: 1 query",
        "not in the map and so never found: 1 database image",
        "extract 500.0 ms; 2.0 s in all",
        "peak memory: rss 1 MiB",
    ):
        assert part in text, part


def test_single_stage_has_one_row() -> None:
    text = shown(EvaluationResult(SUBJECT, (1,), "drop", False, (QueryResult("a", 0),)))
    assert "re-ranked" not in text
    assert "change" not in text
    assert "left out" in text


def test_markdown() -> None:
    single = EvaluationResult(SUBJECT, (1, 10), "drop", False, QUERIES)
    lines = markdown_table([RESULT, single]).splitlines()
    assert lines == [
        "| model | method | data set | protocol | queries | R@1 | R@5 | R@10 | without positives |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| tiny | fol, 100 | town\\|1 | utm<=25m | 4 | 25.0 / 50.0 | 50.0 / 50.0 |  | 1 (count_as_miss) |",
        "| tiny | global only | town\\|1 | utm<=25m | 4 | 33.3 |  | 66.7 | 1 (drop) |",
    ]


def test_matches_and_conditions_where_there_are_several() -> None:
    queries = (
        QueryResult("a", 1, 2, 1, true_matches=MatchCount(6, 4, 1), conditions=("day",)),
        QueryResult("b", 1, 1, 1, true_matches=MatchCount(1, 0, 0), conditions=("night",)),
        QueryResult("c", 1, 9, 9, conditions=("night",)),
    )
    result = EvaluationResult(SUBJECT, (1, 5), "count_as_miss", True, queries, match_radius=14.0)
    text = " ".join(shown(result).split())
    assert "day (1) │ 0.0 / 100.0 │ 100.0 / 100.0" in text
    assert "night (2) │ 50.0 / 50.0 │ 50.0 / 50.0" in text
    assert "match accuracy 25.0: mean share of matches with the closest true view within 14 px" in text
    assert "4 of 7 matches can be judged" in text
    assert "night" not in shown(replace(result, queries=queries[1:]))  # one condition is no comparison
    assert markdown_table([RESULT, result]).splitlines()[-1].endswith("| 0 (count_as_miss) | 25.0 |")
