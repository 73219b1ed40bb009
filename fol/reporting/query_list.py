"""Every query of an evaluation as the page lists it: what came of it, how sure it was, what to look at first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from fol.data import PlaceDataset
from fol.evaluation import EvaluationResult, QueryResult, confidences
from fol.evaluation.confidence import Confidence
from fol.evaluation.journal import QueryRanking
from fol.evaluation.result import Stage

Outcome = Literal["lost", "gained", "wrong", "right", "no positives", "skipped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
#: How kinds of confidence are called.
CONFIDENCE_NAMES = {"best_score": "best score", "score_ratio": "score ratio", "num_matches": "number of matches"}
#: Of the pictured queries, the share that each outcome may take before the others had theirs.
_SHARES: dict[Outcome, float] = {"lost": 0.3, "gained": 0.3, "wrong": 0.3, "right": 0.1}


@dataclass(frozen=True)
class ListedQuery:
    """A query by ``number`` in the data set; ``confidence`` is None where there is no answer."""

    number: int
    query: QueryResult
    outcome: Outcome
    confidence: float | None

    @property
    def badness(self) -> tuple[int, float]:
        """Sorts confident wrong answers first, then right ones that were least sure, then what cannot be hit."""
        sure = -math.inf if self.confidence is None else self.confidence
        if self.outcome in ("lost", "wrong"):
            return 0, -sure
        return (1, sure) if self.outcome in ("gained", "right") else (2, -sure)


def outcome_of(query: QueryResult, two_stage: bool) -> Outcome:
    """What came of a query at K=1; gained and lost are between the stages."""
    if query.skipped is not None:
        return "skipped"
    if not query.num_positives:
        return "no positives"
    before = query.global_rank == 1
    after = query.reranked_rank == 1 if two_stage else before
    if before != after:
        return "gained" if after else "lost"
    return "right" if after else "wrong"


def final_stage(result: EvaluationResult) -> Stage:
    """The stage whose answers count in the end."""
    return result.stages[-1]


def telling_confidence(result: EvaluationResult) -> Confidence:
    """The kind of confidence that told right from wrong best in the final stage."""
    measures = result.measures.get(final_stage(result))
    areas = {kind: found.area or 0.0 for kind, found in measures.confidence.items()} if measures else {}
    return cast(Confidence, max(areas, key=lambda kind: areas[kind])) if areas else "best_score"


def listed_queries(
    result: EvaluationResult, dataset: PlaceDataset, rankings: Sequence[QueryRanking]
) -> list[ListedQuery]:
    """All queries, the worst first; ``rankings`` follow the data set's queries."""
    sure = confidences(rankings, telling_confidence(result), final_stage(result), dataset.ignored)
    found = [
        ListedQuery(i, query, outcome_of(query, result.two_stage), float(value) if math.isfinite(value) else None)
        for i, (query, value) in enumerate(zip(result.queries, sure.tolist(), strict=True))
    ]
    return sorted(found, key=lambda listed: (listed.badness, listed.number))


def to_picture(listed: Sequence[ListedQuery], number: int) -> list[ListedQuery]:
    """The ``number`` queries to look at first: lost, gained, confidently wrong, and some right ones for comparison."""
    chosen: list[ListedQuery] = []
    rest: list[ListedQuery] = []
    for outcome, part in _SHARES.items():
        own = [query for query in listed if query.outcome == outcome]
        room = math.ceil(part * number)
        chosen.extend(own[:room])
        rest.extend(own[room:])
    return [*chosen, *rest][:number]
