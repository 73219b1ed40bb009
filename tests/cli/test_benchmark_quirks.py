"""What downloads are really like, through the command line: what must work, and what must be said in one line."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from replicas.amstertime import write_amstertime
from replicas.at_layout import write_svox
from replicas.catalogue import write_native
from replicas.dbstruct import fields, write_mat
from replicas.msls import CPH, write_msls
from replicas.openibl import META, write_openibl
from replicas.pictures import write_picture
from replicas.pittsburgh import DATABASE, QUERIES, write_pittsburgh
from replicas.tokyo import write_tokyo247
from replicas.vpr_bench import write_sped

from fol.cli import main


def evaluate(root: Path, protocol: str, out: Path, *words: str, model: str = "grey") -> dict[str, object]:
    assert main(["evaluate", f"data={root}", f"protocol={protocol}", "--out", str(out), f"model={model}", *words]) == 0
    document: dict[str, object] = json.loads((out / "results.json").read_text())
    return document


def recall(document: dict[str, object], stage: str = "global", rule: str = "count_as_miss") -> dict[str, float]:
    assert isinstance(document["recall"], dict)
    return document["recall"][stage][rule]


def counts(document: dict[str, object]) -> dict[str, int]:
    assert isinstance(document["counts"], dict)
    return document["counts"]


def test_listed_as_jpg_there_as_png(tmp_path: Path) -> None:
    write_tokyo247(tmp_path / "tokyo@24.7")
    found = evaluate(tmp_path / "tokyo@24.7", "tokyo247", tmp_path / "out")
    assert counts(found)["database"] == 24 and counts(found)["database_not_in_map"] == 0


def test_upper_case_extensions(tmp_path: Path) -> None:
    root = write_pittsburgh(tmp_path / "pitts")
    for path in [*root.parent.glob("0*/*.jpg"), *root.parent.glob("queries_real/0*/*.jpg")]:
        path.rename(path.with_suffix(".JPG"))
    sped = write_sped(tmp_path / "sped")
    for path in sped.rglob("*.jpg"):
        path.rename(path.with_suffix(".JPG"))
    for folder, protocol, size in ((root.parents[1], "pitts30k_test", 25), (sped, "sped", 3)):
        found = evaluate(folder, protocol, tmp_path / f"out-{protocol}")
        assert counts(found)["database"] == size and counts(found)["database_not_in_map"] == 0
        assert main(["data", "prepare", protocol, "--from", str(folder), "--out", str(tmp_path / protocol)]) == 0
        again = evaluate(tmp_path / protocol, protocol, tmp_path / f"again-{protocol}")
        assert again["recall"] == found["recall"] and counts(again)["skipped_queries"] == 0


def test_queries_without_positives_are_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_msls(tmp_path / "MSLS@2026")
    found = evaluate(root, "msls_val@official", tmp_path / "out")
    assert counts(found) | {"queries": 4, "queries_without_positives": 1, "database": 5} == counts(found)
    assert isinstance(found["rule"], dict) and found["rule"]["without_positives"] == "drop"
    # San Francisco and Copenhagen are searched apart: with at most three photos each, all three are found.
    assert recall(found, rule="drop")["5"] == 1.0 and recall(found)["5"] == 0.75
    assert "1 queries without positives" in capsys.readouterr().err


def test_patch_files_over_the_download(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Empty photos are missed and told; with the patch unpacked over them the same command goes on."""
    root = write_msls(tmp_path / "native")
    photo = root / "train_val" / "cph" / "database" / "images" / f"{CPH['database'][0].key}.jpg"
    whole = photo.read_bytes()
    photo.write_bytes(b"")
    found = evaluate(root, "msls_val@official", tmp_path / "out")
    assert counts(found)["database_not_in_map"] == 1 and found["not_in_map"] == [f"cph/database/images/{photo.name}"]
    assert "is empty (0 bytes)" in capsys.readouterr().err
    photo.write_bytes(whole)
    found = evaluate(root, "msls_val@official", tmp_path / "patched", f"cache={tmp_path / 'out' / 'features'}")
    assert counts(found)["database_not_in_map"] == 0


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    root = write_amstertime(tmp_path / "native")
    odd = os.fsdecode(b"caf\xe9")
    for folder, extension in (("new", "png"), ("old", "jpg")):
        (root / folder / f"10.{extension}").rename(root / folder / f"{odd}.{extension}")
    found = evaluate(root, "amstertime", tmp_path / "out")
    assert counts(found)["queries"] == 3 and counts(found)["skipped_queries"] == 0
    assert "caf\\xe9.jpg" in (tmp_path / "out" / "queries.csv").read_text()
    assert main(["data", "prepare", "amstertime", "--from", str(root), "--out", str(tmp_path / "prepared")]) == 0
    again = evaluate(tmp_path / "prepared", "amstertime", tmp_path / "again")
    assert again["recall"] == found["recall"] and counts(again)["skipped_queries"] == 0


def test_a_database_of_one_photo_and_k_beyond_it(tmp_path: Path) -> None:
    root = write_svox(tmp_path / "svox")
    words = ("recall_values=[1,5,100]", "candidates=50")
    found = evaluate(root, "svox", tmp_path / "out", *words, model="fol_nano_untrained")
    assert counts(found)["database"] == 1
    for stage in ("global", "reranked"):
        assert recall(found, stage) == {"1": 1.0, "5": 1.0, "100": 1.0}


def test_a_photo_that_broke_off_is_skipped_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_sped(tmp_path / "sped")
    for broken in (root / "ref" / "0000001.jpg", root / "query" / "0000002.jpg"):
        write_picture(broken, size=(640, 480))
        broken.write_bytes(broken.read_bytes()[:-500])
    found = evaluate(root, "sped", tmp_path / "out", "workers=2", "batch_size=1", model="fol_nano_untrained")
    assert counts(found)["skipped_queries"] == 1 and found["not_in_map"] == ["0000001.jpg"]
    assert recall(found)["100"] == pytest.approx(1 / 3)  # of the others one has its photo, one has lost it
    assert "skipped query 0000002.jpg: " in capsys.readouterr().err


def broken_download(kind: str, root: Path) -> str:
    """A download with one fault; the protocol to measure it under."""
    if kind == "city":
        write_msls(root)
        shutil.rmtree(root / "train_val" / "sf")
        return "msls_val@official"
    if kind in ("column", "cell", "metadata"):
        path = write_msls(root) / "train_val" / "cph" / "query" / "postprocessed.csv"
        text = path.read_text()
        if kind == "metadata":
            path.unlink()
        else:
            path.write_text(
                text.replace("easting", "utm_east") if kind == "column" else text.replace("347010.0", "east")
            )
        return "msls_val@all"
    if kind in ("fields", "structure", "mat"):
        path = write_pittsburgh(root)
        if kind == "mat":
            path.write_bytes(path.read_bytes()[:200])
        elif kind == "structure":
            scipy.io.savemat(path, {"dataset": {"dbImageFns": 1}})
        else:
            struct = fields("test", DATABASE, QUERIES)
            struct["utmDatabase"] = struct.pop("utmDb")
            write_mat(path, struct)
        return "pitts30k_test"
    if kind in ("gap", "partner"):
        write_sped(root)
        (root / ("ref" if kind == "gap" else "query") / "0000001.jpg").unlink()
        return "sped"
    if kind == "split":
        write_openibl(root)
        (root / "splits_30k.json").write_text(json.dumps({"db_test": [len(META["utm"])], "q_test": [0]}))
        return "pitts30k_test"
    if kind == "name":
        write_native("st_lucia", root)
        write_picture(root / "images" / "test" / "database" / "@0620000.00@north@.jpg")
        return "st_lucia"
    np.save(write_sped(root) / "x.npy", np.zeros(3))
    return "tokyo247"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("city", "train_val/sf: no such city; cities that are there: cph"),
        ("column", "postprocessed.csv: has no column easting"),
        ("cell", "postprocessed.csv line 2, column easting: 'east' is not a number"),
        ("metadata", "postprocessed.csv: no such file: unpack metadata.zip of MSLS"),
        ("fields", "dbStruct has no field utmDb (it has whichSet, dbImageFns"),
        ("structure", "has no structure dbStruct (it holds dataset)"),
        ("mat", "is not a whole .mat file"),
        ("gap", "there is no photo 1 in"),
        ("split", "splits_30k.json key db_test: '4' is no identity"),
        ("name", "field UTM_north: 'north' is not a number"),
        ("other", "is no download of tokyo247: none of tokyo247.mat"),
    ],
)
def test_one_line_and_no_traceback(kind: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "from@here"
    protocol = broken_download(kind, root)
    name = protocol.partition("@")[0]
    for words in (
        ["evaluate", f"data={root}", f"protocol={protocol}", "--out", str(tmp_path / "out"), "model=grey"],
        ["data", "verify", name, "--from", str(root)],
        ["data", "prepare", name, "--from", str(root), "--out", str(tmp_path / "prepared")],
    ):
        assert main(words) == 1
        captured = capsys.readouterr()
        (line,) = captured.err.splitlines()
        assert line.startswith(f"error: {root}") and message in line and not captured.out
    assert not (tmp_path / "prepared").exists()
