"""Recall as a function of how many candidates are re-ranked, from the rankings of one evaluation alone.

Re-ranking only the first c candidates orders those c by their final scores (stably, so that equal scores keep the
order of retrieval) and leaves the rest behind them in the order of retrieval. This is what an evaluation with
``candidates=c`` would give wherever a candidate's score does not depend on the other candidates, which holds for
the methods "official" and "fol". It is only an estimate where a part of the candidates is looked at again: method
"cascade", ``candidate_margin`` and ``verify_top``; there the scores of what was not looked at again are bounded by
those that were.
"""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from fol.data import WithoutPositives
from fol.evaluation.journal import QueryRanking
from fol.evaluation.recall import Recall, recall_at_k


def rerank_first(ranking: QueryRanking, candidates: int) -> tuple[int, ...]:
    """The answer to a query, had only the first ``candidates`` of its retrieved places been re-ranked.

    0 is retrieval alone; at or beyond what was re-ranked it is the stored answer. A query of a single-stage model, or
    one that could not be answered, stays as retrieved. Raises ``ValueError`` for a negative number, and when a
    candidate has no score because the ranking's two lists do not belong together.
    """
    if candidates < 0:
        raise ValueError(f"candidates={candidates}: it must be at least 0")
    scores = dict(zip(ranking.reranked or (), ranking.scores, strict=False))
    first = ranking.retrieved[: min(candidates, len(scores))]
    if missing := [entry for entry in first if entry not in scores]:
        raise ValueError(f"{ranking.name}: candidate {missing[0]} has no score of re-ranking")
    return (*sorted(first, key=lambda entry: -scores[entry]), *ranking.retrieved[len(first) :])


def recall_by_candidates(
    rankings: Sequence[QueryRanking],
    positives: Sequence[ArrayLike],
    candidates: Sequence[int],
    ks: Sequence[int],
    *,
    ignored: Sequence[ArrayLike] | None = None,
    without_positives: WithoutPositives = "count_as_miss",
) -> dict[int, Recall]:
    """Number of re-ranked candidates -> recall; ``rankings`` and ``positives`` are per query, in the same order.

    Raises ``ValueError`` as ``rerank_first`` and ``recall_at_k`` do.
    """
    return {
        number: recall_at_k(
            [rerank_first(ranking, number) for ranking in rankings],
            positives,
            ks,
            ignored=ignored,
            without_positives=without_positives,
        )
        for number in candidates
    }
