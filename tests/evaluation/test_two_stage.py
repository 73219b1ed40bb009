"""Evaluation with the real model, map and localizer on a few drawn photos; expectations by brute force."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_town import DATABASE, QUERIES, draw, draw_town, model, places
from PIL import Image

import fol
from fol.data import PlaceDataset, read_dataset
from fol.errors import ConfigError, DataError, MapError
from fol.evaluation import EvaluationResult, evaluate, read_result
from fol.evaluation.answers import Task, subject_of
from fol.evaluation.journal import read_rankings
from fol.evaluation.map_answers import MapAnswers
from fol.evaluation.two_stage import _key
from fol.files import writer_lock
from fol.localizer import Localizer
from fol.retrieval import PlaceMap
from fol.types import Features, Place


def town(root: Path) -> PlaceDataset:
    """The data set that ``draw_town`` made; query 7 has no positive."""
    positives = [np.array([i]) for i in range(QUERIES)]
    positives[3] = np.array([3, 11])
    positives[6] = np.array([11])
    positives[7] = np.array([], np.int64)
    ignored = [np.array([], np.int64) for _ in range(QUERIES)]
    ignored[1] = np.array([0, 2, 4])
    return PlaceDataset(
        name="town",
        root=root,
        database=places(root, "database"),
        queries=places(root, "queries"),
        positives=tuple(p.astype(np.int64) for p in positives),
        ignored=tuple(i.astype(np.int64) for i in ignored),
        protocol="by hand",
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PlaceDataset:
    root = tmp_path_factory.mktemp("town")
    draw_town(root)
    return town(root)


@pytest.fixture(scope="module")
def localizer(tmp_path_factory: pytest.TempPathFactory, dataset: PlaceDataset) -> Localizer:
    extractor = model()
    built = PlaceMap.build(tmp_path_factory.mktemp("maps") / "town.fol", extractor, dataset.database)
    return Localizer(extractor, built.place_map)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, localizer: Localizer, dataset: PlaceDataset
) -> EvaluationResult:
    return run(localizer, dataset, tmp_path_factory.mktemp("undisturbed"))


def run(localizer: Localizer, dataset: PlaceDataset, out: Path, **options: object) -> EvaluationResult:
    defaults: dict[str, object] = {"recall_values": (1, 3, 5, 20), "candidates": 4, "batch_size": 2}
    return evaluate(localizer, dataset, out=out, **(defaults | options))  # type: ignore[arg-type]


def comparable(result: EvaluationResult) -> EvaluationResult:
    """Without what may differ between two runs that found the same."""
    return replace(result, seconds={}, peak_memory={}, environment={}, resumed_from=0)


def features_of(localizer: Localizer, place: Place) -> Features:
    with Image.open(place.image) as photo:
        return localizer.model.extract(localizer.model.transform(photo)[None], [photo.size])[0]


def brute_force(
    localizer: Localizer, dataset: PlaceDataset, candidates: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Both stages' orders of the database per readable query, from the model and ``fol.rerank`` alone."""
    readable = [i for i in range(DATABASE) if i != 11]
    database = [features_of(localizer, dataset.database[i]) for i in readable]
    before, after = [], []
    for query in dataset.queries[:8]:
        features = features_of(localizer, query)
        similarity = torch.stack([features.descriptor @ other.descriptor for other in database])
        order = torch.argsort(similarity, descending=True, stable=True).tolist()
        top = order[:candidates]
        ranking = fol.rerank(features.local, [database[i].local for i in top], similarity[top], localizer.method)
        again = [top[i] for i in ranking.ids.tolist()] + order[candidates:]
        before.append([readable[i] for i in order])
        after.append([readable[i] for i in again])
    return before, after


def ranks(orders: list[list[int]], dataset: PlaceDataset) -> list[int | None]:
    assert dataset.positives is not None
    found: list[int | None] = []
    for order, positives, ignored in zip(orders, dataset.positives, dataset.ignored, strict=False):
        counted = [i for i in order if i not in ignored]
        found.append(next((rank for rank, i in enumerate(counted, 1) if i in positives), None))
    return [*found, None]  # the unreadable query


def test_against_brute_force(localizer: Localizer, dataset: PlaceDataset, undisturbed: EvaluationResult) -> None:
    before, after = (ranks(orders, dataset) for orders in brute_force(localizer, dataset, candidates=4))
    assert list(undisturbed.ranks("global")) == before
    assert list(undisturbed.ranks("reranked")) == after
    assert before != after  # or the test would not see the second stage
    for stage, found in (("global", before), ("reranked", after)):
        recall = undisturbed.recall(stage)  # type: ignore[arg-type]
        for k in (1, 3, 5, 20):
            hits = sum(rank is not None and rank <= k for rank in found)
            assert recall.values[k] == hits / QUERIES
            assert recall.under("drop")[k] == hits / (QUERIES - 1)
    names = [query.name for query in dataset.queries]
    pairs = list(zip(names, before, after, strict=True))
    assert list(undisturbed.gained) == [name for name, old, new in pairs if new == 1 and old != 1]
    assert list(undisturbed.lost) == [name for name, old, new in pairs if old == 1 and new != 1]
    # Re-ranking leaves the order below its candidates alone.
    assert undisturbed.recall("reranked").hits[20] == undisturbed.recall("global").hits[20]


def test_what_could_not_be_used_counts_against(undisturbed: EvaluationResult) -> None:
    assert undisturbed.not_in_map == ("database/11.png",)
    assert undisturbed.queries[6].num_positives == 1  # the broken database image stays a positive
    assert undisturbed.queries[6].global_rank is None
    assert undisturbed.num_without_positives == 1
    (skipped,) = undisturbed.skipped
    assert skipped.name == "queries/08.png"
    assert skipped.reranked_rank is None
    assert skipped.skipped is not None
    assert "08.png" in skipped.skipped


def test_the_record(localizer: Localizer, dataset: PlaceDataset, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out = tmp_path / "new" / "folder"
    watched = nullcontext(lambda *now: seen.append(now))
    result = run(localizer, dataset, out, config={"verb": "evaluate"}, progress_of=lambda _: watched)
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {
        "results.json",
        "queries.csv",
        "config.yaml",
        "rankings.jsonl",
    }
    assert read_result(out) == result
    assert (out / "config.yaml").read_text() == "verb: evaluate\n"
    assert seen == [(0, 9), (2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]
    document = json.loads((out / "results.json").read_text())
    assert document["model"]["fingerprint"] == localizer.model.fingerprint
    assert document["protocol"] == "by hand"
    assert {"extract", "retrieve", "rerank"} <= set(document["seconds"])
    assert document["peak_memory_bytes"]["rss"] > 2**20
    assert document["environment"]["packages"]["torch"].startswith(torch.__version__.split("+")[0])
    # The lists of the first stage are long enough for R@5 although three of their entries are ignored.
    rankings = read_rankings(out / "rankings.jsonl")
    assert len(rankings["queries/01.png"].retrieved) == 11
    assert len(rankings["queries/01.png"].scores) == 4


def test_batches_do_not_matter(
    localizer: Localizer, dataset: PlaceDataset, undisturbed: EvaluationResult, tmp_path: Path
) -> None:
    other = run(localizer, dataset, tmp_path, batch_size=5)
    for stage in ("global", "reranked"):
        assert other.ranks(stage) == undisturbed.ranks(stage)  # type: ignore[arg-type]


def test_a_map_without_local_features(dataset: PlaceDataset, localizer: Localizer, tmp_path: Path) -> None:
    built = PlaceMap.build(tmp_path / "flat.fol", localizer.model, dataset.database, store_local=False)
    result = run(Localizer(localizer.model, built.place_map), dataset, tmp_path / "out")
    assert result.stages == ("global",)
    assert read_result(tmp_path / "out") == result


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_two_stage import Localizer, PlaceMap, model, places, run, town
class Doomed(Localizer):
    calls = 0
    def rank(self, features, candidates=100):
        Doomed.calls += 1
        if Doomed.calls == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rank(features, candidates)
extractor = model()
run(Doomed(extractor, PlaceMap.open({place_map!r}, extractor)), town(Path({root!r})), Path({out!r}))
"""


def test_goes_on_after_a_kill(
    localizer: Localizer, dataset: PlaceDataset, undisturbed: EvaluationResult, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    script = KILLED.format(
        here=str(Path(__file__).parent), root=str(dataset.root), place_map=str(localizer.place_map.path), out=str(out)
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.suffix for path in out.iterdir() if not path.name.startswith(".")] == [".jsonl"]
    (out / ".4711-results.json.tmp").write_bytes(b"half")  # as one leaves that was killed while it wrote
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)

    resumed = run(localizer, dataset, out)
    assert not list(out.glob(".*.tmp"))
    assert resumed.resumed_from == 4  # two whole batches of two; the fifth query's batch was lost
    assert comparable(resumed) == comparable(undisturbed)
    assert comparable(read_result(out)) == comparable(undisturbed)

    journal = next(copy.glob("journal-*.jsonl"))
    content = journal.read_bytes()
    fresh = run(localizer, dataset, copy, candidates=3)
    assert fresh.resumed_from == 0
    assert journal.read_bytes() == content  # the other one can still be finished


def test_a_finished_evaluation_is_not_reused(localizer: Localizer, dataset: PlaceDataset, tmp_path: Path) -> None:
    run(localizer, dataset, tmp_path)
    assert run(localizer, dataset, tmp_path).resumed_from == 0


def test_the_journal_knows_what_it_depends_on(localizer: Localizer, dataset: PlaceDataset, tmp_path: Path) -> None:
    def key(localizer: Localizer, dataset: PlaceDataset, candidates: int = 4, depth: int = 20) -> Mapping[str, object]:
        task = Task(dataset, depth, candidates, 2, 0, None)
        answers = MapAnswers(localizer, task)
        return _key(answers, task, subject_of(answers, dataset, candidates))

    usual = key(localizer, dataset)
    assert usual == key(localizer, dataset)
    place_map, extractor = localizer.place_map, localizer.model
    touched = tmp_path / "q.png"
    shutil.copy(dataset.queries[0].image, touched)
    ignored = (np.array([1]), *dataset.ignored[1:])
    others = [
        key(localizer, dataset, candidates=5),
        key(localizer, dataset, depth=30),
        key(Localizer(extractor, place_map, method="official"), dataset),
        key(Localizer(extractor, place_map, options=fol.RerankOptions(threshold=0.8)), dataset),
        key(localizer, replace(dataset, queries=dataset.queries[1:], ignored=dataset.ignored[1:])),
        key(localizer, replace(dataset, queries=(replace(dataset.queries[0], image=touched), *dataset.queries[1:]))),
        key(localizer, replace(dataset, ignored=ignored)),
    ]
    assert all(other != usual for other in others)
    # Ground truth is applied afterwards.
    assert dataset.positives is not None
    assert key(localizer, replace(dataset, positives=dataset.positives[::-1], protocol="other")) == usual


def test_a_map_under_other_names_is_matched_by_file(
    localizer: Localizer, dataset: PlaceDataset, undisturbed: EvaluationResult, tmp_path: Path
) -> None:
    # As `fol index town/database` names them.
    renamed = [Place(place.image.name, place.image) for place in dataset.database[:11]]
    built = PlaceMap.build(tmp_path / "renamed.fol", localizer.model, renamed)
    whole = replace(dataset, database=dataset.database[:11])
    result = run(Localizer(localizer.model, built.place_map), whole, tmp_path / "out")
    assert result.ranks("reranked") == undisturbed.ranks("reranked")


def test_maps_of_something_else(localizer: Localizer, dataset: PlaceDataset, tmp_path: Path) -> None:
    def refused(dataset: PlaceDataset, message: str) -> None:
        with pytest.raises(MapError, match=message) as caught:
            run(localizer, dataset, tmp_path / "out")
        assert "\n" not in str(caught.value)

    extra = Place("database/99.png", tmp_path / "99.png")
    refused(replace(dataset, database=dataset.database[1:]), r"database/00\.png, which is not in the database")
    refused(replace(dataset, database=(*dataset.database, extra)), r"lacks database/99\.png .* \(2 in all\)")
    # The same names in another folder: the same photos are fine, others are not.
    copy = tmp_path / "copy"
    shutil.copytree(dataset.root, copy)
    moved = replace(dataset, root=copy, database=places(copy, "database"))
    assert run(localizer, moved, tmp_path / "moved").not_in_map == ("database/11.png",)
    draw(copy / "database/00.png", 77)
    refused(moved, r"another photo than .*00\.png of the same name")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recall_values": ()}, "recall_values"),
        ({"recall_values": (0, 1)}, "recall_values"),
        ({"recall_values": (1.5,)}, "recall_values"),
        ({"candidates": 0}, "candidates=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"without_positives": "maybe"}, "maybe"),
    ],
)
def test_options_out_of_range(
    localizer: Localizer, dataset: PlaceDataset, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(localizer, dataset, tmp_path, **options)


def test_nothing_to_measure(localizer: Localizer, dataset: PlaceDataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no ground truth"):
        run(localizer, replace(dataset, positives=None), tmp_path)
    with pytest.raises(DataError, match="no queries"):
        run(localizer, replace(dataset, queries=(), positives=(), ignored=()), tmp_path)
    with pytest.raises(DataError, match="two queries of the same name"):
        run(localizer, replace(dataset, queries=(dataset.queries[0],) * QUERIES), tmp_path)
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(DataError, match="file cannot be written"):
        run(localizer, dataset, occupied)


def test_one_writer(localizer: Localizer, dataset: PlaceDataset, tmp_path: Path) -> None:
    with writer_lock(tmp_path), pytest.raises(DataError, match="being written"):
        run(localizer, dataset, tmp_path)


def test_real_photos(shared_data: Path, tmp_path: Path) -> None:
    dataset = read_dataset(shared_data / "corridor_vprbench")
    extractor = model()
    built = PlaceMap.build(tmp_path / "corridor.fol", extractor, dataset.database)
    result = evaluate(Localizer(extractor, built.place_map), dataset, out=tmp_path / "out", candidates=10)
    assert result.subject.protocol == "ground_truth.csv"
    assert len(result.queries) == 111
    assert not result.skipped
    assert not result.not_in_map
    for stage in result.stages:
        assert result.recall(stage).hits[100] > 90  # 100 of 111 images, so nearly everything is found
