"""What an evaluation found out, as frozen objects; everything else (tables, files, pages) is made from these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from fol.data import WithoutPositives
from fol.evaluation.match_accuracy import MatchCount, mean_share
from fol.evaluation.recall import RULES, Recall, gained_and_lost, recall_from_ranks
from fol.evaluation.stage_measures import StageMeasures

#: The two lists that every query gets: as retrieved, and after re-ranking.
Stage = Literal["global", "reranked"]


@dataclass(frozen=True)
class QueryResult:
    """One query under both stages.

    ``global_rank``, ``reranked_rank``: rank of the first positive (1 is best), None for a miss. ``*_top``: name of
    the best place and ``*_score`` its score (cosine similarity; final score) with ``num_matches``; entries that the
    ground truth ignores are passed over. ``skipped``: why the photo could not be used, else None. ``true_matches``:
    right and wrong matches with the closest true view (None without geometry). ``conditions``: see
    ``fol.evaluation.conditions``.
    """

    name: str
    num_positives: int
    global_rank: int | None = None
    reranked_rank: int | None = None
    global_top: str | None = None
    global_score: float | None = None
    reranked_top: str | None = None
    reranked_score: float | None = None
    num_matches: int | None = None
    skipped: str | None = None
    true_matches: MatchCount | None = None
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageSeconds:
    """Time of one stage over all queries: ``total`` and ``median`` per query, in seconds."""

    total: float
    median: float


@dataclass(frozen=True)
class Subject:
    """What was evaluated on what: the part of a result that must agree before two numbers may be compared."""

    model: str
    fingerprint: str
    preset: str
    method: str
    options: Mapping[str, object]
    dataset: str
    dataset_summary: str
    protocol: str
    num_database: int
    candidates: int


@dataclass(frozen=True)
class EvaluationResult:
    """Both stages of one model on one data set under one named protocol.

    ``queries`` in the data set's order hold what the recalls are computed from. ``not_in_map``: database images that
    could not be indexed; their places stay positives, so they count against. ``seconds`` per stage, ``peak_memory``
    in bytes per kind, ``resumed_from`` how many queries an interrupted run had already answered. ``match_radius``:
    pixels within which a match was called right, None where the data set does not know its geometry. ``measures``:
    what is known of each stage beside its recall. ``bytes_per_image``: disk that a database image takes, per stage.
    """

    subject: Subject
    recall_values: tuple[int, ...]
    without_positives: WithoutPositives
    two_stage: bool
    queries: tuple[QueryResult, ...]
    not_in_map: tuple[str, ...] = ()
    seconds: Mapping[str, StageSeconds] = field(default_factory=dict)
    peak_memory: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    resumed_from: int = 0
    match_radius: float | None = None
    measures: Mapping[Stage, StageMeasures] = field(default_factory=dict)
    bytes_per_image: Mapping[str, float] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """The rule for queries without positives, in words."""
        return RULES[self.without_positives]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that this model has."""
        return ("global", "reranked") if self.two_stage else ("global",)

    @property
    def num_without_positives(self) -> int:
        """Queries that cannot be hit."""
        return sum(query.num_positives == 0 for query in self.queries)

    @property
    def gained(self) -> tuple[str, ...]:
        """Queries whose best place is right only after re-ranking."""
        return self._names(self._changes()[0])

    @property
    def lost(self) -> tuple[str, ...]:
        """Queries whose best place is right only before re-ranking."""
        return self._names(self._changes()[1])

    @property
    def skipped(self) -> tuple[QueryResult, ...]:
        """Queries whose photo could not be used; each counts as a miss."""
        return tuple(query for query in self.queries if query.skipped is not None)

    @property
    def match_accuracy(self) -> float | None:
        """Mean over the queries of the share of right matches, in [0, 1]; None where nothing can be judged."""
        return mean_share([query.true_matches for query in self.queries])

    @property
    def conditions(self) -> tuple[str, ...]:
        """All conditions of the queries, sorted; none where there is only one."""
        found = sorted({condition for query in self.queries for condition in query.conditions})
        return tuple(found) if len(found) > 1 else ()

    def under_condition(self, condition: str) -> EvaluationResult:
        """The result of the queries in one condition alone."""
        return replace(
            self, queries=tuple(query for query in self.queries if condition in query.conditions), measures={}
        )

    def recall(self, stage: Stage) -> Recall:
        """Recall of one stage; its ``under`` gives the other rule's numbers. ``ValueError`` for a stage it lacks."""
        if stage not in self.stages:
            raise ValueError(f"{self.subject.model} has no stage {stage!r}, only {', '.join(self.stages)}")
        return recall_from_ranks(
            self.ranks(stage), self.num_without_positives, self.recall_values, self.without_positives
        )

    def ranks(self, stage: Stage) -> tuple[int | None, ...]:
        """Per query the rank of its first positive in one stage."""
        return tuple(query.global_rank if stage == "global" else query.reranked_rank for query in self.queries)

    def _changes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if not self.two_stage:
            return (), ()
        return gained_and_lost(self.ranks("global"), self.ranks("reranked"))

    def _names(self, positions: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.queries[position].name for position in positions)


def percent(value: float) -> str:
    """A recall as tables print it: one decimal, ``-`` when no query counts."""
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
