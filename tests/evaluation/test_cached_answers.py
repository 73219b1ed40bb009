"""Evaluation out of the feature cache, with the real model on a few drawn photos; expectations by brute force."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_town import DATABASE, QUERIES, draw_town, model, places

import fol
from fol.data import PlaceDataset, SearchRules
from fol.errors import ConfigError
from fol.evaluation import CachedModel, EvaluationResult, evaluate, read_result
from fol.evaluation.journal import read_rankings
from fol.extraction import extract_places
from fol.localizer import Localizer
from fol.retrieval import LocalStoreOptions, PlaceMap
from fol.types import Extractor, Features, Place

pytestmark = pytest.mark.usefixtures("one_thread")


def town(root: Path) -> PlaceDataset:
    return PlaceDataset(
        name="town",
        root=root,
        database=places(root, "database"),
        queries=places(root, "queries"),
        positives=tuple(np.array([i]) for i in range(QUERIES)),
        ignored=tuple(np.empty(0, np.int64) for _ in range(QUERIES)),
        protocol="by hand",
    )


def run(root: Path, cache: Path, out: Path, **options: object) -> EvaluationResult:
    """As a process of its own calls it."""
    return evaluate(
        CachedModel(model(), cache),
        town(root),
        out=out,
        recall_values=(1, 3, 20),
        candidates=4,
        batch_size=2,
        **options,
    )  # type: ignore[arg-type]


def answers(result: EvaluationResult) -> list[tuple[object, ...]]:
    return [
        (q.name, q.global_rank, q.reranked_rank, q.global_top, q.reranked_top, q.num_matches, q.skipped is None)
        for q in result.queries
    ]


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return model()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PlaceDataset:
    root = tmp_path_factory.mktemp("town")
    draw_town(root)
    return town(root)


@pytest.fixture(scope="module")
def undisturbed(dataset: PlaceDataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[EvaluationResult, Path]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return run(dataset.root, folder / "cache", folder / "out"), folder / "out"


def extracted(extractor: Extractor, places: tuple[Place, ...], **options: int) -> dict[int, Features]:
    return {
        i: found for batch in extract_places(extractor, places, batch_size=1, **options) for i, found in batch.features
    }


def by_hand(extractor: Extractor, dataset: PlaceDataset, candidates: int) -> dict[int, tuple[list[int], list[int]]]:
    """Both stages' orders of the database per usable query, from the features and ``fol.rerank`` alone."""
    side = dataset.rules.query_short_side
    database = extracted(extractor, dataset.database)
    queries = extracted(extractor, dataset.queries, **({} if side is None else {"short_side": side}))
    found = {}
    for number, query in queries.items():
        members = [i for i in database if _searched(dataset, number, i)]
        similarity = torch.stack([query.descriptor @ database[i].descriptor for i in members])
        order = [members[i] for i in torch.argsort(similarity, descending=True, stable=True).tolist()]
        top = order[:candidates]
        scores = torch.stack([query.descriptor @ database[i].descriptor for i in top])
        ranking = fol.rerank(query.local, [database[i].local for i in top], scores, "fol")
        found[number] = (order, [top[i] for i in ranking.ids.tolist()] + order[candidates:])
    return found


def _searched(dataset: PlaceDataset, query: int, database: int) -> bool:
    groups, own = dataset.rules.database_groups, dataset.rules.query_groups
    return groups is None or own is None or groups[database] == own[query]


def check(dataset: PlaceDataset, extractor: Extractor, out: Path, depth: int = 20) -> None:
    rankings = read_rankings(out / "rankings.jsonl")
    expected = by_hand(extractor, dataset, candidates=4)
    assert {i for i, query in enumerate(dataset.queries) if rankings[query.name].skipped is None} == set(expected)
    for number, (before, after) in expected.items():
        ranking = rankings[dataset.queries[number].name]
        assert ranking.retrieved == tuple(before[:depth])
        assert ranking.reranked == tuple(after[:depth])


def test_against_brute_force(
    dataset: PlaceDataset, extractor: Extractor, undisturbed: tuple[EvaluationResult, Path]
) -> None:
    result, out = undisturbed
    check(dataset, extractor, out)
    assert [query.name for query in result.skipped] == ["queries/08.png"]
    assert result.not_in_map == ("database/11.png",)
    assert {"extract", "retrieve", "read", "rerank"} <= set(result.seconds)
    assert result.bytes_per_image["descriptors"] == 4 * extractor.descriptor_dim
    assert result.bytes_per_image["local"] > 1000
    assert read_result(out) == result


def test_like_a_map_of_16_bits(
    dataset: PlaceDataset, extractor: Extractor, undisturbed: tuple[EvaluationResult, Path], tmp_path: Path
) -> None:
    built = PlaceMap.build(tmp_path / "town.fol", extractor, dataset.database, local=LocalStoreOptions(bits=16))
    localizer = Localizer(extractor, built.place_map)
    served = evaluate(localizer, dataset, out=tmp_path / "out", recall_values=(1, 3, 20), candidates=4)
    assert answers(served) == answers(undisturbed[0])


def test_parts_are_searched_for_themselves(dataset: PlaceDataset, extractor: Extractor, tmp_path: Path) -> None:
    rules = SearchRules(np.arange(DATABASE) % 3, np.arange(QUERIES) % 2)  # nobody asks for part 2
    parted = replace(dataset, rules=rules)
    evaluate(CachedModel(extractor, tmp_path / "c"), parted, out=tmp_path / "o", recall_values=(1, 20), candidates=4)
    check(parted, extractor, tmp_path / "o")


def test_a_part_without_database(dataset: PlaceDataset, extractor: Extractor, tmp_path: Path) -> None:
    parted = replace(dataset, rules=SearchRules(np.zeros(DATABASE, np.int64), np.arange(QUERIES) // 8))
    out = tmp_path / "o"
    result = evaluate(CachedModel(extractor, tmp_path / "c"), parted, out=out, recall_values=(1,), candidates=4)
    assert result.queries[0].global_top is not None
    lonely = replace(dataset, rules=SearchRules(np.zeros(DATABASE, np.int64), np.ones(QUERIES, np.int64)))
    result = evaluate(CachedModel(extractor, tmp_path / "c"), lonely, out=out, recall_values=(1,), candidates=4)
    assert result.recall("reranked").hits == {1: 0}


def test_queries_resized_by_the_protocol(dataset: PlaceDataset, extractor: Extractor, tmp_path: Path) -> None:
    small = replace(dataset, rules=SearchRules(query_short_side=21))
    evaluate(CachedModel(extractor, tmp_path / "c"), small, out=tmp_path / "o", recall_values=(1, 20), candidates=4)
    check(small, extractor, tmp_path / "o")


def test_one_view_of_each_panorama_counts(dataset: PlaceDataset, extractor: Extractor, tmp_path: Path) -> None:
    subject = CachedModel(extractor, tmp_path / "c")
    evaluate(subject, dataset, out=tmp_path / "plain", recall_values=(1, 2, 3), candidates=4)
    order = read_rankings(tmp_path / "plain" / "rankings.jsonl")["queries/00.png"].retrieved
    # The three best answers to query 0 are views of one panorama, and only the fourth is right.
    numbers = np.arange(DATABASE)
    numbers[list(order[:3])] = numbers[order[0]]
    positives = (np.array([order[3]]), *dataset.positives[1:])  # type: ignore[index]
    views = replace(dataset, positives=positives, rules=SearchRules(one_per=numbers))
    result = evaluate(subject, views, out=tmp_path / "views", recall_values=(1, 2, 3), candidates=4)
    assert result.queries[0].global_rank == 2
    unsuppressed = replace(dataset, positives=positives)
    result = evaluate(subject, unsuppressed, out=tmp_path / "other", recall_values=(1, 2, 3), candidates=4)
    assert result.queries[0].global_rank == 4


def test_local_features_of_candidates_alone_give_the_same(
    dataset: PlaceDataset, extractor: Extractor, undisturbed: tuple[EvaluationResult, Path], tmp_path: Path
) -> None:
    image = extractor.max_tokens * (2 * extractor.local_dim + 2) + 1432
    few = replace(dataset, queries=dataset.queries[:2], positives=dataset.positives[:2], ignored=dataset.ignored[:2])  # type: ignore[index]
    descriptors = (DATABASE + 2) * (4 * extractor.descriptor_dim + 8)
    limited = CachedModel(extractor, tmp_path / "c", max_disk=descriptors + 6 * image)
    options: dict[str, object] = {"recall_values": (1, 3, 20), "candidates": 2}
    result = evaluate(limited, few, out=tmp_path / "o", **options)  # type: ignore[arg-type]
    (folder,) = (tmp_path / "c").iterdir()
    kept = sum(len(part.read_bytes()) // 8 for part in folder.glob("part-*/local.keys"))
    assert kept <= 6 < DATABASE  # two queries, two candidates of each
    whole = evaluate(CachedModel(extractor, tmp_path / "w"), few, out=tmp_path / "p", **options)  # type: ignore[arg-type]
    assert answers(result) == answers(whole)
    with pytest.raises(ConfigError, match="max_disk"):
        too_little = CachedModel(extractor, tmp_path / "z", max_disk=descriptors + 5 * image)
        evaluate(too_little, few, out=tmp_path / "o", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", ["batch_size", "workers", "max_ram", "order"])
def test_what_must_not_matter(
    dataset: PlaceDataset,
    extractor: Extractor,
    undisturbed: tuple[EvaluationResult, Path],
    tmp_path: Path,
    change: str,
) -> None:
    subject = CachedModel(extractor, tmp_path / "c", max_ram=600_000 if change == "max_ram" else None)
    options = {"batch_size": 5 if change == "batch_size" else 2, "workers": 2 if change == "workers" else 0}
    there, back = np.random.default_rng(3).permutation(DATABASE), np.random.default_rng(4).permutation(QUERIES)
    if change == "order":
        new = {int(old): i for i, old in enumerate(there)}
        asked = replace(
            dataset,
            database=tuple(dataset.database[i] for i in there),
            queries=tuple(dataset.queries[i] for i in back),
            positives=tuple(np.array([new[i]]) for i in back.tolist()),
        )
    else:
        asked = dataset
    result = evaluate(subject, asked, out=tmp_path / "o", recall_values=(1, 3, 20), candidates=4, **options)
    assert sorted(answers(result)) == sorted(answers(undisturbed[0]))  # type: ignore[type-var]
    assert result.recall("reranked").hits == undisturbed[0].recall("reranked").hits


CALL = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_cached_answers import run
import torch
torch.set_num_threads(1)
run(*map(Path, sys.argv[1:4]))
"""


def command(*paths: Path) -> list[str]:
    return [sys.executable, "-c", CALL.format(here=str(Path(__file__).parent)), *map(str, paths)]


def killed_once(paths: list[Path], seconds: float) -> bool:
    """Start the evaluation and kill it after so long; whether it had finished before."""
    process = subprocess.Popen(command(*paths), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return False


@pytest.mark.slow
def test_killed_ten_times_at_random_moments(
    dataset: PlaceDataset, undisturbed: tuple[EvaluationResult, Path], tmp_path: Path
) -> None:
    paths = [dataset.root, tmp_path / "cache", tmp_path / "out"]
    started = time.monotonic()
    subprocess.run(command(dataset.root, tmp_path / "other", tmp_path / "elsewhere"), check=True)
    whole = time.monotonic() - started
    moments = random.Random(int.from_bytes(os.urandom(4)))
    kills = 0
    while kills < 10:
        # Most of the time goes into the imports; the last three quarters are aimed at.
        if killed_once(paths, whole * moments.uniform(0.25, 1.05)):
            for file in [*(tmp_path / "out").glob("*.json*"), *(tmp_path / "cache").rglob("*.keys")]:
                file.unlink()  # finished before it could be killed: begin anew
        else:
            kills += 1
    result = run(*paths)
    assert answers(result) == answers(undisturbed[0])
    ours, theirs = (read_rankings(out / "rankings.jsonl") for out in (tmp_path / "out", undisturbed[1]))
    for name, ranking in theirs.items():
        assert ours[name].retrieved == ranking.retrieved and ours[name].reranked == ranking.reranked
        assert np.allclose(ours[name].scores, ranking.scores, atol=1e-5)


def test_several_processes_find_the_same(
    dataset: PlaceDataset, undisturbed: tuple[EvaluationResult, Path], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank in range(2):
        environment = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes.append(
            subprocess.Popen(command(dataset.root, tmp_path / "cache", tmp_path / "out"), env=os.environ | environment)
        )
    assert [process.wait(120) for process in processes] == [0, 0]
    result = read_result(tmp_path / "out")
    assert not list((tmp_path / "out").glob("process-*"))
    assert answers(result) == answers(undisturbed[0])
    assert result.not_in_map == undisturbed[0].not_in_map
    (folder,) = (tmp_path / "cache").iterdir()
    shares = [len((part / "descriptors.keys").read_bytes()) // 8 for part in sorted(folder.iterdir())]
    assert len(shares) == 2 and min(shares) >= 8  # 11 + 8 usable photos
