"""A result for people: a table for the terminal and Markdown for documents. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from fol.evaluation.result import EvaluationResult, Stage, percent

_TITLES: dict[Stage, str] = {"global": "global", "reranked": "re-ranked"}


def result_table(result: EvaluationResult) -> Table:
    """Recall of both stages side by side, with what a number means nothing without: protocol, rule, counts."""
    subject = result.subject
    # Text, as names may hold what rich takes for markup.
    table = Table(title=Text(f"{subject.model} on {subject.dataset}"), title_justify="left")
    table.add_column("stage")
    for k in result.recall_values:
        table.add_column(f"R@{k}", justify="right")
    for stage in result.stages:
        values = result.recall(stage).values
        table.add_row(_TITLES[stage], *(percent(values[k]) for k in result.recall_values))
    if result.two_stage:
        before, after = result.recall("global").values, result.recall("reranked").values
        table.add_section()
        table.add_row("change", *(_change(before[k], after[k]) for k in result.recall_values))
    page = Table.grid()  # the lines below would be squeezed into a caption's width, which is the table's
    page.add_row(table)
    for line in summary_lines(result):
        page.add_row(Text(line))
    return page


def summary_lines(result: EvaluationResult) -> list[str]:
    """What stands below the table, one subject per line."""
    subject = result.subject
    without = result.num_without_positives
    lines = [
        f"protocol {subject.protocol}: {_counted(len(result.queries), 'query')} ({without} without positives) "
        f"against {_counted(subject.num_database, 'image')}",
        result.rule,
    ]
    if result.two_stage:
        lines.append(
            f"method {subject.method}, the best {subject.candidates} re-ranked: "
            f"{_counted(len(result.gained), 'query')} gained and {len(result.lost)} lost at K=1"
        )
    if result.skipped:
        lines.append(f"could not be used and count as misses: {_counted(len(result.skipped), 'query')}")
    if result.not_in_map:
        lines.append(f"not in the map and so never found: {_counted(len(result.not_in_map), 'database image')}")
    if result.seconds:
        times = (f"{stage} {1000 * s.median:.1f} ms" for stage, s in result.seconds.items())
        total = sum(seconds.total for seconds in result.seconds.values())
        lines.append(f"median per query: {', '.join(times)}; {total:.1f} s in all")
    if result.peak_memory:
        lines.append("peak memory: " + ", ".join(f"{k} {v / 2**20:.0f} MiB" for k, v in result.peak_memory.items()))
    return lines


def markdown_table(results: Sequence[EvaluationResult]) -> str:
    """One row per result: recall at every K as "global / re-ranked" in percent, with data set, protocol and rule.

    Results may have different recall values; a cell that a result lacks is empty.
    """
    ks = sorted({k for result in results for k in result.recall_values})
    head = ["model", "method", "data set", "protocol", "queries", *(f"R@{k}" for k in ks), "without positives"]
    lines = [_row(head), _row(["---"] * len(head)), *(markdown_row(result, ks) for result in results)]
    return "\n".join(lines) + "\n"


def markdown_row(result: EvaluationResult, ks: Sequence[int] | None = None) -> str:
    """The row of ``markdown_table`` for one result; ``ks`` are the columns, by default the result's own."""
    subject = result.subject
    values = [result.recall(stage).values for stage in result.stages]
    cells = [
        " / ".join(percent(stage[k]) for stage in values) if k in result.recall_values else ""
        for k in (result.recall_values if ks is None else ks)
    ]
    rule = f"{result.num_without_positives} ({result.without_positives})"
    method = f"{subject.method}, {subject.candidates}" if result.two_stage else "global only"
    return _row([subject.model, method, subject.dataset, subject.protocol, str(len(result.queries)), *cells, rule])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _counted(number: int, noun: str) -> str:
    """The number with its noun, which ends in s, or in ies for y, unless there is one."""
    return f"{number} {noun if number == 1 else noun.removesuffix('y') + ('ies' if noun.endswith('y') else 's')}"


def _change(before: float, after: float) -> str:
    return f"{100 * (after - before):+.1f}"
