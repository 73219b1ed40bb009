"""Answers out of a map, by the code that serves answers."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from fol.data import printable
from fol.errors import ConfigError
from fol.evaluation.answers import Task, query_ranking
from fol.evaluation.database import DatabaseIndex, match_database
from fol.evaluation.journal import QueryRanking
from fol.evaluation.match_accuracy import MatchCount
from fol.extraction import extract_places
from fol.localizer import Localizer
from fol.reranking import Method, RerankOptions
from fol.types import Extractor, Features


class MapAnswers:
    """See ``Answers``. Raises ``MapError`` when the map is not of this data set, ``ConfigError`` when the protocol
    searches parts of the database, which a map does not know."""

    def __init__(self, localizer: Localizer, task: Task) -> None:
        if task.dataset.rules.database_groups is not None:
            raise ConfigError(
                f"{task.dataset.protocol} searches each part of the database for itself, which a map cannot: "
                f"evaluate without map={printable(localizer.place_map.path)}"
            )
        self.localizer, self.task = localizer, task
        self.database: DatabaseIndex = match_database(localizer.place_map, task.dataset)
        self._place_ids = {index: place_id for place_id, index in self.database.index.items()}

    @property
    def model(self) -> Extractor:
        """See ``Answers``."""
        return self.localizer.model

    @property
    def method(self) -> Method:
        """See ``Answers``."""
        return self.localizer.method

    @property
    def options(self) -> RerankOptions | None:
        """See ``Answers``."""
        return self.localizer.options

    @property
    def two_stage(self) -> bool:
        """See ``Answers``."""
        return self.localizer.place_map.has_local_features

    def key(self) -> Mapping[str, Any]:
        """See ``Answers``."""
        manifest = self.localizer.place_map.manifest
        parts: list[Any] = [manifest.index, *manifest.files.values(), *manifest.index_files]
        content = json.dumps([asdict(part) for part in parts], sort_keys=True)
        return {"map": hashlib.sha256(content.encode()).hexdigest()}

    def prepare(self, queries: Sequence[int]) -> tuple[str, ...]:
        """See ``Answers``."""
        return self.database.not_in_map

    def bytes_per_image(self) -> Mapping[str, float]:
        """See ``Answers``."""
        return self.localizer.place_map.bytes_per_image()

    def rankings(self, queries: Sequence[int]) -> Iterator[list[QueryRanking]]:
        """See ``Answers``."""
        task = self.task
        places = [task.dataset.queries[number] for number in queries]
        started = time.perf_counter()
        for batch in extract_places(
            self.model,
            places,
            batch_size=task.batch_size,
            workers=task.workers,
            short_side=task.dataset.rules.query_short_side,
        ):
            extract = (time.perf_counter() - started) / (batch.stop - batch.start)
            rankings = [QueryRanking(skipped.name, skipped=skipped.reason) for skipped in batch.skipped]
            for position, features in batch.features:
                rankings.append(self._rank(queries[position], features, extract))
            yield rankings
            started = time.perf_counter()

    def _rank(self, query: int, features: Features, extract: float) -> QueryRanking:
        """Both stages' lists, as long as needed as far as the map has places."""
        stage = self.localizer.rank(features, self.task.candidates)
        retrieved, similarities = stage.candidates.ids, stage.candidates.similarities
        place_map = self.localizer.place_map
        length = min(self.task.length_for(query), len(place_map))
        if len(retrieved) < length:
            # Recall beyond the re-ranked candidates: the rest of the retrieval's list, which re-ranking leaves alone.
            longer = place_map.search(features.descriptor, length)
            rest = ~np.isin(longer.ids, retrieved)
            retrieved = np.concatenate([retrieved, longer.ids[rest]])
            similarities = np.concatenate([similarities, longer.similarities[rest]])
        index = self.database.index
        return query_ranking(
            self.task.dataset.queries[query].name,
            [index[i] for i in retrieved.tolist()],
            similarities,
            stage.ranking,
            [] if stage.ranking is None else [index[i] for i in stage.ranking.ids.tolist()],
            two_stage=self.two_stage,
            seconds={"extract": extract, **stage.seconds},
            true_matches=self._judged(query, features),
        )

    def _judged(self, query: int, features: Features) -> MatchCount | None:
        judge = self.task.judge
        view = None if judge is None else judge.closest_view(query, self._place_ids)
        if judge is None or view is None:
            return None
        other = self.localizer.place_map.local_features([self._place_ids[view]])
        return judge(query, features.local, view, other)
