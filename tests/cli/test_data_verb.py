"""``fol data``: the catalogue on screen, downloads checked and laid out."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from replicas.amstertime import write_amstertime
from replicas.catalogue import write_native
from replicas.msls import write_msls
from replicas.nordland import write_vpr_bench_nordland
from replicas.pictures import write_picture
from replicas.tokyo import write_tokyo247

from fol.cli import main
from fol.data import catalogue
from fol.data.benchmark import Benchmark
from fol.data.catalogue import CATALOGUE, PROTOCOLS
from fol.data.protocol import PublishedCounts


def run(*words: object) -> int:
    return main(["data", *map(str, words)])


def use(monkeypatch: pytest.MonkeyPatch, benchmark: Benchmark) -> None:
    """The catalogue with another entry: published counts that a replica can have."""
    monkeypatch.setitem(catalogue.CATALOGUE, benchmark.name, benchmark)  # type: ignore[arg-type]


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    printed = capsys.readouterr().out
    for name in CATALOGUE:
        assert f" {name} " in printed
    assert "10,000 " in printed and "2,805,840* " in printed and "* as printed in papers" in printed
    assert "nordland@vprbench" in printed  # whose name does not begin with its benchmark's


def test_one_benchmark_and_one_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "msls_val") == 0
    printed = capsys.readouterr().out
    assert "msls_val@official: subtask all, no panoramas" in printed and "msls_val@n2d: " in printed
    assert "18,871 database, 747 queries, 740 of them with positives" in printed
    assert "11,084 queries, about, as printed in papers" in printed and "train_val, images/val/queries" in printed
    assert run("list", "tokyo247@nms") == 0
    printed = capsys.readouterr().out
    assert "640 px" in printed and "tokyo247@short480" not in printed and "315*" in printed
    for name in [*CATALOGUE, *PROTOCOLS]:
        assert run("list", name) == 0


def test_prepare_says_what_to_run_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_native("svox_night", tmp_path / "native")
    out = tmp_path / "my sets" / "svox"
    assert run("prepare", "svox_night", "--from", root, "--out", out) == 0
    printed = capsys.readouterr()
    assert "linking: " in printed.err and f"{out}/images/test: 1 database, 1 queries\n" in printed.out
    command = next(line for line in printed.out.splitlines() if line.startswith("now: ")).removeprefix("now: fol ")
    words = [*shlex.split(command), "model=grey", f"out={tmp_path / 'result'}"]
    assert main(words) == 0
    assert json.loads((tmp_path / "result" / "results.json").read_text())["protocol"] == "svox_night@25m"


def test_prepare_tells_what_is_missing_and_other_protocols(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_msls(tmp_path / "native")
    gone = root / "train_val" / "cph" / "query" / "images" / "q_far-fffffffffffffffff.jpg"
    gone.unlink()
    assert run("prepare", "msls_val@d2n", "from=" + str(root), "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "1 photos are missing" in printed and f"missing: {gone}" in printed
    assert "protocol=msls_val@d2n\nor protocol=msls_val@official, msls_val@all" in printed
    assert (tmp_path / "out" / "images" / "val" / "queries.csv").is_file()


def test_verify_a_whole_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, replace(CATALOGUE["amstertime"], counts=(3, 3)))
    root = write_amstertime(tmp_path / "native")
    assert run("verify", "amstertime", "--from", root, "workers=2", "--out", tmp_path / "new" / "report.json") == 0
    printed = capsys.readouterr()
    assert "decoding: 6/6" in printed.err and "3 database, 3 queries (as published)" in printed.out
    assert "amstertime@pairs: 3 database, 3 queries, 0 without positives, median positives 1\n" in printed.out
    assert printed.out.endswith("amstertime is complete\n")
    document = json.loads((tmp_path / "new" / "report.json").read_text())
    assert document["complete"] and document["faults"] == [] and document["published"] == [3, 3]
    assert document["protocols"]["amstertime@pairs"]["median_positives"] == 1
    monkeypatch.chdir(root)
    assert run("verify", "amstertime") == 0
    assert run("prepare", "amstertime", "--from", ".", "--out", tmp_path / "out") == 0
    assert run("verify", "amstertime", "--from", tmp_path / "out") == 0


def test_verify_lists_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_msls(tmp_path / "native")
    images = root / "train_val" / "cph" / "database" / "images"
    (images / "db_0-aaaaaaaaaaaaaaaaaa.jpg").write_bytes(b"")
    whole = (images / "db_25_bbbbbbbbbbbbbbbbb.jpg").read_bytes()
    (images / "db_25_bbbbbbbbbbbbbbbbb.jpg").write_bytes(whole[:-60])
    (images / "db_far_dddddddddddddddd.jpg").unlink()
    query = root / "train_val" / "sf" / "query" / "images" / "sf_q_0-kkkkkkkkkkkkkkkk.jpg"
    query.write_bytes((images / "db_pano-cccccccccccccc.jpg").read_bytes())
    report = tmp_path / "report.json"
    assert run("verify", "msls_val", "--from", root, "--out", report) == 1
    printed = capsys.readouterr()
    assert f"missing: {images / 'db_far_dddddddddddddddd.jpg'}" in printed.out
    assert "is empty (0 bytes); the empty photos of MSLS are in its patch_v1.1.zip" in printed.out
    assert "db_25_bbbbbbbbbbbbbbbbb.jpg: is damaged or truncated" in printed.out
    assert "query in the database: sf/query/images/sf_q_0" in printed.out and "the same bytes: " in printed.out
    assert (
        "msls_val@official: 5 database, 4 queries, 1 without positives, median positives 1 (published: " in printed.out
    )
    assert "(published: 18871 and 11084, as printed in papers: another number is no fault)" in printed.out
    assert "msls_val@s2w: cannot be measured: " in printed.out
    errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert errors == [
        f"error: {root}: msls_val is not complete: 1 photos are missing, 2 broken; "
        "msls_val@official has other counts than published"
    ]
    document = json.loads(report.read_text())
    assert not document["complete"] and len(document["broken"]) == 2 and len(document["missing"]) == 1
    assert document["protocols"]["msls_val@all"]["as_published"] is False
    assert "no database photo takes part" in document["protocols"]["msls_val@s2w"]["problem"]


def test_counts_of_a_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_msls(tmp_path)
    own = CATALOGUE["msls_val"]
    for with_positives, right in ((3, True), (4, False)):
        official = replace(own.protocols[0], published=PublishedCounts(5, 4, with_positives))
        use(monkeypatch, replace(own, protocols=(official, *own.protocols[1:])))
        assert run("verify", "msls_val", "--from", root) == (0 if right else 1)
        printed = capsys.readouterr().out
        assert ("1 without positives, median positives 1 (as published)" in printed) is right


def test_more_than_twenty_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_tokyo247(tmp_path)[0].parents[1]
    for path in (tmp_path / "tokyo247").rglob("*.png"):
        path.unlink()
    assert run("verify", "tokyo247", "--from", root, "--out", tmp_path / "report.json") == 1
    printed = capsys.readouterr().out
    assert printed.count("missing: ") == 20 and "... and 4 more" in printed
    assert len(json.loads((tmp_path / "report.json").read_text())["missing"]) == 24
    assert run("prepare", "tokyo247", "--from", root, "--out", tmp_path / "out") == 1
    assert "none of its 24 photos is there" in capsys.readouterr().err


def test_ground_truth_that_was_never_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The test cities before 2026: whole photos that nothing can be measured on."""
    root = write_msls(tmp_path, test_positions=False)
    for city in ("athens", "buenosaires", "stockholm", "bengaluru", "kampala"):
        (root / "test" / city).symlink_to(root / "test" / "miami")
    assert run("verify", "msls_test", "--from", root) == 1
    printed = capsys.readouterr()
    assert "msls_test@city: cannot be measured: " in printed.out and "have no coordinates" in printed.out
    assert printed.err.splitlines()[-1].endswith("msls_test is not complete: no protocol can be measured")


def test_convert_npy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_vpr_bench_nordland(tmp_path)
    assert run("convert-npy", root / "Nordland_gt.npy") == 0
    assert capsys.readouterr().out == f"{root / 'Nordland_gt.json'}: written\n"
    assert json.loads((root / "Nordland_gt.json").read_text())["positives"][1] == [9, 10, 11]
    assert run("convert-npy", root / "Nordland_gt.npy", "--out", tmp_path / "other.json") == 0
    assert (tmp_path / "other.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["guess"], "choose one of list, prepare, verify, convert-npy"),
        ([], "needs action"),
        (["list", "msls"], "'msls' is no benchmark and no protocol; did you mean msls_"),
        (["prepare"], "needs the name of a benchmark"),
        (["prepare", "sped"], "needs from"),
        (["prepare", "sped", "--from", "x"], "needs out"),
        (["prepare", "sped", "--from", "x", "--out", "y"], "x: no such folder"),
        (["verify", "sped", "--from", "x", "workers=0"], "workers=0"),
        (["verify", "sped", "--from", "x"], "x: no such folder"),
        (["verify", "sped"], "is no download of sped: none of ref is there"),
        (["convert-npy"], "needs the .npy file"),
        (["convert-npy", "x.npy"], "x.npy: cannot be read"),
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
    assert run(*words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


def test_another_set_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = write_native("svox_night", tmp_path / "native"), tmp_path / "out"
    assert run("prepare", "svox_night", "--from", root, "--out", out) == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert run("prepare", "svox", "--from", root, "--out", out) == 1
    assert "holds svox_night, not svox" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    write_picture(out / "images" / "test" / "queries" / "mine.jpg")
    assert run("prepare", "svox_night", "--from", root, "--out", out) == 1
    assert "mine.jpg: choose an empty folder" in capsys.readouterr().err
