"""The files of a result and the way back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fol.errors import DataError
from fol.evaluation import EvaluationResult, MatchCount, QueryResult, StageSeconds, Subject, read_result, write_result

SUBJECT = Subject("tiny", "f" * 64, "fol", "fol", {"threshold": 0.7}, "town", "5 database", "utm<=25m", 5, 3)
QUERIES = (
    QueryResult("queries/a.jpg", 2, 2, 1, "db/x.jpg", 0.1 + 0.2, "db/y.jpg", 1 / 3, 12),
    QueryResult("queries/b.jpg", 1, 1, None, "db/y.jpg", 0.5, "db/x.jpg", 0.25, 0),
    QueryResult('queries/c, "é"\n.jpg', 0, None, None, "db/x.jpg", 0.5, "db/x.jpg", 0.25, 3),
    QueryResult("queries/d.jpg", 1, skipped="d.jpg cannot be read: truncated"),
    QueryResult("queries/\udcff.jpg", 1, 1, 1, "db/\udcfe.jpg", 0.5, "db/x.jpg", 0.25, 3),
)
RESULT = EvaluationResult(
    SUBJECT,
    (1, 5),
    "count_as_miss",
    True,
    QUERIES,
    ("db/broken.jpg",),
    {"extract": StageSeconds(1.5, 0.3), "rerank": StageSeconds(0.5, 0.1)},
    {"rss": 2**30},
    {"python": "3.11", "packages": {"torch": "2"}, "git_revision": None},
    2,
)
CITY = EvaluationResult(
    SUBJECT,
    (1,),
    "count_as_miss",
    True,
    (
        QueryResult("a", 1, 1, 1, true_matches=MatchCount(10, 4, 1), conditions=("day",)),
        QueryResult("b", 1, 2, 1, true_matches=MatchCount(5, 2, 2), conditions=("night",)),
        QueryResult("c", 1, 2, 2, true_matches=MatchCount(0, 0, 0), conditions=("night",)),
        QueryResult("d", 1, skipped="broken", conditions=("night",)),
    ),
    match_radius=14.0,
)
SINGLE = EvaluationResult(SUBJECT, (1,), "drop", False, (QueryResult("a", 0), QueryResult("b", 0)))


@pytest.mark.parametrize("result", [RESULT, SINGLE, CITY])
def test_round_trip(tmp_path: Path, result: EvaluationResult) -> None:
    write_result(result, tmp_path, {})
    assert read_result(tmp_path) == result
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "queries.csv", "config.yaml"}


def test_what_the_json_says(tmp_path: Path) -> None:
    write_result(RESULT, tmp_path, {})
    document = json.loads((tmp_path / "results.json").read_bytes())
    assert document["schema"] == "fol.evaluation/3"
    assert document["protocol"] == "utm<=25m"
    assert document["rule"]["without_positives"] == "count_as_miss"
    assert "official" in document["rule"]["meaning"]
    assert document["candidates"] == 3
    assert document["counts"] == {
        "database": 5,
        "queries": 5,
        "queries_without_positives": 1,
        "skipped_queries": 1,
        "database_not_in_map": 1,
    }
    # Of five queries, global hits: b and the last at 1, a at 2; re-ranked: a and the last at 1.
    assert document["recall"]["global"]["hits"] == {"1": 2, "5": 3}
    assert document["recall"]["global"]["count_as_miss"] == {"1": 0.4, "5": 0.6}
    assert document["recall"]["global"]["drop"] == {"1": 0.5, "5": 0.75}
    assert document["recall"]["reranked"]["count_as_miss"] == {"1": 0.4, "5": 0.4}
    assert document["gained"] == ["queries/a.jpg"]
    assert document["lost"] == ["queries/b.jpg"]
    assert document["skipped"] == [{"query": "queries/d.jpg", "reason": "d.jpg cannot be read: truncated"}]


def test_matches_and_conditions(tmp_path: Path) -> None:
    write_result(CITY, tmp_path, {})
    document = json.loads((tmp_path / "results.json").read_bytes())
    # a has 1 of 4 right, b 2 of 2; c and d have nothing to judge
    counts = {"queries": 2, "matches": 15, "judged": 6, "correct": 3}
    assert document["match_accuracy"] == {"mean": 0.625, "radius_px": 14.0, **counts}
    day, night = document["conditions"]["day"], document["conditions"]["night"]
    assert (day["queries"], night["queries"]) == (1, 3)
    assert night["recall"]["global"]["hits"] == {"1": 0} and night["recall"]["reranked"]["hits"] == {"1": 1}
    assert (day["match_accuracy"], night["match_accuracy"]) == (0.25, 1.0)
    write_result(RESULT, tmp_path, {})
    document = json.loads((tmp_path / "results.json").read_bytes())
    assert document["match_accuracy"] is None and document["conditions"] == {}


def test_a_share_of_nothing_is_null(tmp_path: Path) -> None:
    write_result(SINGLE, tmp_path, {})
    document = json.loads((tmp_path / "results.json").read_bytes())
    shares = {"count_as_miss": {"1": 0.0}, "drop": {"1": None}, "interval_95": {"1": None}, "hits": {"1": 0}}
    assert document["recall"] == {"global": shares}


def test_the_table(tmp_path: Path) -> None:
    write_result(RESULT, tmp_path, {})
    with (tmp_path / "queries.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [row["change"] for row in rows] == ["gained", "lost", "", "", ""]
    assert rows[0]["num_matches"] == "12"
    assert rows[1]["reranked_rank"] == ""
    assert rows[2]["query"] == QUERIES[2].name


def test_config_is_kept_as_given(tmp_path: Path) -> None:
    config = {
        "data": {"root": Path("some/folder"), "odd": "${not.one}"},
        "recall_values": (1, 5),
        "rate": 1e-5,
        "é": None,
    }
    write_result(RESULT, tmp_path, config)
    back = OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml"))
    expected = {"data": {"root": "some/folder", "odd": "${not.one}"}, "recall_values": [1, 5], "rate": 1e-5, "é": None}
    assert back == expected
    write_result(RESULT, tmp_path, OmegaConf.create({"a": 3, "b": "${a}"}))  # type: ignore[arg-type]
    assert (tmp_path / "config.yaml").read_text() == "a: 3\nb: 3\n"


def test_refuses_what_is_not_one_result(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"results\.json cannot be read"):
        read_result(tmp_path)
    write_result(RESULT, tmp_path, {})
    table = tmp_path / "queries.csv"
    good = table.read_bytes()
    table.write_bytes(good.replace(b"gained", b""))
    with pytest.raises(DataError, match=r"queries\.csv was changed after"):
        read_result(tmp_path)
    table.write_bytes(good)
    path = tmp_path / "results.json"
    document = json.loads(path.read_bytes())
    for change, message in [({"schema": "fol.evaluation/9"}, "evaluation/9"), ({"rule": {}}, "damaged")]:
        path.write_text(json.dumps(document | change))
        with pytest.raises(DataError, match=message):
            read_result(tmp_path)
    for text in ("{", "[]", "{}"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"damaged|schema"):
            read_result(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone cannot be written"):
        write_result(RESULT, tmp_path / "gone", {})


def test_a_stage_that_is_not_there() -> None:
    assert SINGLE.stages == ("global",)
    assert SINGLE.gained == SINGLE.lost == ()
    with pytest.raises(ValueError, match="reranked"):
        SINGLE.recall("reranked")
