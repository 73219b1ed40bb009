"""From rankings and ground truth to the measures of a stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fol.data import PlaceDataset, WithoutPositives
from fol.evaluation.average_precision import map_at_k
from fol.evaluation.candidates import rerank_first
from fol.evaluation.confidence import Confidence, confidences, precision_recall
from fol.evaluation.journal import QueryRanking
from fol.evaluation.position_error import position_errors
from fol.evaluation.recall import counted_entries, first_positive_ranks, recall_at_k
from fol.evaluation.result import Stage
from fol.evaluation.stage_measures import ConfidenceMeasure, PositionErrorMeasure, StageMeasures

_MOST_POINTS = 200  # of a curve that is kept


def stage_list(ranking: QueryRanking, stage: Stage) -> Sequence[int]:
    """The ranked database indices of one stage, best first."""
    return ranking.retrieved if stage == "global" else ranking.reranked or ()


def counted(dataset: PlaceDataset, lists: Sequence[ArrayLike]) -> list[NDArray[np.int64]]:
    """Per query what counts of a ranked list, or of the positives: without what the ground truth ignores, and each
    panorama once where so ruled (both are numbers of panoramas then)."""
    return [
        dataset.rules.counted(counted_entries(entries, ignored))
        for entries, ignored in zip(lists, dataset.ignored, strict=True)
    ]


def measure_stage(
    dataset: PlaceDataset,
    rankings: Sequence[QueryRanking],
    stage: Stage,
    ks: Sequence[int],
    rule: WithoutPositives,
) -> StageMeasures:
    """Measures of ``rankings``, which follow the data set's queries; ``ValueError`` without ground truth."""
    if dataset.positives is None:
        raise ValueError(f"{dataset.name} has no ground truth")
    lists = counted(dataset, [stage_list(ranking, stage) for ranking in rankings])
    positives = counted(dataset, dataset.positives)
    within = {
        radius: recall_at_k(lists, counted(dataset, near), ks, without_positives=rule).values
        for radius, near in dataset.positives_within.items()
    }
    by_candidates = {}
    for number in _steps(max(len(ranking.scores) for ranking in rankings)) if stage == "reranked" else ():
        fewer = counted(dataset, [rerank_first(ranking, number) for ranking in rankings])
        by_candidates[number] = recall_at_k(fewer, positives, ks, without_positives=rule)
    return StageMeasures(
        average_precision=_finite(map_at_k(lists, positives, ks, without_positives=rule).values),
        within={radius: _finite(values) for radius, values in within.items()},
        position_error=_position_error(dataset, rankings, stage),
        confidence=_confidence(dataset, rankings, stage, first_positive_ranks(lists, positives)),
        by_candidates={number: _finite(each.values) for number, each in by_candidates.items()},
    )


def _steps(most: int) -> list[int]:
    """0, 1, 2, 5, 10, ... up to ``most``."""
    steps = [0, *(digit * 10**power for power in range(7) for digit in (1, 2, 5))]
    return [step for step in steps if step < most] + [most]


def _position_error(
    dataset: PlaceDataset, rankings: Sequence[QueryRanking], stage: Stage
) -> PositionErrorMeasure | None:
    truth = [query.position for query in dataset.queries]
    if not any(truth):
        return None
    answers = []
    for ranking, ignored in zip(rankings, dataset.ignored, strict=True):
        entries = counted_entries(stage_list(ranking, stage), ignored)
        answers.append(dataset.database[entries[0]].position if len(entries) else None)
    errors = position_errors(truth, answers)
    return PositionErrorMeasure(
        _finite_or_none(errors.median),
        _finite_or_none(errors.percentile_90),
        errors.num_unknown,
        errors.num_unanswered,
    )


def _confidence(
    dataset: PlaceDataset, rankings: Sequence[QueryRanking], stage: Stage, ranks: Sequence[int | None]
) -> dict[str, ConfidenceMeasure]:
    kinds: tuple[Confidence, ...] = ("best_score", "score_ratio")
    if stage == "reranked":
        kinds = (*kinds, "num_matches")
    right = np.array([rank == 1 for rank in ranks])
    found: dict[str, ConfidenceMeasure] = {}
    for kind in kinds:
        values = confidences(rankings, kind, stage, dataset.ignored)
        curve = precision_recall(values, right & np.isfinite(values))
        points = np.linspace(0, len(curve.recall) - 1, min(_MOST_POINTS, len(curve.recall))).astype(int)
        found[kind] = ConfidenceMeasure(
            _finite_or_none(curve.area),
            curve.recall_at_full_precision,
            tuple((float(curve.recall[i]), float(curve.precision[i])) for i in points),
        )
    return found


def _finite(values: Mapping[int, float]) -> dict[int, float | None]:
    return {k: _finite_or_none(value) for k, value in values.items()}


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
