"""First pass: every query answered, journalled; then the scores and the files of the result."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from fol.data import PlaceDataset, WithoutPositives, printable
from fol.data.correspondences import TrueGeometry, geometry_digest, true_geometry
from fol.errors import ConfigError, DataError
from fol.evaluation.answers import Answers, ProgressOf, Task, no_progress, subject_of
from fol.evaluation.cached_answers import CachedAnswers, CachedModel
from fol.evaluation.environment import code_digest, environment, peak_memory
from fol.evaluation.journal import Journal, QueryRanking, writing
from fol.evaluation.map_answers import MapAnswers
from fol.evaluation.match_accuracy import MATCH_RADIUS, MatchJudge
from fol.evaluation.measures import measure_stage
from fol.evaluation.processes import Processes
from fol.evaluation.report import RANKINGS, read_result, write_result
from fol.evaluation.result import EvaluationResult, Stage, Subject
from fol.evaluation.scoring import no_ground_truth, score_queries, stage_seconds
from fol.files import LOCK, remove_leftovers, writer_lock
from fol.localizer import Localizer

_SHARE = "process-{}"  # folder in ``out`` of each further process


def evaluate(
    subject: Localizer | CachedModel,
    dataset: PlaceDataset,
    *,
    out: Path,
    recall_values: Sequence[int] = (1, 5, 10, 20, 100),
    candidates: int = 100,
    batch_size: int = 8,
    workers: int = 0,
    without_positives: WithoutPositives | None = None,
    geometry: TrueGeometry | None = None,
    match_radius: float = MATCH_RADIUS,
    config: Mapping[str, object] | None = None,
    progress_of: ProgressOf = no_progress,
    say: Callable[[str], None] = lambda _: None,
) -> EvaluationResult:
    """Recall of both stages on a data set, and the files of the result in the folder ``out``.

    ``subject``: a ``CachedModel``, whose features are extracted once for any number of evaluations and searched
    exactly; or a ``Localizer``, whose map is measured as it serves. The best ``candidates`` places are re-ranked; below
    them the order of retrieval stays, so recall at a K beyond ``candidates`` is that of retrieval. A query whose photo
    cannot be used counts as a miss and is listed. ``without_positives`` overrules the data set's protocol. Written to
    ``out``: ``results.json``, ``queries.csv``, ``config.yaml`` (``config``, else the options of this call) and
    ``rankings.jsonl``.

    Where the true geometry is known (``geometry``; None reads it of synthetic cities) and there are local features,
    the matches of every query with its closest true view are judged: right within ``match_radius`` pixels.

    A run that was killed goes on where it stopped when it is started again with the same model, photos, candidates and
    options, and gives the same numbers; with others it starts fresh. Processes that torchrun started share the work and
    all return the same result.

    Raises ``ConfigError`` (options), ``DataError`` (no ground truth, no queries, ``out`` cannot be written or another
    evaluation is writing there) and ``MapError`` (the map is not of this data set).
    """
    ks = _checked_recall_values(recall_values)
    rule = dataset.without_positives if without_positives is None else without_positives
    _check(dataset, candidates, rule)
    if not 0 < match_radius < float("inf"):
        raise ConfigError(f"match_radius={match_radius}: it must be a number of pixels above 0")
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: it must be at least 1")
    judge = _judge(subject, dataset, geometry, match_radius)
    task = Task(dataset, max(ks), candidates, batch_size, workers, judge, progress_of, say)
    processes = Processes.join()
    answers: Answers
    if isinstance(subject, Localizer):
        if processes.count > 1:
            raise ConfigError("a map is evaluated by one process: leave map= out, or torchrun")
        answers = MapAnswers(subject, task)
    else:
        answers = CachedAnswers(subject, task, processes)
    about = subject_of(answers, dataset, candidates)
    key = _key(answers, task, about)
    if config is None:
        options = {"recall_values": ks, "candidates": candidates, "batch_size": batch_size, "workers": workers}
        config = {**options, "method": about.method, "rerank": about.options}
    folder = out if processes.rank == 0 else out / _SHARE.format(processes.rank)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with writer_lock(folder), Journal(folder, key) as journal:
        name = journal.path.name
        with writing(folder):
            remove_leftovers(folder)
        not_in_map = _answer(answers, task, journal, processes, out)
        if processes.rank == 0:
            journal.add_all(_answered(out, journal))
            ordered = [journal.rankings[query.name] for query in dataset.queries]
            stages: tuple[Stage, ...] = ("global", "reranked") if answers.two_stage else ("global",)
            measures = {stage: measure_stage(dataset, ordered, stage, ks, rule) for stage in stages}
            result = EvaluationResult(
                subject=about,
                recall_values=ks,
                without_positives=rule,
                two_stage=answers.two_stage,
                queries=score_queries(dataset, journal.rankings),
                not_in_map=not_in_map,
                seconds=stage_seconds(journal.rankings),
                measures=measures,
                bytes_per_image=answers.bytes_per_image(),
                peak_memory=journal.peak_memory,
                environment=environment(answers.model.device),
                resumed_from=journal.resumed_from,
                match_radius=None if judge is None else judge.radius,
            )
            write_result(result, out, config)
            journal.finish(out / RANKINGS)
            for share in out.glob(_SHARE.format("*")):
                (share / name).unlink(missing_ok=True)
                if not any(file.name != LOCK for file in share.iterdir()):
                    shutil.rmtree(share)
        processes.wait()
    return result if processes.rank == 0 else read_result(out)


def _answer(answers: Answers, task: Task, journal: Journal, processes: Processes, out: Path) -> tuple[str, ...]:
    """Answer this process's share of what is not in any journal; names of database images that are never found."""
    dataset, device = task.dataset, answers.model.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    processes.wait()  # all journals are open
    done = journal.rankings | _answered(out, journal)
    processes.wait()  # nobody has added anything yet
    todo = [number for number, query in enumerate(dataset.queries) if query.name not in done]
    not_in_map = answers.prepare(todo)
    own = processes.share(todo)
    with task.progress_of("locating queries") as progress:
        finished = len(dataset.queries) - len(todo)
        if progress:
            progress(finished, len(dataset.queries))
        for rankings in answers.rankings(own):
            journal.append(rankings, peak_memory(device))
            finished += len(rankings) * processes.count
            if progress:
                progress(min(finished, len(dataset.queries)), len(dataset.queries))
    processes.wait()
    return not_in_map


def _answered(out: Path, journal: Journal) -> dict[str, QueryRanking]:
    """What all processes have answered of the same evaluation, now or before a kill."""
    found: dict[str, QueryRanking] = {}
    for folder in [out, *sorted(out.glob(_SHARE.format("*")))]:
        found |= journal.same_in(folder)
    return found


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


def _checked_recall_values(recall_values: Sequence[int]) -> tuple[int, ...]:
    ks = tuple(sorted(set(recall_values)))
    if not ks or any(isinstance(k, bool) or not isinstance(k, int) or k < 1 for k in ks):
        raise ConfigError(f"recall_values={list(recall_values)}: give whole numbers of at least 1, such as [1,5,10]")
    return ks


def _judge(
    subject: Localizer | CachedModel, dataset: PlaceDataset, geometry: TrueGeometry | None, radius: float
) -> MatchJudge | None:
    if isinstance(subject, Localizer):
        has_local, method = subject.place_map.has_local_features, subject.method
    else:
        has_local, method = subject.model.local_dim > 0, subject.stage_two
    geometry = (geometry or true_geometry(dataset)) if has_local else None
    return None if geometry is None else MatchJudge(dataset, geometry, radius, method, subject.options)


def _key(answers: Answers, task: Task, about: Subject) -> dict[str, Any]:
    """All that the rankings depend on; ground truth is applied afterwards, except to judge single matches."""
    dataset, judge, rules = task.dataset, task.judge, task.dataset.rules
    positives = _digest([p.tolist() for p in dataset.positives or ()])
    groups = [[] if g is None else g.tolist() for g in (rules.database_groups, rules.query_groups)]
    return {
        "model": about.fingerprint,
        "preset": about.preset,
        "device": answers.model.device.type,
        **answers.key(),
        "dataset": _digest(_identities(dataset)),
        "groups": _digest(groups),
        "query_short_side": rules.query_short_side,
        "candidates": task.candidates,
        "depth": task.depth * rules.most_per_one,
        "method": about.method,
        "options": dict(about.options),
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
