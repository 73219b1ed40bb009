"""Answers from features that are extracted once and kept: exact search, and local features of candidates alone."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fol.data import printable
from fol.evaluation.answers import Task, query_ranking
from fol.evaluation.journal import QueryRanking
from fol.evaluation.match_accuracy import MatchCount
from fol.evaluation.processes import Processes
from fol.reranking import Method, RerankOptions, default_method
from fol.retrieval import rerank_found
from fol.retrieval.exact_search import exact_search
from fol.retrieval.feature_cache import Demand, FeatureCache, check_room, fill, free_bytes, gigabytes, photo_keys
from fol.retrieval.index.choice import half_of_memory
from fol.types import Candidates, Extractor, LocalFeatures, LocalFeaturesBatch

_SHOWN = 20  # photos that are named when they cannot be used


@dataclass(frozen=True)
class CachedModel:
    """A model with the folder that its features are kept in: the other thing, beside a ``Localizer``, to evaluate.

    ``method`` and ``options`` are those of ``fol.rerank``; the method defaults to the model's preset. ``max_ram`` and
    ``max_disk`` in bytes: what searching may take beside mapped files (None: half of the memory), and what the cache
    of this model may take (None: nine tenths of what is free).
    """

    model: Extractor
    cache: Path
    method: Method | None = None
    options: RerankOptions | None = None
    max_ram: int | None = None
    max_disk: int | None = None

    @property
    def stage_two(self) -> Method:
        """The method, or the default of the model's preset."""
        return self.method or default_method(self.model.preset)


class CachedAnswers:
    """See ``Answers``."""

    def __init__(self, subject: CachedModel, task: Task, processes: Processes) -> None:
        self.subject, self.task, self.processes = subject, task, processes
        dataset = task.dataset
        self.cache = FeatureCache(subject.cache, subject.model)
        self._database = photo_keys(dataset.database)
        self._queries = photo_keys(dataset.queries, short_side=dataset.rules.query_short_side)
        self._reasons: Mapping[str, str] = {}  # why queries cannot be used
        self._found: dict[int, Candidates] = {}
        self._views: dict[int, int] = {}  # query -> closest true view, where matches are judged
        self._extract_seconds = self._search_seconds = 0.0

    @property
    def model(self) -> Extractor:
        """See ``Answers``."""
        return self.subject.model

    @property
    def method(self) -> Method:
        """See ``Answers``."""
        return self.subject.stage_two

    @property
    def options(self) -> RerankOptions | None:
        """See ``Answers``."""
        return self.subject.options

    @property
    def two_stage(self) -> bool:
        """See ``Answers``."""
        return self.model.local_dim > 0

    def key(self) -> Mapping[str, Any]:
        """See ``Answers``."""
        keys = self._database.tobytes() + b"|" + self._queries.tobytes()
        return {"photos": hashlib.sha256(keys).hexdigest()}

    def demand(self, queries: Sequence[int]) -> Demand:
        """What answering ``queries`` adds to the cache."""
        asked = self._queries[np.asarray(queries, np.int64)]
        keys = np.unique(np.concatenate([self._database, asked]))
        return Demand.of(
            self.cache,
            descriptors=int((~self.cache.has_descriptors(keys)).sum()),
            local=int((~self.cache.has_local(keys)).sum()) if self.two_stage else 0,
            database=len(self._database),
            queries=len(asked),
            candidates=self.task.candidates,
        )

    def prepare(self, queries: Sequence[int]) -> tuple[str, ...]:
        """See ``Answers``: extract what the cache lacks, search, and extract what only candidates need."""
        dataset = self.task.dataset
        demand = self.demand(queries)
        self.task.say(f"features in {self.cache.folder}: {demand}; {gigabytes(free_bytes(self.cache.folder))} are free")
        everything = check_room(self.cache, demand, self.subject.max_disk)
        local = self.two_stage and everything
        every = range(len(dataset.database))
        skipped = self._extract("extracting the database", "database", every, local)
        for name, reason in islice(skipped.items(), _SHOWN):
            self.task.say(f"skipped database image {printable(name)}: {reason}")
        if len(skipped) > _SHOWN:
            self.task.say(f"... and {len(skipped) - _SHOWN} more: `fol data verify` finds out before")
        self._reasons = self._extract("extracting the queries", "queries", queries, local)
        self._search(queries)
        self._extract_seconds = self.cache.seconds_per_photo() or 0.0
        if self.two_stage:
            self._choose_views(queries)
            if not everything:
                numbers = [found.ids[: self.task.candidates] for found in self._found.values()]
                views = np.array(sorted(set(self._views.values())), np.int64)
                union = np.unique(np.concatenate([views, *numbers])).tolist()
                self._extract("extracting the candidates", "database", union, True)
                self._extract("extracting the queries again", "queries", list(self._found), True)
        # Not by the names of those skipped: a broken file that has two names was looked at once.
        lost = np.flatnonzero(~self.cache.has_descriptors(self._database))
        return tuple(dataset.database[number].name for number in lost.tolist())

    def bytes_per_image(self) -> Mapping[str, float]:
        """See ``Answers``."""
        return self.cache.bytes_per_image()

    def rankings(self, queries: Sequence[int]) -> Iterator[list[QueryRanking]]:
        """See ``Answers``."""
        for start in range(0, len(queries), self.task.batch_size):
            yield [self._rank(number) for number in queries[start : start + self.task.batch_size]]

    def _extract(self, work: str, side: str, numbers: Sequence[int], local: bool) -> Mapping[str, str]:
        """Extract this process's share and wait for the others; name -> reason of photos that cannot be used."""
        dataset = self.task.dataset
        places = dataset.database if side == "database" else dataset.queries
        keys = self._database if side == "database" else self._queries
        short_side = None if side == "database" else dataset.rules.query_short_side

        def work_on(own: Sequence[int], title: str) -> Mapping[str, str]:
            with self.task.progress_of(title) as progress:
                return fill(
                    self.cache,
                    self.model,
                    [places[i] for i in own],
                    keys[np.asarray(own, np.int64)],
                    local=local,
                    batch_size=self.task.batch_size,
                    workers=self.task.workers,
                    short_side=short_side,
                    progress=progress,
                )

        skipped = work_on(self.processes.share(numbers), work)
        if self.processes.count > 1:
            self.processes.wait()
            self.cache.reload()
            skipped = work_on(numbers, f"{work}: the rest")  # what others could not use
        return skipped

    def _search(self, queries: Sequence[int]) -> None:
        """Candidates of every query, as many as the longest list needs."""
        rules = self.task.dataset.rules
        database, asked = self.cache.descriptors(self._database), self.cache.descriptors(self._queries)
        asked = asked.among(np.asarray(queries, np.int64))
        length = max(self.task.list_length, self.task.candidates)
        started = time.perf_counter()
        with self.task.progress_of("searching") as progress:
            for members, askers in rules.groups(len(self._database), len(self._queries)):
                own = asked.among(askers)
                found, similarity = exact_search(
                    own,
                    database.among(members),
                    length,
                    max_ram=self.subject.max_ram or half_of_memory(),
                    device=self.model.device,
                    progress=progress,
                )
                self._found.update(
                    (query, Candidates(ids, values))
                    for query, ids, values in zip(own.ids.tolist(), found, similarity, strict=True)
                )
        self._search_seconds = (time.perf_counter() - started) / max(1, len(asked))

    def _choose_views(self, queries: Sequence[int]) -> None:
        judge = self.task.judge
        if judge is None:
            return
        known = set(np.flatnonzero(self.cache.has_descriptors(self._database)).tolist())
        for query in queries:
            view = judge.closest_view(query, known)
            if view is not None and query in self._found:
                self._views[query] = view

    def _rank(self, query: int) -> QueryRanking:
        name = self.task.dataset.queries[query].name
        if query not in self._found:
            return QueryRanking(name, skipped=self._reasons.get(name, "it has no features"))
        found = self._found[query]
        seconds = {"extract": self._extract_seconds, "retrieve": self._search_seconds}
        ranking, judged = None, None
        if self.two_stage:
            (local,) = self.cache.local_features(self._queries[[query]])
            best = Candidates(found.ids[: self.task.candidates], found.similarities[: self.task.candidates])
            ranking, more = rerank_found(self._read_local, local, best, self.method, self.options, self.model.device)
            seconds |= more
            judged = self._judged(query, local)
        return query_ranking(
            name,
            found.ids.tolist(),
            found.similarities,
            ranking,
            [] if ranking is None else ranking.ids.tolist(),
            two_stage=self.two_stage,
            seconds=seconds,
            true_matches=judged,
        )

    def _read_local(self, numbers: NDArray[np.int64]) -> LocalFeaturesBatch:
        return self.cache.local_features(self._database[numbers])

    def _judged(self, query: int, local: LocalFeatures) -> MatchCount | None:
        judge = self.task.judge
        if judge is None or query not in self._views:
            return None
        view = self._views[query]
        return judge(query, local, view, self.cache.local_features(self._database[[view]]))
