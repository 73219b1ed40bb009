"""The tool that measures how fast cities are rendered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fol.data.synthetic.levels import LEVELS


def test_every_level_has_a_line():
    tool = Path(__file__).parents[3] / "tools" / "city_rate.py"
    words = ["--places", "1", "--size", "56"]
    done = subprocess.run([sys.executable, tool, *words], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()[2:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == list(LEVELS)
    assert all(float(line.split(" | ")[2].rstrip(" |")) > 0 for line in lines)
