"""Several results in one table: a row per data set, columns per model."""

from __future__ import annotations

from collections.abc import Sequence

from fol.errors import ConfigError
from fol.evaluation.result import EvaluationResult, percent
from fol.evaluation.tables import markdown_cells


def comparison_table(results: Sequence[EvaluationResult], k: int = 1) -> str:
    """Markdown: data sets as rows; per model R@``k`` of each stage in percent, and match accuracy where it is known.

    Rows and models keep the order in which they first come; a pair that was not measured stays empty. Models of one
    name are told apart by method, options and weights. Raises ``ConfigError`` when one pair comes twice, when a data
    set was measured under two protocols or rules, or when ``k`` was not measured.
    """
    if not results:
        raise ConfigError("there is no result to compare: give the folders of fol evaluate")
    labels = model_labels(results)
    cells: dict[tuple[str, str], dict[str, str]] = {}
    columns: dict[str, list[str]] = {}
    measured: dict[str, EvaluationResult] = {}
    for result, label in zip(results, labels, strict=True):
        dataset = result.subject.dataset
        other = measured.setdefault(dataset, result)
        if protocol_in_words(other) != protocol_in_words(result):
            raise ConfigError(
                f"{dataset}: {protocol_in_words(other)} and {protocol_in_words(result)} cannot be compared"
            )
        if (dataset, label) in cells:
            raise ConfigError(f"{label} on {dataset} comes twice: give each result once")
        if k not in result.recall_values:
            raise ConfigError(f"{label} on {dataset} has no R@{k}, only {list(result.recall_values)}")
        values = _values(result, k)
        cells[dataset, label] = values
        known = columns.setdefault(label, [])
        known.extend(name for name in values if name not in known)
    head = ["data set", "queries", *(f"{label}{name}" for label, names in columns.items() for name in names)]
    rows = [head, ["---"] * len(head)]
    for dataset, result in measured.items():
        found = [cells.get((dataset, label), {}).get(name, "") for label, names in columns.items() for name in names]
        rows.append([dataset, str(len(result.queries)), *found])
    return "\n".join(map(markdown_cells, rows)) + "\n"


def _values(result: EvaluationResult, k: int) -> dict[str, str]:
    """Column's name -> text."""
    recalls = {stage: percent(result.recall(stage).values[k]) for stage in result.stages}
    if not result.two_stage:
        return {f" R@{k}": recalls["global"]}
    values = {f" R@{k} global": recalls["global"], f" R@{k} re-ranked": recalls["reranked"]}
    if result.match_accuracy is not None:
        values[" match accuracy"] = percent(result.match_accuracy)
    return values


def protocol_in_words(result: EvaluationResult) -> str:
    """What must agree between the numbers of one row."""
    subject = result.subject
    return (
        f"{subject.protocol} with {len(result.queries)} queries against {subject.num_database} images "
        f"({result.without_positives})"
    )


def model_labels(results: Sequence[EvaluationResult]) -> list[str]:
    """One per result: the model's name, with as much more as it takes to tell the models apart."""
    subjects = [result.subject for result in results]
    details = [
        (
            subject.model,
            subject.method if result.two_stage else "",
            subject.fingerprint[:8],
            str(subject.candidates) if result.two_stage else "",
            str(sorted(subject.options.items())) if result.two_stage else "",
        )
        for subject, result in zip(subjects, results, strict=True)
    ]
    labels = []
    for own in details:
        namesakes = [other for other in set(details) if other[0] == own[0]]
        parts = [own[i] for i in range(1, len(own)) if len({other[i] for other in namesakes}) > 1]
        labels.append(f"{own[0]} ({', '.join(parts)})" if parts else own[0])
    return labels
