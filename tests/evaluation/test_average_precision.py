"""Mean average precision by hand, and against a brute force written with nothing but lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fol.evaluation.average_precision import map_at_k


def test_by_hand() -> None:
    # Hits at ranks 1 and 3 of two positives: (1/1 + 2/3) / 2. At K=2 only the first: 1 / 2. At K=1: 1 / 1.
    found = map_at_k([[4, 7, 2, 9]], [[2, 4]], (1, 2, 3, 10))
    assert found.values == pytest.approx({1: 1.0, 2: 0.5, 3: 5 / 6, 10: 5 / 6})
    # Rank 2 of one positive: 1/2 as soon as K reaches it.
    assert map_at_k([[5, 3]], [[3]], (1, 2, 5)).values == pytest.approx({1: 0.0, 2: 0.5, 5: 0.5})


def test_example_of_mapillary() -> None:
    # The example at the end of mapillary_sls/utils/eval.py: DB4, DB5 of the first query are at ranks 5 and (as the
    # misspelt BD5) missing; DB0, DB1 of the second at 1 and 4. K = 1, 2, 3.
    rankings = [[0, 1, 2, 3, 4, 95], [0, 5, 4, 1, 3, 2]]
    found = map_at_k(rankings, [[4, 5], [0, 1]], (1, 2, 3))
    # Second query: 1/1, 1/2, 1/2; first: 0.
    assert found.values == pytest.approx({1: 0.5, 2: 0.25, 3: 0.25})


def test_perfect_ranking_has_one_at_every_k() -> None:
    found = map_at_k([[3, 1, 2, 8]], [[1, 2, 3]], (1, 2, 3, 4, 20))
    assert found.values == dict.fromkeys((1, 2, 3, 4, 20), 1.0)


def test_an_answer_that_comes_again_counts_once() -> None:
    # 6 is right at rank 1 and again at rank 2, which is then a wrong answer; 7 at rank 3: (1/1 + 2/3) / 2.
    assert map_at_k([[6, 6, 7]], [[6, 7]], (3,)).values[3] == pytest.approx(5 / 6)


def test_without_positives_both_rules() -> None:
    found = map_at_k([[0, 1], [1, 0], [0, 1]], [[0], [], [1]], (1, 2))
    assert found.values == pytest.approx({1: 1 / 3, 2: 0.5})  # (1 + 0 + 1/2) / 3 at K=2
    assert found.under("drop") == pytest.approx({1: 0.5, 2: 0.75})
    assert found.counted(2).tolist() == [1.0, 0.0, 0.5]
    dropped = map_at_k([[0, 1], [1, 0], [0, 1]], [[0], [], [1]], (1, 2), without_positives="drop")
    assert dropped.values == pytest.approx({1: 0.5, 2: 0.75})
    assert dropped.counted(2).tolist() == [1.0, 0.5]
    assert math.isnan(map_at_k([[0]], [[]], (1,), without_positives="drop").values[1])


def test_ignored_entries_leave_ranking_and_positives() -> None:
    # Without 5 the positive 3 is first of one positive.
    assert map_at_k([[5, 3]], [[3, 5]], (1, 2), ignored=[[5]]).values == {1: 1.0, 2: 1.0}
    assert math.isnan(map_at_k([[5]], [[5]], (1,), ignored=[[5]]).under("drop")[1])


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        map_at_k([[0]], [[0]], (0,))
    with pytest.raises(ValueError, match="one entry per query"):
        map_at_k([[0], [1]], [[0]], (1,))
    with pytest.raises(ValueError, match="is none of"):
        map_at_k([[0]], [[0]], (1,), without_positives="forget")  # type: ignore[arg-type]


def _average_precision(ranking: list[int], positives: set[int], k: int) -> float:
    """Precision at every rank that adds a new right answer, straight from the definition."""
    total = 0.0
    for rank in range(1, min(k, len(ranking)) + 1):
        if ranking[rank - 1] in positives and ranking[rank - 1] not in ranking[: rank - 1]:
            total += len(positives.intersection(ranking[:rank])) / rank
    return total / min(k, len(positives))


_lists = st.lists(st.integers(0, 12), max_size=10)


@given(st.lists(st.tuples(_lists, st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12), max_size=3)), min_size=1))
def test_against_brute_force(queries: list[tuple[list[int], set[int], set[int]]]) -> None:
    ks = (1, 2, 5, 20)
    rankings = [np.array(ranking, np.int64) for ranking, _, _ in queries]
    positives = [sorted(right) for _, right, _ in queries]
    found = map_at_k(rankings, positives, ks, ignored=[sorted(ignored) for _, _, ignored in queries])
    for k in ks:
        values = []
        for ranking, right, ignored in queries:
            wanted = right - ignored
            if wanted:
                values.append(_average_precision([i for i in ranking if i not in ignored], wanted, k))
        total = sum(values)
        assert found.values[k] == pytest.approx(total / len(queries))
        if values:
            assert found.under("drop")[k] == pytest.approx(total / len(values))
