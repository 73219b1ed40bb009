"""``fol benchmark`` in small: every subject runs, agrees with its baseline, and is written down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fol.benchmarks import SUBJECTS
from fol.cli import main

TOOL = Path(__file__).parents[2] / "tools" / "benchmark.py"
SMALL = {
    "extraction": [
        f"extraction.{o}" for o in ("model=fol_tiny_untrained", "images=3", "size=126", "batch_size=2", "rounds=1")
    ],
    "matching": ["matching.candidates=5", "matching.tokens=300", "matching.rounds=1"],
    "large_search": [
        "large_search.images=2000",
        "large_search.dim=64",
        "large_search.queries=20",
        "large_search.max_ram=400k",
    ],
    "retrieval": ["retrieval.images=300", "retrieval.dim=64", "retrieval.queries=20", "retrieval.rounds=1"],
    "store": ["store.images=6", "store.candidates=3", "store.rounds=1"],
    "end_to_end": ["end_to_end.images=4", "end_to_end.size=126", "end_to_end.candidates=3", "end_to_end.rounds=1"],
    "netvlad": ["netvlad.channels=16", "netvlad.clusters=8", "netvlad.rounds=1"],
    "losses": ["losses.places=2", "losses.images=2", "losses.size=224", "losses.rounds=1"],
}


@pytest.mark.parametrize("subject", list(SUBJECTS))
def test_a_subject_runs_and_is_written_down(subject, tmp_path, capsys):
    assert main(["benchmark", subject, "threads=1", f"out={tmp_path}", *SMALL[subject]]) == 0
    printed = capsys.readouterr().out
    written = (tmp_path / "benchmark.md").read_text()
    assert f"### {subject}" in printed and f"### {subject}" in written
    assert "Peaks of this machine, measured: float32 products" in written
    assert Image.open(tmp_path / "benchmark.png").size[0] > 300
    if subject == "matching":
        assert "| exact | " in written and "identical counts |" in written
    if subject == "retrieval":
        assert "| flat | " in written and "| rabitq | " in written
        assert "64 bytes a photo (4 times less), built in" in written and "1@1 1.000, 1@10 1.000" in written
    if subject == "extraction":
        assert "| bfloat16 | " in written and "descriptors' cosine to float32 at least 1.0000" in written
    if subject == "losses":
        assert float(written.split("differ by ")[1].split()[0].rstrip(".")) < 1e-5
    if subject == "netvlad":
        assert float(written.split("differ by at most ")[1].split()[0].rstrip(".")) < 1e-4


def test_the_tool_is_the_same_command(tmp_path):
    done = subprocess.run([sys.executable, TOOL, "cooking", f"out={tmp_path}"], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"unknown subject 'cooking'; choose among {', '.join(SUBJECTS)}" in done.stderr
