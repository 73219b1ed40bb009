"""``fol challenge``: from an evaluation's files to a prediction file, and from there to the score."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from replicas.msls import write_msls

from fol.cli import main
from fol.data import PlaceDataset, format_at_name, read_dataset
from fol.data.catalogue import read_protocol
from fol.evaluation import EvaluationResult, QueryResult, Subject, write_result
from fol.evaluation.challenge_files import challenge_key, read_predictions
from fol.evaluation.journal import VERSION, QueryRanking
from fol.evaluation.report import RANKINGS

KEYS = {
    "q_near": "q_near-eeeeeeeeeeeeeeee",
    "db_0": "db_0-aaaaaaaaaaaaaaaaaa",
    "db_25": "db_25_bbbbbbbbbbbbbbbbb",
    "db_far": "db_far_dddddddddddddddd",
}


@pytest.fixture
def msls(tmp_path: Path) -> Path:
    return write_msls(tmp_path / "MSLS", pictures=False)


def _dataset(folder: Path) -> PlaceDataset:
    """Copenhagen's photos as VPR-datasets-downloader names them; files are not looked into."""
    for side, easts in (("database", {"db_0": 0, "db_25": 35, "db_far": 500}), ("queries", {"q_near": 10})):
        (folder / side).mkdir(parents=True)
        for name, east in easts.items():
            photo = format_at_name(easting=347000 + east, northing=6172500, zone="33U", pano_id=KEYS[name])
            (folder / side / photo).write_bytes(b"")
    return read_dataset(folder)


def _result(folder: Path, dataset: PlaceDataset, config: dict[str, object] | None = None) -> Path:
    """The files of an evaluation: retrieved db_25, db_far, db_0; re-ranked db_0, db_25, db_far; for all queries."""
    folder.mkdir()
    number = {challenge_key(place): i for i, place in enumerate(dataset.database)}
    retrieved = tuple(number[KEYS[name]] for name in ("db_25", "db_far", "db_0"))
    reranked = tuple(number[KEYS[name]] for name in ("db_0", "db_25", "db_far"))
    lines: list[object] = [{"journal": VERSION, "key": {}}]
    for query in dataset.queries:
        ranking = QueryRanking(query.name, retrieved, (0.9, 0.8, 0.7), reranked, (9.0, 5.0, 1.0), (9, 5, 1), {})
        lines.append({"queries": [asdict(ranking)], "peak_memory": {}})
    (folder / RANKINGS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    subject = Subject("m", "ab" * 32, "fol", "fol", {}, "cph", "", dataset.protocol, len(dataset.database), 3)
    queries = tuple(QueryResult(query.name, 2, 1, 1) for query in dataset.queries)
    result = EvaluationResult(subject, (1,), "count_as_miss", True, queries)
    write_result(result, folder, config or {"data": {"root": str(dataset.root), "radius": 25.0}})
    return folder


def test_from_an_evaluation_to_its_score(tmp_path: Path, msls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = _result(tmp_path / "runs", _dataset(tmp_path / "cph"))
    reranked, retrieved = tmp_path / "new folder" / "p.txt", tmp_path / "p.zip"
    assert main(["challenge", "write", str(result), "--out", str(reranked)]) == 0
    captured = capsys.readouterr()
    assert f"{reranked}: 1 queries, 3 answers each (reranked)" in captured.out
    assert "fewer than top=25" in captured.err
    assert reranked.read_text() == f"{KEYS['q_near']} {KEYS['db_0']} {KEYS['db_25']} {KEYS['db_far']}\n"
    assert main(["challenge", "write", str(result), f"out={retrieved}", "stage=global", "top=2"]) == 0
    assert read_predictions(retrieved) == {KEYS["q_near"]: (KEYS["db_25"], KEYS["db_far"])}
    capsys.readouterr()

    scored = ["challenge", "score", str(reranked), "--root", str(msls), "split=val", "cities=[cph]"]
    assert main([*scored, "--out", str(tmp_path / "score.json")]) == 0
    captured = capsys.readouterr()
    assert "im2im, cph: 1 queries (1 without positives dropped) against 3 of the database" in captured.out
    # Both positives come first: everything is 1.
    assert "all_recall@1: 1.000\n" in captured.out and "all_map@20: 1.000\n" in captured.out
    assert "see no more" in captured.err
    document = json.loads((tmp_path / "score.json").read_text())
    assert document["metrics"]["all_map@5"] == 1.0 and document["queries"] == 1 and document["cities"] == ["cph"]

    assert main(["challenge", "score", str(retrieved), "--root", str(msls), "split=val", "cities=[cph]"]) == 0
    # One of two positives, at the first place.
    assert "all_map@5: 0.500\n" in capsys.readouterr().out


def test_the_data_set_may_have_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = _result(tmp_path / "runs", _dataset(tmp_path / "cph"))
    (tmp_path / "cph").rename(tmp_path / "moved")
    words = ["challenge", "write", str(result), "--out", str(tmp_path / "p.txt")]
    assert main(words) == 1
    assert "cph: no such folder" in capsys.readouterr().err
    assert main([*words, "--root", str(tmp_path / "moved")]) == 0
    next((tmp_path / "moved" / "database").iterdir()).unlink()
    assert main([*words, "--root", str(tmp_path / "moved")]) == 1
    assert "has 2 database images" in capsys.readouterr().err


def test_a_benchmark_under_its_protocol(tmp_path: Path, msls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = read_protocol("msls_val@official", msls)
    data = {"root": None, "radius": 25.0}
    result = _result(tmp_path / "runs", dataset, {"datasets": [str(msls)], "data": data})
    path = tmp_path / "p.txt"
    assert main(["challenge", "write", str(result), "--out", str(path)]) == 0
    near, far = read_predictions(path), "q_far-fffffffffffffffff"
    assert near[KEYS["q_near"]] == (KEYS["db_0"], KEYS["db_25"], KEYS["db_far"]) == near[far]
    assert main(["challenge", "score", str(path), "--root", str(msls), "split=val"]) == 0
    # San Francisco's two queries were answered with Copenhagen's photos.
    assert "all_recall@1: 0.333" in capsys.readouterr().out
    several = _result(tmp_path / "several", dataset, {"datasets": ["a", "b"], "data": data})
    words = ["challenge", "write", str(several), "--out", str(path)]
    assert main(words) == 1
    assert "names 2 data sets: give root=" in capsys.readouterr().err
    assert main([*words, "--root", str(msls)]) == 0


def test_the_score_is_that_of_the_evaluation(tmp_path: Path) -> None:
    """The same numbers by two ways: the evaluation under the protocol, and its predictions scored from the files."""
    msls, out, path = write_msls(tmp_path / "MSLS"), tmp_path / "runs", tmp_path / "p.zip"
    model = ["model=hog", f"data={msls}", "protocol=msls_val@official"]
    assert main(["evaluate", *model, "--out", str(out)]) == 0
    assert main(["challenge", "write", str(out), "--out", str(path), "stage=global"]) == 0
    score = ["challenge", "score", str(path), "--root", str(msls), "split=val"]
    assert main([*score, "--out", str(tmp_path / "score.json")]) == 0
    evaluated = json.loads((out / "results.json").read_text())
    metrics = json.loads((tmp_path / "score.json").read_text())["metrics"]
    for k in ("1", "5", "10", "20"):
        assert metrics[f"all_recall@{k}"] == pytest.approx(evaluated["recall"]["global"]["drop"][k])
        assert metrics[f"all_map@{k}"] == pytest.approx(evaluated["measures"]["global"]["average_precision"][k])


def test_all_cities_of_a_split(tmp_path: Path, msls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.txt"
    path.write_text(f"{KEYS['q_near']} x\nsf_q_0-kkkkkkkkkkkkkkkk x\nsf_q_100-llllllllllllll x\n")
    assert main(["challenge", "score", str(path), "--root", str(msls), "split=val"]) == 0
    captured = capsys.readouterr()
    assert "im2im, cph, sf: 3 queries" in captured.out and "all_recall@20: 0.000" in captured.out
    assert "3 answers are no photos of these cities" in captured.err
    assert main(["challenge", "score", str(path), "--root", str(msls)]) == 1
    assert "no such city; cities that are there: miami" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["guess", "p.txt"], "choose write or score"),
        (["write", "runs"], "needs out"),
        (["write", "runs", "out=p.txt"], "is runs a result of fol evaluate?"),
        (["write", "runs", "out=p.txt", "stage=both"], "stage=both"),
        (["score", "p.txt"], "needs root"),
        (["score", "p.txt", "root=x", "split=train"], "split=train"),
        (["score", "absent.txt", "root=x"], "absent.txt: cannot be read"),
    ],
)
def test_errors(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["challenge", *words]) == 1
    assert message in capsys.readouterr().err


def test_damaged_rankings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = _result(tmp_path / "runs", _dataset(tmp_path / "cph"))
    (result / RANKINGS).write_text("{}\n")
    assert main(["challenge", "write", str(result), "--out", str(tmp_path / "p.txt")]) == 1
    assert "cannot be read: run the evaluation again" in capsys.readouterr().err
    assert not (tmp_path / "p.txt").exists()
