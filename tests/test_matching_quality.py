"""The tool that measures what cheaper matching costs, on a small city."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fol.data.synthetic import make_city

TOOL = Path(__file__).parents[1] / "tools" / "matching_quality.py"


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    return make_city(tmp_path_factory.mktemp("quality") / "city", places=3, seed=0, size=126)


@pytest.mark.parametrize(
    ("study", "first", "last"),
    [
        ("budget", "all", "100 by stride"),
        ("methods", "exact", "candidates within 0.3"),
        ("store", "16 bits", "1 bit, 225 tokens"),
    ],
)
def test_a_study_has_a_line_per_variant(city, tmp_path, study, first, last):
    words = [study, str(city), "--model", "fol_tiny_untrained", "--size", "126", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / f"{study}.md").read_text()
    assert table == done.stdout
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert rows[0][0] == f"| {first}" and rows[-1][0] == f"| {last}"
    assert rows[0][4] == "100.0"  # the first variant gives its own first places
    assert (tmp_path / "budget.png").is_file() == (study == "budget")


def test_a_folder_without_data_is_one_line(tmp_path):
    done = subprocess.run([sys.executable, TOOL, "budget", str(tmp_path / "none")], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
