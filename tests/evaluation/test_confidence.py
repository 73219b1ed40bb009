"""Precision and recall of answers above a confidence: by hand, and against a count for every threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fol.evaluation.confidence import confidences, precision_recall
from fol.evaluation.journal import QueryRanking

INFINITY = float("inf")


def test_by_hand() -> None:
    # By confidence: right, right, wrong, right, wrong.
    curve = precision_recall([0.9, 0.2, 0.5, 0.8, 0.3], [True, False, False, True, True])
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.5, 0.3, 0.2]
    assert curve.precision.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5])
    assert curve.recall.tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1, 1])
    assert curve.recall_at_full_precision == pytest.approx(2 / 3)
    # Two thirds of the width at height 1, the last third from 2/3 to 3/4.
    assert curve.area == pytest.approx(2 / 3 + (2 / 3 + 3 / 4) / 2 / 3)
    assert (curve.num_queries, curve.num_correct) == (5, 3)


def test_threshold_for_a_precision() -> None:
    curve = precision_recall([0.9, 0.2, 0.5, 0.8, 0.3], [True, False, False, True, True])
    assert curve.threshold_for(1.0) == 0.8
    assert curve.threshold_for(0.7) == 0.3  # precision falls to 2/3 at 0.5 and rises again: 0.3 keeps more answers
    assert curve.threshold_for(0.6) == 0.2
    assert precision_recall([0.9, 0.5], [False, True]).threshold_for(0.9) is None


def test_ties_are_one_step() -> None:
    # Right and wrong at 0.7 are kept together: whichever comes first must not matter.
    for correct in ([True, True, False], [True, False, True]):
        curve = precision_recall([0.9, 0.7, 0.7], correct)
        assert curve.thresholds.tolist() == [0.9, 0.7]
        assert curve.precision.tolist() == pytest.approx([1, 2 / 3])
        assert curve.recall.tolist() == pytest.approx([0.5, 1])
        assert curve.area == pytest.approx(0.5 + (1 + 2 / 3) / 2 / 2)
    # All equal: nothing can be told apart, and nothing is kept at full precision.
    flat = precision_recall([3, 3, 3, 3], [True, False, False, False])
    assert flat.thresholds.tolist() == [3]
    assert flat.recall_at_full_precision == 0
    assert flat.area == pytest.approx((1 + 0.25) / 2)


def test_unanswered_queries_are_never_kept() -> None:
    curve = precision_recall([0.9, -INFINITY, 0.5], [True, False, True])
    assert curve.thresholds.tolist() == [0.9, 0.5]
    assert curve.recall_at_full_precision == 1
    assert curve.num_queries == 3


def test_none_right_or_no_query() -> None:
    curve = precision_recall([0.9, 0.5], [False, False])
    assert curve.recall.tolist() == [0, 0]
    assert math.isnan(curve.area)
    assert curve.recall_at_full_precision == 0
    nothing = precision_recall([], [])
    assert math.isnan(nothing.area) and nothing.threshold_for(0.5) is None
    unanswered = precision_recall([-INFINITY], [False])
    assert len(unanswered.thresholds) == 0


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30))
def test_against_counting_at_every_threshold(answers: list[tuple[int, bool]]) -> None:
    curve = precision_recall([c for c, _ in answers], [right for _, right in answers])
    thresholds = sorted({c for c, _ in answers}, reverse=True)
    assert curve.thresholds.tolist() == thresholds
    all_right = sum(right for _, right in answers)
    area, last, full, lowest = 0.0, (0.0, 1.0), 0.0, None
    for i, threshold in enumerate(thresholds):
        kept = [right for c, right in answers if c >= threshold]
        precision = sum(kept) / len(kept)
        recall = sum(kept) / all_right if all_right else 0.0
        assert curve.precision[i] == pytest.approx(precision)
        assert curve.recall[i] == pytest.approx(recall)
        area += (recall - last[0]) * (precision + last[1]) / 2
        last = (recall, precision)
        if all(kept):
            full = max(full, recall)
        if precision >= 0.5:
            lowest = threshold
    assert curve.recall_at_full_precision == pytest.approx(full)
    assert curve.threshold_for(0.5) == lowest
    assert curve.area == pytest.approx(area) if all_right else math.isnan(curve.area)


RANKING = QueryRanking(
    "q.jpg",
    retrieved=(4, 2, 9),
    similarities=(0.8, 0.6, 0.1),
    reranked=(2, 4, 9),
    scores=(40.0, 10.0),
    num_matches=(40, 10),
)


def test_confidences_of_both_stages() -> None:
    assert confidences([RANKING], "best_score").tolist() == [40]
    assert confidences([RANKING], "best_score", "global").tolist() == pytest.approx([0.8])
    assert confidences([RANKING], "score_ratio").tolist() == pytest.approx([0.75])
    assert confidences([RANKING], "score_ratio", "global").tolist() == pytest.approx([0.25])
    assert confidences([RANKING], "num_matches").tolist() == [40]


def test_confidences_pass_over_what_is_ignored() -> None:
    assert confidences([RANKING], "num_matches", ignored=[[2]]).tolist() == [10]
    assert confidences([RANKING], "score_ratio", ignored=[[2]]).tolist() == [1]  # no second score is left
    assert confidences([RANKING], "score_ratio", "global", ignored=[[4]]).tolist() == pytest.approx([1 - 1 / 6])


def test_score_ratio_of_scores_that_are_not_positive() -> None:
    def ratio(*similarities: float) -> float:
        ranking = QueryRanking("q", tuple(range(len(similarities))), similarities)
        return float(confidences([ranking], "score_ratio", "global")[0])

    assert ratio(0.5, -0.5) == 1
    assert ratio(0.0, 0.0) == 0  # no matches anywhere: as unsure as can be, and no division by zero
    assert ratio(-0.1, -0.2) == 0
    assert ratio(0.5, 0.5) == 0
    assert ratio(0.5) == 1


def test_unanswered_query() -> None:
    skipped = QueryRanking("broken.jpg", reranked=None, skipped="cannot be read")
    for kind in ("best_score", "score_ratio", "num_matches"):
        assert confidences([skipped, RANKING], kind).tolist()[0] == -INFINITY


def test_bad_arguments() -> None:
    single = QueryRanking("q", (1,), (0.5,))
    with pytest.raises(ValueError, match="was not re-ranked"):
        confidences([single], "best_score")
    with pytest.raises(ValueError, match="no matches"):
        confidences([single], "num_matches", "global")
    with pytest.raises(ValueError, match="unknown"):
        confidences([single], "luck")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one confidence per query"):
        precision_recall([1.0], [True, False])
    with pytest.raises(ValueError, match="finite"):
        precision_recall([np.nan], [True])
    with pytest.raises(ValueError, match="cannot be right"):
        precision_recall([-INFINITY], [True])
