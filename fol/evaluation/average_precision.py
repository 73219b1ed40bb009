"""Mean average precision of the first K, as Mapillary Street-Level Sequences measures it.

AP@K of a query is the sum of the precisions at each right answer among the first K, divided by min(K, number of
positives), so that a perfect ranking has 1 (mapillary_sls, ``mapillary_sls/utils/eval.py``, ``apk``). An answer that
comes again counts once. mAP@K is the mean over the queries. Unlike recall it asks for all positives, not for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fol.data import WithoutPositives
from fol.evaluation.recall import counted_entries, ignored_of


@dataclass(frozen=True, eq=False)
class MeanAveragePrecision:
    """mAP@K of one list of rankings.

    ``per_query``: K -> ``[Q]`` float64 AP@K, NaN for queries without positives, which have no average precision;
    ``without_positives``: the rule that ``values`` follows.
    """

    per_query: Mapping[int, NDArray[np.float64]]
    without_positives: WithoutPositives = "count_as_miss"

    def counted(self, k: int) -> NDArray[np.float64]:
        """AP@K of the queries that count under the rule: misses are 0 under ``count_as_miss``, and left out else."""
        return _counted(self.per_query[k], self.without_positives)

    def under(self, rule: WithoutPositives) -> dict[int, float]:
        """K -> mAP in [0, 1] under ``rule``; NaN when no query counts."""
        counted = {k: _counted(values, rule) for k, values in self.per_query.items()}
        return {k: float(values.mean()) if len(values) else float("nan") for k, values in counted.items()}

    @property
    def values(self) -> dict[int, float]:
        """K -> mAP in [0, 1] under the rule in ``without_positives``."""
        return self.under(self.without_positives)


def map_at_k(
    rankings: Sequence[ArrayLike],
    positives: Sequence[ArrayLike],
    ks: Sequence[int],
    *,
    ignored: Sequence[ArrayLike] | None = None,
    without_positives: WithoutPositives = "count_as_miss",
) -> MeanAveragePrecision:
    """mAP@K of ``rankings`` (per query the database indices, best first, of any length) against ``positives``.

    ``ignored`` database indices per query are taken out of the ranking and of the positives first, as in
    ``recall_at_k``. mapillary_sls itself drops queries without positives (``without_positives="drop"``).
    Raises ``ValueError`` for lists of different lengths, a K below 1, or an unknown rule.
    """
    if any(k < 1 for k in ks):
        raise ValueError(f"K must be at least 1, got {list(ks)}")
    if without_positives not in get_args(WithoutPositives):
        raise ValueError(f"without_positives={without_positives!r} is none of {get_args(WithoutPositives)}")
    lengths = {len(rankings), len(positives), len(positives if ignored is None else ignored)}
    if len(lengths) > 1:
        raise ValueError(f"one entry per query is needed in every list, got lengths {sorted(lengths)}")
    per_query = {int(k): np.full(len(rankings), np.nan) for k in ks}
    for query, (ranking, right) in enumerate(zip(rankings, positives, strict=True)):
        passed_over = ignored_of(ignored, query)
        wanted = np.unique(counted_entries(right, passed_over))
        if not len(wanted):
            continue
        entries = counted_entries(ranking, passed_over)
        first_time = np.zeros(len(entries), np.bool_)
        first_time[np.unique(entries, return_index=True)[1]] = True
        ranks = np.flatnonzero(np.isin(entries, wanted) & first_time) + 1
        precisions = np.arange(1, len(ranks) + 1) / ranks
        for k, values in per_query.items():
            values[query] = precisions[ranks <= k].sum() / min(k, len(wanted))
    return MeanAveragePrecision(per_query, without_positives)


def _counted(values: NDArray[np.float64], rule: WithoutPositives) -> NDArray[np.float64]:
    return values[~np.isnan(values)] if rule == "drop" else np.nan_to_num(values, nan=0.0)
