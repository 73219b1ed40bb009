"""Pages that ``fol evaluate`` and ``fol report`` write."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from fol.cli import main
from fol.data.synthetic import make_city

WORDS = ["candidates=5", "recall_values=[1,8]"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two models on one city."""
    base = tmp_path_factory.mktemp("report")
    city = make_city(base / "city", places=4, size=64)
    words = ["evaluate", str(city), "models=[fol_nano_untrained,grey]", "--out", str(base / "runs"), *WORDS]
    assert main([*words, "pictures=4"]) == 0
    return base / "runs"


def test_evaluate_writes_pages(runs):
    for model in ("fol_nano_untrained", "grey"):
        page = (runs / "city" / model / "report.html").read_text()
        assert page.count("data:image/jpeg") >= 8 and "utm&lt;=25m" in page
    assert '"lines":' in (runs / "city" / "fol_nano_untrained" / "report.html").read_text()
    comparison = (runs / "comparison.html").read_text()
    assert 'href="city/grey/report.html"' in comparison
    assert len(list(csv.reader((runs / "comparison.csv").open()))) == 1 + 2 * 2 + 2
    assert "grey R@1" in (runs / "comparison.md").read_text()


def test_no_report_and_no_pictures(runs, tmp_path):
    city = runs.parent / "city"
    words = ["evaluate", f"data={city}", "model=grey", *WORDS]
    assert main([*words, "--out", str(tmp_path / "a"), "report=false"]) == 0
    assert not list((tmp_path / "a").glob("*.html"))
    assert main([*words, "--out", str(tmp_path / "b"), "pictures=0"]) == 0
    assert "data:image" not in (tmp_path / "b" / "report.html").read_text()
    assert not (tmp_path / "b" / "comparison.html").exists()


def test_report_of_folders(runs, tmp_path, capsys):
    out = tmp_path / "pages" / "all.html"
    assert main(["report", str(runs), "--out", str(out), "pictures=10"]) == 0
    printed = capsys.readouterr()
    assert str(out) in printed.out and str(out.with_suffix(".csv")) in printed.out and not printed.err
    assert out.read_text().count("data:image") > 0
    assert main(["report", str(runs), "--out", str(out), "pictures=0"]) == 0
    assert "data:image" not in out.read_text()


def test_report_without_the_data_set(runs, tmp_path, capsys):
    moved = shutil.copytree(runs / "city", tmp_path / "moved")
    for config in moved.rglob("config.yaml"):
        config.write_text(config.read_text().replace(str(runs.parent / "city"), "/nowhere"))
    assert main(["report", str(moved), "--out", str(tmp_path / "all.html")]) == 0
    assert capsys.readouterr().err.count("is not where it was") == 1, "said once for a data set"
    page = (tmp_path / "all.html").read_text()
    assert "data:image" not in page and "photo not found" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--out", "all.pdf"], "ends in .html"),
        (["x", "pictures=-1"], "pictures=-1"),
        (["nowhere"], "is nowhere a result of fol evaluate?"),
        ([], "needs folders"),
    ],
)
def test_errors(words, message, capsys):
    assert main(["report", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
