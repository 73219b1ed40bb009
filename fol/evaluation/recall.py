"""Recall@K with its rule for queries without positives (official: test_FoL.py; spec: protocol E.1).

R@K is the share of queries with at least one positive among the first K of their ranking. What happens to queries
that have no positive at all changes the number, so the rule travels with it by name and both numbers can be had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fol.data import WithoutPositives

#: The rules in words, as reports print them.
RULES: Mapping[WithoutPositives, str] = {
    "count_as_miss": "R@N = % of all queries; those without positives count as misses "
    "(the official rule of FoL and VPR-methods-evaluation)",
    "drop": "R@N = % of the queries with at least one positive; those without positives are left out",
}


@dataclass(frozen=True)
class Recall:
    """Recall@K of one list of rankings.

    ``hits`` K -> number of queries with a positive among the first K; ``first_positive`` per query the rank of its
    best positive (1 is best), None when none was found; ``num_queries`` all of them; ``num_without_positives`` those
    that cannot be hit; ``without_positives`` the rule that ``values`` follows.
    """

    hits: Mapping[int, int]
    first_positive: tuple[int | None, ...]
    num_queries: int
    num_without_positives: int
    without_positives: WithoutPositives = "count_as_miss"

    def under(self, rule: WithoutPositives) -> dict[int, float]:
        """K -> recall in [0, 1] under ``rule``; NaN when no query counts."""
        counted = self.num_queries - (self.num_without_positives if rule == "drop" else 0)
        return {k: hits / counted if counted else float("nan") for k, hits in self.hits.items()}

    @property
    def values(self) -> dict[int, float]:
        """K -> recall in [0, 1] under the rule in ``without_positives``."""
        return self.under(self.without_positives)


def recall_at_k(
    rankings: Sequence[ArrayLike],
    positives: Sequence[ArrayLike],
    ks: Sequence[int],
    *,
    ignored: Sequence[ArrayLike] | None = None,
    without_positives: WithoutPositives = "count_as_miss",
) -> Recall:
    """Recall@K of ``rankings`` (per query the database indices, best first, of any length) against ``positives``.

    ``ignored`` database indices per query count neither for nor against: they are taken out of the ranking before
    anything is counted, also where they are positives. A K beyond a ranking's end sees the whole ranking.
    Raises ``ValueError`` for lists of different lengths, a K below 1, or an unknown rule.
    """
    first = first_positive_ranks(rankings, positives, ignored)
    without = sum(len(counted_entries(p, ignored_of(ignored, i))) == 0 for i, p in enumerate(positives))
    return recall_from_ranks(first, without, ks, without_positives)


def recall_from_ranks(
    first_positive: Sequence[int | None],
    num_without_positives: int,
    ks: Sequence[int],
    without_positives: WithoutPositives = "count_as_miss",
) -> Recall:
    """``recall_at_k`` when the rank of every query's first positive is known; raises ``ValueError`` as it does."""
    if any(k < 1 for k in ks):
        raise ValueError(f"K must be at least 1, got {list(ks)}")
    if without_positives not in get_args(WithoutPositives):
        raise ValueError(f"without_positives={without_positives!r} is none of {get_args(WithoutPositives)}")
    hits = {int(k): sum(rank is not None and rank <= k for rank in first_positive) for k in ks}
    return Recall(hits, tuple(first_positive), len(first_positive), num_without_positives, without_positives)


def first_positive_ranks(
    rankings: Sequence[ArrayLike], positives: Sequence[ArrayLike], ignored: Sequence[ArrayLike] | None = None
) -> tuple[int | None, ...]:
    """Per query the rank (1 is best) of its first positive, counted without the ``ignored`` entries; None for a miss.

    Raises ``ValueError`` when the lists have different lengths.
    """
    lengths = {len(rankings), len(positives), len(positives if ignored is None else ignored)}
    if len(lengths) > 1:
        raise ValueError(f"one entry per query is needed in every list, got lengths {sorted(lengths)}")
    ranks: list[int | None] = []
    for query, (ranking, positive) in enumerate(zip(rankings, positives, strict=True)):
        hits = np.flatnonzero(np.isin(counted_entries(ranking, ignored_of(ignored, query)), _indices(positive)))
        ranks.append(int(hits[0]) + 1 if len(hits) else None)
    return tuple(ranks)


def gained_and_lost(
    before: Sequence[int | None], after: Sequence[int | None], k: int = 1
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Queries (their positions) that are hits at K only ``after``, and those that are hits only ``before``.

    Both arguments are ranks of first positives, as ``first_positive_ranks`` gives them.
    """
    hit = [(a is not None and a <= k, b is not None and b <= k) for a, b in zip(before, after, strict=True)]
    gained = tuple(i for i, (was, now) in enumerate(hit) if now and not was)
    lost = tuple(i for i, (was, now) in enumerate(hit) if was and not now)
    return gained, lost


def ignored_of(ignored: Sequence[ArrayLike] | None, query: int) -> ArrayLike:
    """What query number ``query`` ignores; nothing where nobody ignores anything."""
    return () if ignored is None else ignored[query]


def counted_entries(entries: ArrayLike, ignored: ArrayLike) -> NDArray[np.int64]:
    """``entries`` in their order without the ``ignored`` ones."""
    kept = _indices(entries)
    return kept[~np.isin(kept, _indices(ignored))]


def _indices(entries: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(entries, dtype=np.int64).reshape(-1)
