"""What an evaluation asks of whatever answers the queries: a map, or a model with cached features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fol.data import PlaceDataset
from fol.evaluation.journal import QueryRanking
from fol.evaluation.match_accuracy import MatchCount, MatchJudge
from fol.evaluation.result import Subject
from fol.reranking import Method, RerankOptions
from fol.types import Extractor, ProgressCallback, Ranking

#: Shows the progress of a piece of work with this name.
ProgressOf = Callable[[str], AbstractContextManager[ProgressCallback | None]]


def no_progress(_: str) -> AbstractContextManager[None]:
    """Nothing is shown."""
    return nullcontext()


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be answered: ``depth`` places per query at least (recall is looked at that far), ``candidates`` of
    them re-ranked, ``batch_size`` queries at a time, photos decoded by ``workers`` processes. ``say`` takes lines for
    the user."""

    dataset: PlaceDataset
    depth: int
    candidates: int
    batch_size: int
    workers: int
    judge: MatchJudge | None
    progress_of: ProgressOf = no_progress
    say: Callable[[str], None] = lambda _: None

    @property
    def list_length(self) -> int:
        """Places to retrieve so that ``depth`` are left of every list, whatever the protocol takes out of it."""
        return self._counted + max(map(len, self.dataset.ignored), default=0)

    def length_for(self, query: int) -> int:
        """Places to retrieve for one query."""
        return self._counted + len(self.dataset.ignored[query])

    @property
    def _counted(self) -> int:
        return self.depth * self.dataset.rules.most_per_one


class Answers(Protocol):
    """Ranks the database of a data set for its queries; numbers in rankings are indices into that database."""

    @property
    def model(self) -> Extractor:
        """Whose features are compared."""

    @property
    def method(self) -> Method:
        """How the second stage scores."""

    @property
    def options(self) -> RerankOptions | None:
        """Options of the second stage; None for the defaults."""

    @property
    def two_stage(self) -> bool:
        """Whether there is a second stage."""

    def key(self) -> Mapping[str, Any]:
        """JSON values that the rankings depend on, beside the task, the model, the method and its options."""

    def prepare(self, queries: Sequence[int]) -> tuple[str, ...]:
        """Do what comes before answering ``queries``; names of database images that can never be found."""

    def rankings(self, queries: Sequence[int]) -> Iterator[list[QueryRanking]]:
        """Answers to these queries, in order, batch by batch."""

    def bytes_per_image(self) -> Mapping[str, float]:
        """What a database image takes on disk, per stage."""


def query_ranking(
    name: str,
    retrieved: list[int],
    similarities: NDArray[np.float32],
    ranking: Ranking | None,
    best: list[int],
    *,
    two_stage: bool,
    seconds: Mapping[str, float],
    true_matches: MatchCount | None,
) -> QueryRanking:
    """Both stages' lists of database indices: ``best`` are those that ``ranking`` scored, in its order; where there
    were no candidates to rank, ``ranking`` is None although there are two stages."""
    ranked = set(best)
    return QueryRanking(
        name=name,
        retrieved=tuple(retrieved),
        similarities=tuple(map(float, similarities)),
        reranked=None if not two_stage else (*best, *(i for i in retrieved if i not in ranked)),
        scores=() if ranking is None else tuple(map(float, ranking.scores.tolist())),
        num_matches=() if ranking is None else tuple(map(int, ranking.num_matches.tolist())),
        seconds=seconds,
        true_matches=true_matches,
    )


def subject_of(answers: Answers, dataset: PlaceDataset, candidates: int) -> Subject:
    """What the result is about."""
    model = answers.model
    return Subject(
        model=model.name,
        fingerprint=model.fingerprint,
        preset=model.preset,
        method=answers.method,
        options=asdict(answers.options or RerankOptions()),
        dataset=dataset.name,
        dataset_summary=dataset.summary,
        protocol=dataset.protocol,
        num_database=len(dataset.database),
        candidates=candidates,
    )
