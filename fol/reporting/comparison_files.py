"""A comparison as tables for other programs (CSV) and for papers (Markdown)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace

from fol.data import printable
from fol.evaluation import comparison_table, markdown_table, recall_intervals
from fol.reporting.comparable import Group

COLUMNS = (
    "dataset",
    "protocol",
    "without_positives",
    "database",
    "queries",
    "queries_without_positives",
    "model",
    "fingerprint",
    "method",
    "candidates",
    "stage",
    "k",
    "recall",
    "low_95",
    "high_95",
    "hits",
    "average_precision",
)


def comparison_csv(groups: Sequence[Group]) -> bytes:
    """One row per data set, model, stage and K; shares in [0, 1], empty where nothing counts."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for group in groups:
        for evaluated, label in zip(group.evaluated, group.labels, strict=True):
            result, subject = evaluated.result, evaluated.result.subject
            head = [subject.dataset, subject.protocol, result.without_positives, subject.num_database]
            head += [len(result.queries), result.num_without_positives, label, subject.fingerprint]
            for stage in result.stages:
                second = [subject.method, subject.candidates] if stage == "reranked" else ["", ""]
                recall = result.recall(stage)
                intervals = recall_intervals(recall)
                precision = result.measures[stage].average_precision if stage in result.measures else {}
                for k in result.recall_values:
                    shares = [_known(v) for v in (recall.values[k], intervals[k].low, intervals[k].high)]
                    row = [*head, *second, stage, k, *shares, recall.hits[k], _known(precision.get(k))]
                    writer.writerow(row)
    return text.getvalue().encode(errors="surrogateescape")


def comparison_markdown(groups: Sequence[Group]) -> bytes:
    """R@1 with data sets as rows and models as columns, then a row per result with all its recalls."""
    results = []
    for group in groups:
        for evaluated, label in zip(group.evaluated, group.labels, strict=True):
            subject = replace(evaluated.result.subject, dataset=printable(group.title), model=printable(label))
            results.append(replace(evaluated.result, subject=subject))
    k = shared_k(groups)
    tables = [] if k is None else [comparison_table(results, k)]
    return "\n".join([*tables, markdown_table(results)]).encode(errors="backslashreplace")


def shared_k(groups: Sequence[Group]) -> int | None:
    """The smallest K that every result has."""
    shared = set.intersection(*(set(group.recall_values) for group in groups))
    return min(shared, default=None)


def _known(value: float | None) -> float | str:
    return "" if value is None or math.isnan(value) else value
