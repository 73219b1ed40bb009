"""The page that compares evaluations: per data set all models, each held against the first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fol.data import PlaceDataset
from fol.evaluation import EvaluationResult, PairedDifference, QueryResult, gained_and_lost
from fol.evaluation.journal import writing
from fol.files import write_atomically
from fol.reporting.album import Album
from fol.reporting.changes import STAGE_NAMES, change, counted_ranks, recall_curve
from fol.reporting.charts import line_chart
from fol.reporting.comparable import Evaluated, Group, groups
from fol.reporting.comparison_files import comparison_csv, comparison_markdown, shared_k
from fol.reporting.query_list import final_stage
from fol.reporting.rendering import write_page
from fol.reporting.run_page import PICTURE_BYTES, REPORT, recall_rows
from fol.reporting.words import verdict
from fol.types import Place


@dataclass(frozen=True)
class Answered:
    """A query with what two models answered: names, whether they are right, and photos as data URIs (None: gone)."""

    query: str
    photo: str | None
    answers: tuple[tuple[str | None, bool, str | None], ...]


@dataclass(frozen=True)
class Versus:
    """A model against the baseline: tests per K, what the one at the smallest means, and queries that tell them
    apart (``gained`` and ``lost`` of them in all)."""

    label: str
    changes: dict[int, PairedDifference | None]
    verdict: str
    gained: int
    lost: int
    examples: dict[str, list[Answered]]


def write_comparison(evaluated: Sequence[Evaluated], out: Path, *, pictures: int = 40) -> Path:
    """Write the page ``out`` (such as ``comparison.html``) with a CSV and a Markdown file of its name beside it.

    Only results of the same data set, protocol, rule and queries are held against each other; others get a table of
    their own. In each table the first evaluation is the baseline of the paired tests. ``pictures`` queries in all, that
    one model has right and the baseline wrong or the other way round, are shown where data sets are known. Run pages
    that lie below ``out``'s folder are linked. Each file is replaced atomically.

    Raises ``ConfigError`` when there is nothing to compare, ``DataError`` when a file cannot be written.
    """
    found = groups(evaluated)
    with writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out.with_suffix(".csv"), comparison_csv(found))
        write_atomically(out.with_suffix(".md"), comparison_markdown(found))
    pairs = sum(len(group.evaluated) - 1 for group in found)
    album = Album(PICTURE_BYTES)
    k = shared_k(found)
    labels = list(dict.fromkeys(label for group in found for label in group.labels))
    return write_page(
        out,
        "comparison.html",
        groups=found,
        stage_names=STAGE_NAMES,
        labels=labels,
        k=k,
        overview=[] if k is None else [(group, *_overview(group, labels, k)) for group in found],
        rows={group.title: [recall_rows(each.result) for each in group.evaluated] for group in found},
        links={each.folder: _link(each.folder, out.parent) for each in evaluated},
        charts={group.title: _chart(group) for group in found},
        versus={group.title: _versus(group, album, pictures // max(1, 2 * pairs)) for group in found},
        separate=len({each.result.subject.dataset for each in evaluated}) < len(found),
        files=[(path.name, _address(path.name)) for path in (out.with_suffix(".csv"), out.with_suffix(".md"))],
    )


def _overview(group: Group, labels: Sequence[str], k: int) -> tuple[list[EvaluationResult | None], float]:
    """The group's results in the order of all labels, and the best recall of a final stage."""
    own = dict(zip(group.labels, (each.result for each in group.evaluated), strict=True))
    best = max(result.recall(final_stage(result)).values[k] for result in own.values())
    return [own.get(label) for label in labels], best


def _link(folder: Path, base: Path) -> str | None:
    """Where the run's page is, seen from the comparison; None unless it lies below it."""
    page = (folder / REPORT).resolve()
    if not page.is_file() or not page.is_relative_to(base.resolve()):
        return None
    return _address(page.relative_to(base.resolve()).as_posix())


def _address(path: str) -> str:
    """A relative path as links take it; its bytes need not be UTF-8."""
    return quote(os.fsencode(path))


def _chart(group: Group) -> str:
    curves = []
    for colour, (each, label) in enumerate(zip(group.evaluated, group.labels, strict=True)):
        if each.result.two_stage:
            curves.append(recall_curve(each.result, "global", f"{label}, retrieval", colour, dashed=True))
        curves.append(recall_curve(each.result, final_stage(each.result), label, colour))
    return line_chart(curves, xlabel="K", ylabel="recall, %", logarithmic=True)


def _versus(group: Group, album: Album, examples: int) -> list[Versus]:
    """Every model but the first against the first, final stage against final stage."""
    before = group.baseline
    dataset = next((each.dataset for each in group.evaluated if each.dataset is not None), None)
    found = []
    for each, label in zip(group.evaluated[1:], group.labels[1:], strict=True):
        was, now = (counted_ranks(result, final_stage(result)) for result in (before, each.result))
        changes = {k: change(was, now, k) for k in group.recall_values}
        k = min(changes, default=None)
        words = "" if k is None else verdict(changes[k], label, group.labels[0], k, len(was))
        gained, lost = gained_and_lost(before.ranks(final_stage(before)), each.result.ranks(final_stage(each.result)))
        shown = {
            "gained": _examples(gained, before, each.result, dataset, album, examples),
            "lost": _examples(lost, before, each.result, dataset, album, examples),
        }
        found.append(Versus(label, changes, words, len(gained), len(lost), shown))
    return found


def _examples(
    numbers: Sequence[int],
    before: EvaluationResult,
    after: EvaluationResult,
    dataset: PlaceDataset | None,
    album: Album,
    most: int,
) -> list[Answered]:
    """The first ``most`` of these queries, evenly spread over all of them, with photos where the data set is known."""
    step = max(1, len(numbers) // most) if most else 1
    chosen = numbers[::step][:most]
    photos = _photos(dataset.database) if dataset else {}
    queries = _photos(dataset.queries) if dataset else {}
    found = []
    for number in chosen:
        if album.full:
            break
        pair = [(result.queries[number], result) for result in (before, after)]
        answers = tuple((_top(q, r), _rank(q, r) == 1, _uri(album, photos, _top(q, r))) for q, r in pair)
        name = before.queries[number].name
        found.append(Answered(name, _uri(album, queries, name), answers))
    return found


def _photos(places: Sequence[Place]) -> dict[str, Path]:
    return {place.name: place.image for place in places}


def _uri(album: Album, photos: dict[str, Path], name: str | None) -> str | None:
    return album.uri(photos[name]) if name is not None and name in photos else None


def _top(query: QueryResult, result: EvaluationResult) -> str | None:
    return query.reranked_top if result.two_stage else query.global_top


def _rank(query: QueryResult, result: EvaluationResult) -> int | None:
    return query.reranked_rank if result.two_stage else query.global_rank
