"""Evaluation: a model and a data set to recalls of both stages, with the protocol's name and the rule beside them.

For the rest of the library: ``evaluate`` (two passes: rankings, then scores) gives an ``EvaluationResult`` and its
files, of a ``CachedModel`` (features extracted once) or a ``Localizer`` (a map); ``read_result`` reads them back.
``result_table``, ``summary_lines``, ``markdown_table`` and ``markdown_row`` show it and ``comparison_table`` puts
several side by side; ``recall_at_k``, ``gained_and_lost`` and ``count_correct`` are the pure functions behind it.

More measures, pure functions too: ``map_at_k``; ``bootstrap_interval``, ``recall_intervals`` and ``paired_test`` (how
sure a number is); ``precision_recall`` of ``confidences``; ``position_errors``; ``recall_by_candidates``. The authors'
own numbers are in ``fol.evaluation.published``. The MSLS challenge: ``challenge_truth``, ``score_predictions``,
``read_predictions`` and ``write_predictions``.
"""

from fol.evaluation.average_precision import MeanAveragePrecision, map_at_k
from fol.evaluation.bootstrap import (
    Interval,
    PairedDifference,
    bootstrap_interval,
    hits_at_k,
    paired_test,
    recall_intervals,
)
from fol.evaluation.cached_answers import CachedModel
from fol.evaluation.candidates import recall_by_candidates
from fol.evaluation.challenge import ChallengeScore, ChallengeTruth, challenge_truth, score_predictions
from fol.evaluation.challenge_files import read_predictions, write_predictions
from fol.evaluation.comparison import comparison_table
from fol.evaluation.confidence import PrecisionRecall, confidences, precision_recall
from fol.evaluation.match_accuracy import MATCH_RADIUS, MatchCount, count_correct, judge_matches
from fol.evaluation.position_error import PositionErrors, position_errors
from fol.evaluation.recall import RULES, Recall, first_positive_ranks, gained_and_lost, recall_at_k
from fol.evaluation.report import read_result, write_result
from fol.evaluation.result import EvaluationResult, QueryResult, Stage, StageSeconds, Subject
from fol.evaluation.tables import markdown_row, markdown_table, result_table, summary_lines
from fol.evaluation.two_stage import evaluate

__all__ = [
    "MATCH_RADIUS",
    "RULES",
    "CachedModel",
    "ChallengeScore",
    "ChallengeTruth",
    "EvaluationResult",
    "Interval",
    "MatchCount",
    "MeanAveragePrecision",
    "PairedDifference",
    "PositionErrors",
    "PrecisionRecall",
    "QueryResult",
    "Recall",
    "Stage",
    "StageSeconds",
    "Subject",
    "bootstrap_interval",
    "challenge_truth",
    "comparison_table",
    "confidences",
    "count_correct",
    "evaluate",
    "first_positive_ranks",
    "gained_and_lost",
    "hits_at_k",
    "judge_matches",
    "map_at_k",
    "markdown_row",
    "markdown_table",
    "paired_test",
    "position_errors",
    "precision_recall",
    "read_predictions",
    "read_result",
    "recall_at_k",
    "recall_by_candidates",
    "recall_intervals",
    "result_table",
    "score_predictions",
    "summary_lines",
    "write_predictions",
    "write_result",
]
