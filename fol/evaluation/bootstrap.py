"""How sure a number is: bootstrap intervals of recall and mAP, and two models compared on the same queries.

The interval is the percentile bootstrap: queries are drawn again with replacement ``n_resamples`` times, and the middle
``level`` of the means that come out is given (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13).

What to keep in mind:

* Queries are taken as independent. Those of one drive are not (neighbouring frames succeed and fail together), so for
  sequences the true uncertainty is larger than the interval says, and p-values are too small.
* Where every query is hit, or none is, all draws are the same and the interval has no width. That is a limit of the
  method and no certainty: after n queries without a miss, a miss rate of up to 3/n is still plausible.
* A difference that is not significant (its interval contains 0, or the p-value is above the level one chose) does not
  say that two models are equally good. It says that these queries cannot tell them apart; the interval says how large
  a difference, in either direction, they leave open. With many tables some differences are significant by chance.
* The two can disagree where few queries changed: the bootstrap is too narrow then, and the exact p-value is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from fol.evaluation.average_precision import MeanAveragePrecision
from fol.evaluation.recall import Recall

LEVEL = 0.95
RESAMPLES = 10_000

_FEW = 256  # different values up to which it is drawn how often each occurs
_BLOCK = 2**22  # numbers drawn at once: 32 MiB


@dataclass(frozen=True)
class Interval:
    """``low`` to ``high``, which covers the true value in a share ``level`` of repeated experiments."""

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class PairedDifference:
    """Two models on the same queries; ``difference`` and its ``interval`` are those of the hit rate, after - before.

    ``p_value``: how probable so unequal a number of ``gained`` (hit only after) and ``lost`` (hit only before) queries
    is when both models are equally good: exact McNemar test, two-sided. 1 where no query changed.
    """

    difference: float
    interval: Interval
    p_value: float
    gained: int
    lost: int


def bootstrap_interval(
    values: ArrayLike, *, level: float = LEVEL, n_resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Interval of the mean of ``values [Q]``, one per query; (NaN, NaN) for no queries.

    Memory does not grow with ``n_resamples`` times Q. Raises ``ValueError`` for values that are not finite, a level
    outside of (0, 1), or fewer than one resample.
    """
    found = np.asarray(values, dtype=np.float64).reshape(-1)
    if not np.isfinite(found).all():
        raise ValueError("values must be finite: leave out the queries that do not count")
    if not 0 < level < 1 or n_resamples < 1:
        raise ValueError(f"level={level} must lie between 0 and 1, n_resamples={n_resamples} be at least 1")
    if not len(found):
        return Interval(float("nan"), float("nan"), level)
    means = _resampled_means(found, n_resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def recall_intervals(
    recall: Recall, *, level: float = LEVEL, n_resamples: int = RESAMPLES, seed: int = 0
) -> dict[int, Interval]:
    """K -> interval of ``recall.values``, under the same rule for queries without positives."""
    dropped = recall.num_without_positives if recall.without_positives == "drop" else 0
    counted = recall.num_queries - dropped
    outcomes = {k: np.arange(counted) < hits for k, hits in recall.hits.items()}
    return {
        k: bootstrap_interval(values, level=level, n_resamples=n_resamples, seed=seed) for k, values in outcomes.items()
    }


def map_intervals(
    found: MeanAveragePrecision, *, level: float = LEVEL, n_resamples: int = RESAMPLES, seed: int = 0
) -> dict[int, Interval]:
    """K -> interval of ``found.values``, under the same rule for queries without positives."""
    return {
        k: bootstrap_interval(found.counted(k), level=level, n_resamples=n_resamples, seed=seed)
        for k in found.per_query
    }


def hits_at_k(first_positive: Sequence[int | None], k: int) -> NDArray[np.bool_]:
    """``[Q]`` whether each query is a hit at ``k``, from the ranks of ``first_positive_ranks``."""
    return np.array([rank is not None and rank <= k for rank in first_positive], np.bool_)


def paired_test(
    before: ArrayLike, after: ArrayLike, *, level: float = LEVEL, n_resamples: int = RESAMPLES, seed: int = 0
) -> PairedDifference:
    """Compare two models (or stages) on the same queries; ``before [Q]`` and ``after [Q]`` say which they hit.

    Queries are drawn in pairs, so what makes a query hard for both does not blur the difference; only queries whose
    outcome changed carry information. Raises ``ValueError`` for different lengths, no queries, or values that are
    neither true nor false.
    """
    was, now = _outcomes(before), _outcomes(after)
    if len(was) != len(now) or not len(was):
        raise ValueError(f"the same queries are needed on both sides, got {len(was)} and {len(now)}")
    gained, lost = int((now & ~was).sum()), int((was & ~now).sum())
    changes = now.astype(np.float64) - was.astype(np.float64)
    interval = bootstrap_interval(changes, level=level, n_resamples=n_resamples, seed=seed)
    p_value = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return PairedDifference((gained - lost) / len(was), interval, p_value, gained, lost)


def _outcomes(values: ArrayLike) -> NDArray[np.bool_]:
    found = np.asarray(values).reshape(-1)
    if not np.isin(found, (0, 1)).all():
        raise ValueError("outcomes must be true or false, one per query")
    return found.astype(np.bool_)


def _resampled_means(
    values: NDArray[np.float64], n_resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """``[n_resamples]`` means of as many values drawn from ``values [Q]`` with replacement."""
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) <= _FEW:
        # How often each level is drawn follows a multinomial distribution: the same means, without drawing Q of them.
        drawn = generator.multinomial(len(values), counts / len(values), size=n_resamples)
        return np.asarray(drawn @ levels / len(values))
    means = np.empty(n_resamples)
    block = max(1, _BLOCK // len(values))
    for start in range(0, n_resamples, block):
        stop = min(start + block, n_resamples)
        means[start:stop] = values[generator.integers(0, len(values), (stop - start, len(values)))].mean(axis=1)
    return means
