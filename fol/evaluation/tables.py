"""A result for people: a table for the terminal and Markdown for documents. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from fol.evaluation.result import EvaluationResult, Stage, percent

_TITLES: dict[Stage, str] = {"global": "global", "reranked": "re-ranked"}


def result_table(result: EvaluationResult) -> Table:
    """Recall of both stages side by side, with what a number means nothing without: protocol, rule, counts.

    Where the queries are in several conditions, a row for each: recall of both stages, its number of queries.
    """
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
    for number, condition in enumerate(result.conditions):
        if not number:
            table.add_section()
        part = result.under_condition(condition)
        values_of = [part.recall(stage).values for stage in part.stages]
        cells = (" / ".join(percent(values[k]) for values in values_of) for k in result.recall_values)
        table.add_row(Text(f"{condition} ({len(part.queries)})"), *cells)
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
    if result.match_radius is not None and result.two_stage:
        lines.append(_match_line(result))
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


def _match_line(result: EvaluationResult) -> str:
    counts = [query.true_matches for query in result.queries if query.true_matches is not None]
    judged, matches = sum(count.judged for count in counts), sum(count.matches for count in counts)
    accuracy = result.match_accuracy
    return (
        f"match accuracy {'-' if accuracy is None else percent(accuracy)}: mean share of matches with the closest true "
        f"view within {result.match_radius:g} px of the truth; {judged} of {_counted(matches, 'match')} can be judged"
    )


def markdown_table(results: Sequence[EvaluationResult]) -> str:
    """One row per result: recall at every K as "global / re-ranked" in percent, with data set, protocol and rule.

    Results may have different recall values; a cell that a result lacks is empty. A last column
    for match accuracy where any result has it.
    """
    ks = sorted({k for result in results for k in result.recall_values})
    head = ["model", "method", "data set", "protocol", "queries", *(f"R@{k}" for k in ks), "without positives"]
    judged = any(result.match_radius is not None for result in results)
    rows = [head, ["---"] * len(head), *(_cells(result, ks) for result in results)]
    if judged:
        accuracies = [result.match_accuracy for result in results]
        last = ["match accuracy", "---", *("" if value is None else percent(value) for value in accuracies)]
        rows = [[*row, cell] for row, cell in zip(rows, last, strict=True)]
    lines = [markdown_cells(row) for row in rows]
    return "\n".join(lines) + "\n"


def markdown_row(result: EvaluationResult, ks: Sequence[int] | None = None) -> str:
    """The row of ``markdown_table`` for one result; ``ks`` are the columns, by default the result's own."""
    return markdown_cells(_cells(result, result.recall_values if ks is None else ks))


def _cells(result: EvaluationResult, ks: Sequence[int]) -> list[str]:
    subject = result.subject
    values = [result.recall(stage).values for stage in result.stages]
    cells = [" / ".join(percent(stage[k]) for stage in values) if k in result.recall_values else "" for k in ks]
    rule = f"{result.num_without_positives} ({result.without_positives})"
    method = f"{subject.method}, {subject.candidates}" if result.two_stage else "global only"
    return [subject.model, method, subject.dataset, subject.protocol, str(len(result.queries)), *cells, rule]


def markdown_cells(cells: Sequence[str]) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _counted(number: int, noun: str) -> str:
    """The number with its noun, which ends in s, in es for ch, or in ies for y, unless there is one."""
    if number == 1:
        return f"1 {noun}"
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("ch") else "s")
    return f"{number} {plural}"


def _change(before: float, after: float) -> str:
    return f"{100 * (after - before):+.1f}"
