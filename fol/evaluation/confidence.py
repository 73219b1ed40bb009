"""Does a model know when it is wrong? Precision and recall of answers that are kept only above a confidence.

Every query is answered right or wrong at rank 1. A threshold keeps the answers at least as confident; precision is
the share of right ones among those kept, recall the share of all right answers that are kept. This is how uncertainty
is measured for place recognition (Zaffar et al., On the estimation of image-matching uncertainty in visual place
recognition, CVPR 2024; gmberton/VPR-methods-evaluation and its forks): scikit-learn's ``precision_recall_curve`` and
``auc``, whose numbers these are.

Recall here is no recall@K: a model that answers half of the queries right can reach 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fol.evaluation.journal import QueryRanking
from fol.evaluation.recall import ignored_of
from fol.evaluation.result import Stage

#: What of an answer tells how sure it is: its score, the gap to the second best, or its number of local matches.
Confidence = Literal["best_score", "score_ratio", "num_matches"]


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """One point per different confidence, the highest first; answers of equal confidence are kept together.

    ``thresholds [T]``, ``precision [T]`` and ``recall [T]``: of the answers whose confidence is at least the
    threshold. Queries that were not answered (confidence -infinity) are never kept. ``num_correct`` of
    ``num_queries`` answers are right. With no right answer recall is 0 everywhere.
    """

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    num_queries: int
    num_correct: int

    @property
    def area(self) -> float:
        """Area under the curve, in [0, 1]: trapezoids from precision 1 at recall 0 (AUC-PR); NaN if none is right."""
        if not self.num_correct:
            return float("nan")
        recall, precision = np.concatenate([[0.0], self.recall]), np.concatenate([[1.0], self.precision])
        return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())

    @property
    def recall_at_full_precision(self) -> float:
        """Share of the right answers that can be kept without a single wrong one."""
        return float(self.recall[self.precision == 1].max(initial=0.0))

    def threshold_for(self, precision: float) -> float | None:
        """The lowest threshold, which keeps the most answers, whose answers are right to at least ``precision``.

        None when no threshold reaches it. A threshold to work with belongs to other data than it was chosen on.
        """
        reached = np.flatnonzero(self.precision >= precision)
        return float(self.thresholds[reached[-1]]) if len(reached) else None


def precision_recall(confidence: ArrayLike, correct: ArrayLike) -> PrecisionRecall:
    """The curve of ``confidence [Q]`` (higher is surer, -infinity where there is no answer) and ``correct [Q]``.

    Raises ``ValueError`` for different lengths, NaN or +infinity, or a right answer with confidence -infinity.
    """
    sure, right = np.asarray(confidence, np.float64).reshape(-1), np.asarray(correct, np.bool_).reshape(-1)
    if len(sure) != len(right):
        raise ValueError(f"one confidence per query is needed, got {len(sure)} for {len(right)} queries")
    if np.isnan(sure).any() or np.isposinf(sure).any():
        raise ValueError("a confidence must be a finite number, or -infinity where there is no answer")
    answered = np.isfinite(sure)
    if right[~answered].any():
        raise ValueError("a query without an answer cannot be right")
    levels, level_of = np.unique(-sure[answered], return_inverse=True)
    kept = np.cumsum(np.bincount(level_of, minlength=len(levels)))
    found = np.cumsum(np.bincount(level_of, weights=right[answered], minlength=len(levels)))
    num_correct = int(right.sum())
    return PrecisionRecall(-levels, found / kept, found / max(num_correct, 1), len(sure), num_correct)


def confidences(
    rankings: Sequence[QueryRanking],
    kind: Confidence,
    stage: Stage = "reranked",
    ignored: Sequence[ArrayLike] | None = None,
) -> NDArray[np.float64]:
    """``[Q]`` confidence of every answer at rank 1, higher is surer; -infinity where there is no answer.

    ``best_score``: the score itself (cosine similarity, or the final score of re-ranking). ``score_ratio``:
    1 - s2 / s1 of the two best scores, 0 where the scene could be either of two places ("perceptual aliasing"; with
    distances d1 / d2), 1 for a second score of 0 or below, or no second, and 0 for a best score that is not positive.
    ``num_matches``: local matches of the answer, which only the re-ranked stage has.

    ``ignored`` database indices per query are passed over. Raises ``ValueError`` for an unknown kind or stage, and
    where the rankings lack the stage.
    """
    if kind not in get_args(Confidence) or stage not in get_args(Stage):
        raise ValueError(f"confidence {kind!r} of stage {stage!r} is unknown")
    if kind == "num_matches" and stage == "global":
        raise ValueError("the global stage has no matches: take best_score or score_ratio")
    values = np.full(len(rankings), -np.inf)
    for query, ranking in enumerate(rankings):
        if stage == "reranked" and ranking.reranked is None and ranking.skipped is None:
            raise ValueError(f"{ranking.name} was not re-ranked: take the stage global")
        passed_over = set(np.asarray(ignored_of(ignored, query), np.int64).tolist())
        entries = ranking.retrieved if stage == "global" else ranking.reranked or ()
        scores = ranking.similarities if stage == "global" else ranking.scores
        counted = [i for i, entry in enumerate(entries[: len(scores)]) if entry not in passed_over][:2]
        if not counted:
            continue
        best = scores[counted[0]]
        if kind == "num_matches":
            values[query] = ranking.num_matches[counted[0]]
        elif kind == "best_score":
            values[query] = best
        else:
            second = max(0.0, scores[counted[1]]) if len(counted) > 1 else 0.0
            values[query] = 1 - second / best if best > 0 else 0.0
    return values
