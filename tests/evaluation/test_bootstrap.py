"""Intervals against resampling done the long way and against exact distributions; McNemar's test by hand."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from fol.evaluation.average_precision import map_at_k
from fol.evaluation.bootstrap import (
    bootstrap_interval,
    hits_at_k,
    map_intervals,
    paired_test,
    recall_intervals,
)
from fol.evaluation.recall import recall_at_k, recall_from_ranks


def test_hits_and_misses_follow_the_binomial_distribution() -> None:
    # The bootstrap of 70 hits in 100 queries is binomial(100, 0.7) / 100, whose quantiles scipy knows.
    interval = bootstrap_interval(np.arange(100) < 70)
    assert interval.level == 0.95
    assert interval.low == pytest.approx(binom.ppf(0.025, 100, 0.7) / 100, abs=0.01)
    assert interval.high == pytest.approx(binom.ppf(0.975, 100, 0.7) / 100, abs=0.01)
    narrow = bootstrap_interval(np.arange(100) < 70, level=0.5)
    assert interval.low < narrow.low < 0.7 < narrow.high < interval.high


def _one_by_one(values: list[float], level: float, n_resamples: int) -> tuple[float, float]:
    """Draw queries with replacement, average, sort."""
    generator = np.random.default_rng(99)
    means = sorted(float(np.mean(generator.choice(values, len(values)))) for _ in range(n_resamples))
    tail = (1 - level) / 2
    return means[round(tail * (n_resamples - 1))], means[round((1 - tail) * (n_resamples - 1))]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=40))
def test_few_levels_against_drawing_query_by_query(values: list[float]) -> None:
    interval = bootstrap_interval(values, level=0.9, n_resamples=4000)
    low, high = _one_by_one(values, 0.9, 2000)
    # Both are random: the quantile of 2000 draws is known to some hundredths of the draws' spread.
    slack = 0.25 * float(np.std(values)) / math.sqrt(len(values)) + 1.01 / len(values)
    assert interval.low == pytest.approx(low, abs=slack)
    assert interval.high == pytest.approx(high, abs=slack)


def test_many_levels_against_the_normal_distribution() -> None:
    values = np.random.default_rng(3).random(2000)
    interval = bootstrap_interval(values, n_resamples=4000)
    error = float(values.std() / math.sqrt(len(values)))
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_memory_is_bounded_for_a_large_benchmark() -> None:
    values = np.random.default_rng(5).random(27_592)
    tracemalloc.start()
    bootstrap_interval(values, n_resamples=400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6  # all draws at once would be 400 * 27592 * 16 bytes = 177 MB, and 25 times that for 10,000


def test_seeded() -> None:
    values = [0.0, 1.0, 0.5, 0.25] * 30
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values, n_resamples=200) != bootstrap_interval(values, n_resamples=200, seed=1)


def test_all_hits_have_no_width() -> None:
    interval = bootstrap_interval([1.0] * 50)
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_no_query_counts() -> None:
    interval = bootstrap_interval([])
    assert math.isnan(interval.low) and math.isnan(interval.high)


def test_recall_under_both_rules() -> None:
    ranks = [1] * 30 + [4] * 20 + [None] * 50
    counted = recall_intervals(recall_from_ranks(ranks, 40, (1, 5)))
    dropped = recall_intervals(recall_from_ranks(ranks, 40, (1, 5), "drop"))
    for intervals, queries in ((counted, 100), (dropped, 60)):
        for k, hits in ((1, 30), (5, 50)):
            exact = binom.ppf([0.025, 0.975], queries, hits / queries) / queries
            assert [intervals[k].low, intervals[k].high] == pytest.approx(exact, abs=1 / queries)


def test_map_under_the_rule_of_its_result() -> None:
    rankings, positives = [[0], [1], [2], [3]] * 20, [[0], [9], [], [3]] * 20
    dropped = map_intervals(map_at_k(rankings, positives, (1,), without_positives="drop"))[1]
    assert dropped.low < 2 / 3 < dropped.high
    counted = map_intervals(map_at_k(rankings, positives, (1,)))[1]
    assert counted == recall_intervals(recall_at_k(rankings, positives, (1,)))[1]  # one positive each: the same at K=1


def test_mcnemar_by_hand() -> None:
    # 6 gained, 1 lost of 20: p = 2 * (C(7,0) + C(7,1)) / 2^7 = 16/128.
    before = [True] + [False] * 6 + [True] * 13
    after = [False] + [True] * 6 + [True] * 13
    found = paired_test(before, after)
    assert (found.gained, found.lost) == (6, 1)
    assert found.difference == pytest.approx(0.25)
    assert found.p_value == pytest.approx(0.125)
    assert found.interval.low < 0.25 < found.interval.high
    back = paired_test(after, before)
    assert (back.gained, back.lost, back.difference) == (1, 6, pytest.approx(-0.25))
    assert back.p_value == pytest.approx(found.p_value)


def test_nothing_changed() -> None:
    found = paired_test([True, False, True], [True, False, True])
    assert (found.difference, found.p_value, found.gained, found.lost) == (0.0, 1.0, 0, 0)
    assert (found.interval.low, found.interval.high) == (0.0, 0.0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
@settings(deadline=None, max_examples=50)
def test_mcnemar_against_counting_all_outcomes(pairs: list[tuple[bool, bool]]) -> None:
    found = paired_test([a for a, _ in pairs], [b for _, b in pairs], n_resamples=10)
    changed = [b for a, b in pairs if a != b]
    gained, total = sum(changed), len(changed)
    assert (found.gained, found.lost) == (gained, total - gained)
    assert found.difference == pytest.approx((sum(b for _, b in pairs) - sum(a for a, _ in pairs)) / len(pairs))
    # Every changed query is gained or lost with probability 1/2: sum what is as far from the middle, or further.
    far = abs(2 * gained - total)
    extreme = sum(math.comb(total, i) for i in range(total + 1) if abs(2 * i - total) >= far)
    assert found.p_value == pytest.approx(extreme / 2**total)


def test_pairing_sees_what_separate_intervals_do_not() -> None:
    # 10 of 1000 gained, none lost: the recalls' own intervals overlap widely, the paired one excludes 0.
    before = np.arange(1000) < 800
    after = np.arange(1000) < 810
    found = paired_test(before, after)
    assert found.interval.low > 0
    assert found.p_value < 0.01
    assert bootstrap_interval(before).high > bootstrap_interval(after).low


def test_hits_at_k() -> None:
    assert hits_at_k((1, 3, None, 5), 3).tolist() == [True, True, False, False]


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="same queries"):
        paired_test([True], [True, False])
    with pytest.raises(ValueError, match="true or false"):
        paired_test([0.5], [1])
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([float("nan"), 1.0])
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval([1.0], level=1.0)
