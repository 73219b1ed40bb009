"""Rankings against ground truth, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fol.data import PlaceDataset
from fol.errors import DataError
from fol.evaluation import QueryResult, StageSeconds
from fol.evaluation.journal import QueryRanking
from fol.evaluation.scoring import score_queries, stage_seconds
from fol.types import Place


def dataset(positives: list[list[int]] | None, ignored: list[list[int]]) -> PlaceDataset:
    return PlaceDataset(
        name="hand",
        root=Path("hand"),
        database=tuple(Place(f"d{i}", Path(f"d{i}")) for i in range(5)),
        queries=tuple(Place(f"q{i}", Path(f"q{i}")) for i in range(len(ignored))),
        positives=None if positives is None else tuple(np.array(p, np.int64) for p in positives),
        ignored=tuple(np.array(i, np.int64) for i in ignored),
        protocol="by hand",
    )


def test_by_hand() -> None:
    rankings = {
        # The best of both stages is ignored: what stands next is judged and shown, with its own scores.
        "q1": QueryRanking("q1", (0, 1, 2), (0.9, 0.8, 0.7), (0, 2, 1), (9.0, 5.0, 4.0), (90, 50, 40)),
        # Lost. The second stage scored two places only.
        "q0": QueryRanking("q0", (3, 4, 0), (0.9, 0.8, 0.7), (4, 3, 0), (6.0, 5.0), (60, 50)),
        "q2": QueryRanking("q2", skipped="q2 cannot be read"),
        "q3": QueryRanking("q3", (1, 0), (0.6, 0.5)),
    }
    found = score_queries(dataset([[3], [0, 1], [2], []], [[], [0], [], []]), rankings)
    assert found == (
        QueryResult("q0", 1, 1, 2, "d3", 0.9, "d4", 6.0, 60),
        QueryResult("q1", 1, 1, 2, "d1", 0.8, "d2", 5.0, 50),
        QueryResult("q2", 1, skipped="q2 cannot be read"),
        QueryResult("q3", 0, None, None, "d1", 0.6),
    )


def test_best_place_without_a_score() -> None:
    # Everything that the second stage scored is ignored.
    rankings = {"q0": QueryRanking("q0", (0, 1), (0.9, 0.8), (0, 1), (7.0,), (70,))}
    (found,) = score_queries(dataset([[1]], [[0]]), rankings)
    assert found == QueryResult("q0", 1, 1, 1, "d1", 0.8, "d1", None, None)


def test_without_ground_truth() -> None:
    with pytest.raises(DataError, match="hand has no ground truth"):
        score_queries(dataset(None, []), {})


def test_seconds() -> None:
    rankings = {
        name: QueryRanking(name, seconds=seconds)
        for name, seconds in {
            "a": {"extract": 1.0, "rerank": 4.0},
            "b": {"extract": 3.0},
            "c": {"extract": 8.0},
        }.items()
    } | {"d": QueryRanking("d", skipped="no")}
    assert stage_seconds(rankings) == {"extract": StageSeconds(12.0, 3.0), "rerank": StageSeconds(4.0, 4.0)}
