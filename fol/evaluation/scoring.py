"""Second pass: rankings against ground truth. Needs no model, so other rules and protocols cost no extraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from fol.data import PlaceDataset, printable
from fol.errors import DataError
from fol.evaluation.conditions import query_conditions
from fol.evaluation.journal import QueryRanking
from fol.evaluation.measures import counted, stage_list
from fol.evaluation.recall import first_positive_ranks
from fol.evaluation.result import QueryResult, Stage, StageSeconds

_Number = TypeVar("_Number", int, float)


def score_queries(dataset: PlaceDataset, rankings: Mapping[str, QueryRanking]) -> tuple[QueryResult, ...]:
    """One result per query, in the data set's order. Raises ``DataError`` without ground truth."""
    if dataset.positives is None:
        raise no_ground_truth(dataset)
    found = [rankings[query.name] for query in dataset.queries]
    positives = counted(dataset, dataset.positives)
    before, after = (
        first_positive_ranks(counted(dataset, [stage_list(ranking, stage) for ranking in found]), positives)
        for stage in get_args(Stage)
    )
    conditions = query_conditions(dataset.queries)
    return tuple(
        _query_result(dataset, i, ranking, positives[i], before[i], after[i], conditions[i])
        for i, ranking in enumerate(found)
    )


def no_ground_truth(dataset: PlaceDataset) -> DataError:
    """The error for a data set that nothing can be measured on."""
    return DataError(
        f"{printable(dataset.root)} has no ground truth: add ground_truth.csv or coordinates of both parts"
    )


def stage_seconds(rankings: Mapping[str, QueryRanking]) -> dict[str, StageSeconds]:
    """Total and median per query of every stage's time, over the queries that have one."""
    times: dict[str, list[float]] = {}
    for ranking in rankings.values():
        for stage, seconds in (ranking.seconds or {}).items():
            times.setdefault(stage, []).append(seconds)
    return {stage: StageSeconds(sum(seconds), median(seconds)) for stage, seconds in times.items()}


def _query_result(
    dataset: PlaceDataset,
    query: int,
    ranking: QueryRanking,
    positives: NDArray[np.int64],
    before: int | None,
    after: int | None,
    conditions: tuple[str, ...],
) -> QueryResult:
    ignored = dataset.ignored[query]
    first = _first_counted(ranking.retrieved, ignored)
    again = _first_counted(ranking.reranked or (), ignored)
    return QueryResult(
        name=ranking.name,
        num_positives=len(positives),
        global_rank=before,
        reranked_rank=after,
        global_top=None if first is None else dataset.database[ranking.retrieved[first]].name,
        global_score=_at(ranking.similarities, first),
        reranked_top=None if again is None else dataset.database[(ranking.reranked or ())[again]].name,
        reranked_score=_at(ranking.scores, again),
        num_matches=_at(ranking.num_matches, again),
        skipped=ranking.skipped,
        true_matches=ranking.true_matches,
        conditions=conditions,
    )


def _first_counted(entries: Sequence[int], ignored: NDArray[np.int64]) -> int | None:
    """Position of the best entry that counts."""
    passed_over = set(ignored.tolist())
    return next((position for position, entry in enumerate(entries) if entry not in passed_over), None)


def _at(values: Sequence[_Number], position: int | None) -> _Number | None:
    """The value there; None where the stage gave fewer values than places."""
    return values[position] if position is not None and position < len(values) else None
