"""Ranks to the curves and tests that pages show, under the result's own rule for queries without positives."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fol.evaluation import EvaluationResult, PairedDifference, hits_at_k, paired_test
from fol.evaluation.recall import recall_from_ranks
from fol.evaluation.result import Stage
from fol.reporting.charts import Curve

STAGE_NAMES: dict[Stage, str] = {"global": "retrieval", "reranked": "after re-ranking"}
_EVERY = 20  # every K up to this one is a point of a curve


def counted_ranks(result: EvaluationResult, stage: Stage) -> list[int | None]:
    """Ranks of the queries that count."""
    drop = result.without_positives == "drop"
    ranks = result.ranks(stage)
    return [rank for rank, query in zip(ranks, result.queries, strict=True) if query.num_positives or not drop]


def change(before: Sequence[int | None], after: Sequence[int | None], k: int) -> PairedDifference | None:
    """The paired test at ``k`` of two lists of ranks; None where there is no query."""
    return paired_test(hits_at_k(before, k), hits_at_k(after, k)) if before else None


def recall_curve(result: EvaluationResult, stage: Stage, name: str, colour: int, *, dashed: bool = False) -> Curve:
    """Recall in percent over K, up to the largest K of the result."""
    most = max(result.recall_values)
    ks = sorted({*range(1, min(most, _EVERY) + 1), *range(_EVERY, most, 10), *result.recall_values})
    recall = recall_from_ranks(result.ranks(stage), result.num_without_positives, ks, result.without_positives)
    points = [(float(k), 100 * value) for k, value in recall.values.items() if not math.isnan(value)]
    return Curve(name, points, colour, dashed)
