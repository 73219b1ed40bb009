"""First pass: every query through the localizer, journalled; then the scores and the files of the result."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from fol.data import PlaceDataset, printable
from fol.data.correspondences import TrueGeometry, geometry_digest, true_geometry
from fol.errors import ConfigError, DataError
from fol.evaluation.database import DatabaseIndex, match_database
from fol.evaluation.environment import code_digest, environment, peak_memory
from fol.evaluation.journal import Journal, QueryRanking, writing
from fol.evaluation.match_accuracy import MATCH_RADIUS, MatchJudge
from fol.evaluation.recall import WithoutPositives
from fol.evaluation.report import RANKINGS, write_result
from fol.evaluation.result import EvaluationResult, Subject
from fol.evaluation.scoring import no_ground_truth, score_queries, stage_seconds
from fol.extraction import extract_places
from fol.files import remove_leftovers, writer_lock
from fol.localizer import Localizer
from fol.reranking import RerankOptions
from fol.types import Features, ProgressCallback


def evaluate(
    localizer: Localizer,
    dataset: PlaceDataset,
    *,
    out: Path,
    recall_values: Sequence[int] = (1, 5, 10, 20, 100),
    candidates: int = 100,
    batch_size: int = 8,
    workers: int = 0,
    without_positives: WithoutPositives = "count_as_miss",
    geometry: TrueGeometry | None = None,
    match_radius: float = MATCH_RADIUS,
    config: Mapping[str, object] | None = None,
    progress: ProgressCallback | None = None,
) -> EvaluationResult:
    """Recall of both stages on a data set, and the files of the result in the folder ``out``.

    Every query goes through ``localizer.rank``, the code that serves answers. The best ``candidates`` places are
    re-ranked; below them the order of retrieval stays, so recall at a K beyond ``candidates`` is that of retrieval. A
    query whose photo cannot be used counts as a miss and is listed. Written to ``out``: ``results.json``,
    ``queries.csv``, ``config.yaml`` (``config``, else the options of this call) and ``rankings.jsonl``.

    Where the true geometry is known (``geometry``; None reads it of synthetic cities) and the map has local features,
    the matches of every query with its closest true view are judged: right within ``match_radius`` pixels.

    A run that was killed goes on where it stopped when it is started again with the same model, map, data set,
    candidates and options, and gives the same numbers; with others it starts fresh.

    Raises ``ConfigError`` (options), ``DataError`` (no ground truth, no queries, ``out`` cannot be written or another
    evaluation is writing there) and ``MapError`` (the map is not of this data set).
    """
    ks = _checked_recall_values(recall_values)
    _check(dataset, candidates, without_positives)
    if not 0 < match_radius < float("inf"):
        raise ConfigError(f"match_radius={match_radius}: it must be a number of pixels above 0")
    database = match_database(localizer.place_map, dataset)
    judge = _judge(localizer, dataset, database, geometry, match_radius)
    subject = _subject(localizer, dataset, candidates)
    if config is None:
        options = {"recall_values": ks, "candidates": candidates, "batch_size": batch_size, "workers": workers}
        config = {**options, "method": subject.method, "rerank": subject.options}
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with writer_lock(out), Journal(out, _key(localizer, dataset, subject, max(ks), judge)) as journal:
        with writing(out):
            remove_leftovers(out)
        _rank_queries(localizer, dataset, database, journal, candidates, max(ks), batch_size, workers, judge, progress)
        result = EvaluationResult(
            subject=subject,
            recall_values=ks,
            without_positives=without_positives,
            two_stage=localizer.place_map.has_local_features,
            queries=score_queries(dataset, journal.rankings),
            not_in_map=database.not_in_map,
            seconds=stage_seconds(journal.rankings),
            peak_memory=journal.peak_memory,
            environment=environment(localizer.model.device),
            resumed_from=journal.resumed_from,
            match_radius=None if judge is None else judge.radius,
        )
        write_result(result, out, config)
        journal.finish(out / RANKINGS)
    return result


def _check(dataset: PlaceDataset, candidates: int, without_positives: WithoutPositives) -> None:
    if candidates < 1:
        raise ConfigError(f"candidates={candidates}: it must be at least 1")
    if without_positives not in get_args(WithoutPositives):
        choices = ", ".join(get_args(WithoutPositives))
        raise ConfigError(f"without_positives={without_positives!r} is unknown; choose one of: {choices}")
    if not dataset.queries:
        raise DataError(f"{printable(dataset.root)} has no queries to evaluate")
    if dataset.positives is None:
        raise no_ground_truth(dataset)
    if len({query.name for query in dataset.queries}) < len(dataset.queries):
        raise DataError(f"{printable(dataset.root)} has two queries of the same name: names tell results apart")


def _subject(localizer: Localizer, dataset: PlaceDataset, candidates: int) -> Subject:
    return Subject(
        model=localizer.model.name,
        fingerprint=localizer.model.fingerprint,
        preset=localizer.model.preset,
        method=localizer.method,
        options=asdict(localizer.options or RerankOptions()),
        dataset=dataset.name,
        dataset_summary=dataset.summary,
        protocol=dataset.protocol,
        num_database=len(dataset.database),
        candidates=candidates,
    )


def _rank_queries(
    localizer: Localizer,
    dataset: PlaceDataset,
    database: DatabaseIndex,
    journal: Journal,
    candidates: int,
    depth: int,
    batch_size: int,
    workers: int,
    judge: MatchJudge | None,
    progress: ProgressCallback | None,
) -> None:
    device = localizer.model.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    numbers = {query.name: number for number, query in enumerate(dataset.queries)}
    todo = [query for query in dataset.queries if query.name not in journal.rankings]
    if progress:
        progress(len(journal.rankings), len(dataset.queries))
    started = time.perf_counter()
    for batch in extract_places(localizer.model, todo, batch_size=batch_size, workers=workers):
        extract = (time.perf_counter() - started) / (batch.stop - batch.start)
        rankings = [QueryRanking(skipped.name, skipped=skipped.reason) for skipped in batch.skipped]
        for position, features in batch.features:
            name = todo[position].name
            needed = depth + len(dataset.ignored[numbers[name]])
            ranking = _rank(localizer, database, name, features, candidates, needed, extract)
            judged = None if judge is None else judge(numbers[name], features.local)
            rankings.append(replace(ranking, true_matches=judged))
        journal.append(rankings, peak_memory(device))
        if progress:
            progress(len(journal.rankings), len(dataset.queries))
        started = time.perf_counter()


def _rank(
    localizer: Localizer,
    database: DatabaseIndex,
    name: str,
    features: Features,
    candidates: int,
    depth: int,
    extract: float,
) -> QueryRanking:
    """Both stages' lists of at least ``depth`` places, as far as the map has them."""
    stage = localizer.rank(features, candidates)
    retrieved, similarities = stage.candidates.ids, stage.candidates.similarities
    place_map = localizer.place_map
    if len(retrieved) < min(depth, len(place_map)):
        # Recall beyond the re-ranked candidates: the rest of the retrieval's list, which re-ranking leaves alone.
        longer = place_map.search(features.descriptor, min(depth, len(place_map)))
        rest = ~np.isin(longer.ids, retrieved)
        retrieved = np.concatenate([retrieved, longer.ids[rest]])
        similarities = np.concatenate([similarities, longer.similarities[rest]])
    ids = [database.index[int(i)] for i in retrieved]
    ranking = stage.ranking
    reranked = None
    if ranking is not None:
        best = [database.index[int(i)] for i in ranking.ids.tolist()]
        ranked = set(best)
        reranked = (*best, *(i for i in ids if i not in ranked))
    return QueryRanking(
        name=name,
        retrieved=tuple(ids),
        similarities=tuple(float(s) for s in similarities),
        reranked=reranked,
        scores=() if ranking is None else tuple(map(float, ranking.scores.tolist())),
        num_matches=() if ranking is None else tuple(map(int, ranking.num_matches.tolist())),
        seconds={"extract": extract, **stage.seconds},
    )


def _checked_recall_values(recall_values: Sequence[int]) -> tuple[int, ...]:
    ks = tuple(sorted(set(recall_values)))
    if not ks or any(isinstance(k, bool) or not isinstance(k, int) or k < 1 for k in ks):
        raise ConfigError(f"recall_values={list(recall_values)}: give whole numbers of at least 1, such as [1,5,10]")
    return ks


def _judge(
    localizer: Localizer,
    dataset: PlaceDataset,
    database: DatabaseIndex,
    geometry: TrueGeometry | None,
    radius: float,
) -> MatchJudge | None:
    if not localizer.place_map.has_local_features:
        return None
    geometry = geometry or true_geometry(dataset)
    places = {position: place_id for place_id, position in database.index.items()}
    return None if geometry is None else MatchJudge(localizer, dataset, geometry, places, radius)


def _key(
    localizer: Localizer, dataset: PlaceDataset, subject: Subject, depth: int, judge: MatchJudge | None = None
) -> dict[str, Any]:
    """All that the rankings depend on; ground truth is applied afterwards, except to judge single matches."""
    manifest = localizer.place_map.manifest
    parts: list[Any] = [manifest.index, *manifest.files.values(), *manifest.index_files]
    positives = _digest([p.tolist() for p in dataset.positives or ()])
    return {
        "model": subject.fingerprint,
        "preset": subject.preset,
        "device": localizer.model.device.type,
        "map": _digest([asdict(part) for part in parts]),
        "dataset": _digest(_identities(dataset)),
        "candidates": subject.candidates,
        "depth": depth,
        "method": subject.method,
        "options": dict(subject.options),
        "judged": judge and [judge.radius, positives, geometry_digest(dataset)],
        "code": code_digest(),
    }


def _identities(dataset: PlaceDataset) -> Iterator[object]:
    yield dataset.name
    for place in dataset.database:
        yield place.name
    for query, ignored in zip(dataset.queries, dataset.ignored, strict=True):
        try:
            status = query.image.stat()
            file = [status.st_size, status.st_mtime_ns]
        except OSError:
            file = []
        yield [query.name, file, len(ignored)]


def _digest(items: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps(item, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
