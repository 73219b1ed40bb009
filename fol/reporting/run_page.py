"""The page of one evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fol.data import PlaceDataset, printable
from fol.evaluation import EvaluationResult, recall_intervals
from fol.evaluation.database_features import DatabaseFeatures
from fol.evaluation.journal import QueryRanking
from fol.evaluation.published import PublishedRecall, published
from fol.evaluation.report import CONFIG
from fol.evaluation.result import Stage
from fol.models import PlaceModel
from fol.reporting.album import Album
from fol.reporting.changes import STAGE_NAMES, change, counted_ranks, recall_curve
from fol.reporting.charts import Curve, line_chart
from fol.reporting.place_plot import place_plots
from fol.reporting.query_list import (
    CONFIDENCE_NAMES,
    OUTCOMES,
    ListedQuery,
    final_stage,
    listed_queries,
    telling_confidence,
    to_picture,
)
from fol.reporting.query_pictures import Document, PictureMaker, picture_queries
from fol.reporting.rendering import write_page
from fol.reporting.words import verdict
from fol.types import Extractor, ProgressCallback

REPORT = "report.html"
#: Of queries that are listed; the worst come first.
MOST_QUERIES = 20_000
#: Bytes of photos in a page; with the list of queries and the rest it stays below 15 MB.
PICTURE_BYTES = 9_000_000


def write_run_page(
    folder: Path,
    dataset: PlaceDataset,
    result: EvaluationResult,
    rankings: Mapping[str, QueryRanking],
    model: Extractor | None,
    *,
    features: DatabaseFeatures | None = None,
    pictures: int = 40,
    progress: ProgressCallback | None = None,
) -> Path:
    """Write ``report.html`` into the folder of an evaluation, atomically; its path.

    ``rankings`` by query name, of ``read_rankings``. ``pictures`` queries (lost, gained, confidently wrong, some right)
    are shown with their photos; where ``model`` has regions and local features also with these, of the query, which it
    sees again, and with match lines to answers whose local features ``features`` has. Without a model, with 0 pictures
    or where photos are gone, the page has less. Other queries are listed by name, rank and score.

    Raises ``DataError`` when the file cannot be written.
    """
    ordered = [rankings.get(query.name, QueryRanking(query.name)) for query in dataset.queries]
    listed = listed_queries(result, dataset, ordered)
    album = Album(PICTURE_BYTES)
    numbers = [query.number for query in to_picture(listed, pictures)]
    maker = PictureMaker(dataset, result, album, model, features)
    if progress and numbers:
        progress(0, len(numbers))
    details = picture_queries(maker, numbers, ordered, lambda done: progress(done, len(numbers)) if progress else None)
    outcomes = {outcome: sum(query.outcome == outcome for query in listed) for outcome in OUTCOMES}
    config = folder / CONFIG
    return write_page(
        folder / REPORT,
        "run.html",
        result=result,
        subject=result.subject,
        stage_names=STAGE_NAMES,
        final=final_stage(result),
        recalls=recall_rows(result),
        changes={k: _change(result, k) for k in result.recall_values} if result.two_stage else {},
        verdict=_verdict(result),
        published=_published(result, model),
        charts=_charts(result),
        conditions=[(name, recall_rows(result.under_condition(name))) for name in result.conditions],
        condition_counts={name: len(result.under_condition(name).queries) for name in result.conditions},
        confidence_names=CONFIDENCE_NAMES,
        telling=CONFIDENCE_NAMES[telling_confidence(result)],
        plots=place_plots(dataset, listed),
        outcomes={outcome: number for outcome, number in outcomes.items() if number},
        pictured=len(details),
        unlisted=max(0, len(listed) - MOST_QUERIES),
        data=_data(result, listed[:MOST_QUERIES], details, album),
        environment=_flat(result.environment),
        config=config.read_text(errors="replace") if config.is_file() else None,
    )


def recall_rows(result: EvaluationResult) -> dict[Stage, list[dict[str, Any]]]:
    """Per stage a cell for each K: ``value`` (NaN where no query counts), ``interval`` and ``hits``."""
    rows: dict[Stage, list[dict[str, Any]]] = {}
    for stage in result.stages:
        recall = result.recall(stage)
        intervals = recall_intervals(recall)
        rows[stage] = [
            {"k": k, "value": recall.values[k], "interval": intervals[k], "hits": recall.hits[k]}
            for k in result.recall_values
        ]
    return rows


def _change(result: EvaluationResult, k: int) -> Any:
    return change(counted_ranks(result, "global"), counted_ranks(result, "reranked"), k)


def _verdict(result: EvaluationResult) -> str:
    if not result.two_stage:
        return "This model has a single stage: what is retrieved is the answer."
    k = result.recall_values[0]
    return verdict(_change(result, k), "Re-ranking", "retrieval", k, len(counted_ranks(result, "global")))


def _published(result: EvaluationResult, model: Extractor | None) -> dict[Stage, PublishedRecall]:
    """What the authors published for this model, image size and protocol of the catalogue."""
    protocol = result.subject.protocol
    if "@" not in protocol or not isinstance(model, PlaceModel):
        return {}
    found = published(result.subject.model, model.card.preprocessing.image_size, protocol)
    return {stage: row for stage, row in found.items() if stage in result.stages}


def _charts(result: EvaluationResult) -> list[dict[str, Any]]:
    """Title, what to know, and the SVG of each chart that there is anything to draw for."""
    curves = [recall_curve(result, stage, STAGE_NAMES[stage], i) for i, stage in enumerate(result.stages)]
    charts = [
        ("Recall over K", "", line_chart(curves, xlabel="K", ylabel="recall, %", logarithmic=True)),
    ]
    reranked = result.measures.get("reranked")
    if reranked and len(reranked.by_candidates) > 1:
        by_candidates = [
            Curve(
                f"R@{k}",
                [(n, 100 * v[k]) for n, v in sorted(reranked.by_candidates.items()) if v.get(k) is not None],  # type: ignore[operator]
                colour,
            )
            for colour, k in enumerate(result.recall_values[:3], 1)
        ]
        words = "0 is retrieval alone. Every candidate costs the same time, so this is what more of them buy."
        drawn = line_chart(by_candidates, xlabel="re-ranked candidates", ylabel="recall, %", logarithmic=True)
        charts.append(("Recall over candidates", words, drawn))
    measures = result.measures.get(final_stage(result))
    if measures:
        telling = [
            Curve(CONFIDENCE_NAMES[kind], [(100 * r, 100 * p) for r, p in found.curve], i)
            for i, (kind, found) in enumerate(measures.confidence.items(), 3)
            if found.area is not None
        ]
        words = (
            "Answers are kept above a confidence. Recall here is the share of the right answers that are kept, "
            "precision the share of right ones among those kept."
        )
        drawn = line_chart(telling, xlabel="right answers kept, %", ylabel="precision, %", from_zero=True)
        charts.append(("Precision of answers that are kept", words, drawn))
    return [{"title": title, "words": words, "svg": svg} for title, words, svg in charts if svg]


def _data(
    result: EvaluationResult, listed: Sequence[ListedQuery], details: Mapping[int, Document], album: Album
) -> dict[str, Any]:
    """What the page's script makes the list of queries from."""
    numbers = {query: i for i, query in enumerate(details)}
    conditions = {name: i for i, name in enumerate(result.conditions)}
    rows = []
    for entry in listed:
        query = entry.query
        final_top = query.reranked_top if result.two_stage else query.global_top
        rows.append(
            [
                printable(query.name),
                OUTCOMES.index(entry.outcome),
                query.global_rank,
                query.reranked_rank,
                None if entry.confidence is None else float(f"{entry.confidence:.4g}"),
                None if final_top is None else printable(final_top),
                [conditions[name] for name in query.conditions if name in conditions],
                numbers.get(entry.number),
                None if query.skipped is None else printable(query.skipped),
                query.num_positives,
            ]
        )
    return {
        "two_stage": result.two_stage,
        "outcomes": OUTCOMES,
        "stages": STAGE_NAMES,
        "conditions": [printable(name) for name in result.conditions],
        "rows": rows,
        "details": [_named(document) for document in details.values()],
        "photos": album.uris,
    }


def _named(details: Document) -> Document:
    """With names as they can be shown."""
    stages = [
        {**stage, "top": [{**answer, "name": printable(answer["name"])} for answer in stage["top"]]}
        for stage in details["stages"]
    ]
    return {**details, "stages": stages}


def _flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """(dotted key, text) of nested values, of which nothing is left out."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found.extend(_flat(value, f"{prefix}{key}."))
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            found.append((f"{prefix}{key}", text))
    return found
