from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[1] / "tools" / "benchmark.py"


def test_the_benchmark_runs_and_both_formulations_agree():
    words = ["candidates=5", "tokens=300", "repeats=1", "threads=1"]
    done = subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True, check=True)
    assert "largest difference of counts: 0" in done.stdout
    assert "| fol.rerank |" in done.stdout and "| published, whole matrix |" in done.stdout


def test_the_losses_subject_runs_and_its_loops_agree_with_the_official_form():
    words = ["losses", "places=2", "images=2", "size=224", "repeats=1"]
    done = subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True, check=True)
    difference = float(done.stdout.split("differ by ")[1].split()[0])
    assert difference < 1e-5
    assert "| fol, batched |" in done.stdout and "| published, loops |" in done.stdout


def test_mistakes_are_named():
    done = subprocess.run([sys.executable, TOOL, "tokens=many"], capture_output=True, text=True)
    assert done.returncode == 1 and "tokens=many" in done.stderr
    done = subprocess.run([sys.executable, TOOL, "cooking"], capture_output=True, text=True)
    assert done.returncode == 1 and "'cooking' is no subject; choose reranking or losses" in done.stderr
