"""Evaluation: a localizer and a data set to recalls of both stages, with the protocol's name and the rule beside them.

For the rest of the library: ``evaluate`` (two passes: rankings, then scores) gives an ``EvaluationResult`` and its
files; ``read_result`` reads them back; ``result_table``, ``summary_lines``, ``markdown_table`` and ``markdown_row``
show it and ``comparison_table`` puts several side by side; ``recall_at_k``, ``gained_and_lost`` and ``count_correct``
are the pure functions behind it.
"""

from fol.evaluation.comparison import comparison_table
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
    "comparison_table",
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
