"""Evaluation: a localizer and a data set to recalls of both stages, with the protocol's name and the rule beside them.

For the rest of the library: ``evaluate`` (two passes: rankings, then scores) gives an ``EvaluationResult`` and its
files; ``read_result`` reads them back; ``result_table``, ``summary_lines``, ``markdown_table`` and ``markdown_row``
show it; ``recall_at_k`` and ``gained_and_lost`` are the pure functions behind it.
"""

from fol.evaluation.match_accuracy import MATCH_RADIUS, MatchCount, count_correct, judge_matches
from fol.evaluation.recall import RULES, Recall, WithoutPositives, first_positive_ranks, gained_and_lost, recall_at_k
from fol.evaluation.report import read_result, write_result
from fol.evaluation.result import EvaluationResult, QueryResult, Stage, StageSeconds, Subject
from fol.evaluation.tables import markdown_row, markdown_table, result_table, summary_lines
from fol.evaluation.two_stage import evaluate

__all__ = [
    "MATCH_RADIUS",
    "RULES",
    "EvaluationResult",
    "MatchCount",
    "QueryResult",
    "Recall",
    "Stage",
    "StageSeconds",
    "Subject",
    "WithoutPositives",
    "count_correct",
    "evaluate",
    "first_positive_ranks",
    "gained_and_lost",
    "judge_matches",
    "markdown_row",
    "markdown_table",
    "read_result",
    "recall_at_k",
    "result_table",
    "summary_lines",
    "write_result",
]
