"""Of the views of a panorama the best-ranked alone counts: measures and lengths of lists, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fol.data import PlaceDataset, SearchRules
from fol.evaluation.answers import Task
from fol.evaluation.journal import QueryRanking
from fol.evaluation.measures import measure_stage
from fol.evaluation.result import Stage
from fol.evaluation.scoring import score_queries
from fol.types import Place

KS = (1, 2, 5, 10)


def dataset(count: int, positives: list[list[int]], one_per: np.ndarray | None) -> PlaceDataset:
    database = tuple(Place(f"{i}.jpg", Path(f"{i}.jpg")) for i in range(count))
    queries = tuple(Place(f"q{i}.jpg", Path(f"q{i}.jpg")) for i in range(len(positives)))
    right = tuple(np.array(own, np.int64) for own in positives)
    ignored = tuple(np.empty(0, np.int64) for _ in queries)
    rules = SearchRules(one_per=one_per)
    return PlaceDataset("town", Path("town"), database, queries, right, ignored, "by hand", rules)


def length(data: PlaceDataset, depth: int) -> int:
    """How many database photos an evaluation retrieves to be ``depth`` deep."""
    return Task(data, depth, candidates=0, batch_size=1, workers=0, judge=None).list_length


@pytest.mark.parametrize("stage", ["global", "reranked"])
def test_with_one_photo_a_panorama_nothing_changes(stage: Stage) -> None:
    rng = np.random.default_rng(5)
    count, asked = 40, 25
    positives = [sorted(rng.choice(count, rng.integers(0, 5), replace=False).tolist()) for _ in range(asked)]
    rankings = []
    for i in range(asked):
        lists = [tuple(rng.permutation(count).tolist()) for _ in range(2)]
        scores = tuple(np.sort(rng.random(count))[::-1].tolist())
        rankings.append(QueryRanking(f"q{i}.jpg", lists[0], scores, lists[1], scores, (3,) * count))
    plain, single = (dataset(count, positives, one_per) for one_per in (None, np.arange(count)))
    first, second = (measure_stage(data, rankings, stage, KS, "count_as_miss") for data in (plain, single))
    assert first == second
    by_name = {ranking.name: ranking for ranking in rankings}
    assert score_queries(plain, by_name) == score_queries(single, by_name)
    assert length(plain, 10) == length(single, 10) == 10


def test_ten_places_are_left_of_twelve_views_each() -> None:
    views, panoramas = 12, 13
    rng = np.random.default_rng(6)
    one_per = np.repeat(np.arange(panoramas), views)  # as MATLAB's floor((index - 1) / 12)
    # The worst list: all views of a panorama before those of the next. Right is the tenth panorama's last view, and for
    # the second query one of the eleventh.
    order = np.concatenate([views * p + rng.permutation(views) for p in rng.permutation(panoramas)])
    tenth, eleventh = (int(one_per[order[views * (rank - 1)]]) for rank in (10, 11))
    data = dataset(len(one_per), [[views * tenth + 11], [views * eleventh]], one_per)
    assert length(data, 10) == 120
    found = tuple(order[: length(data, 10)].tolist())
    rankings = {name: QueryRanking(name, found, (0.5,) * len(found)) for name in ("q0.jpg", "q1.jpg")}
    assert len(data.rules.counted(found)) == 10
    results = score_queries(data, rankings)
    assert [result.global_rank for result in results] == [10, None]
    # A better view of the right panorama, though not the one that stands near enough, makes the panorama right.
    assert results[0].num_positives == 1
