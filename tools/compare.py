"""Several results of ``fol evaluate`` in one Markdown table: data sets as rows, models as columns.

    python tools/compare.py runs/a runs/b ... [--k 5]

A folder that holds no results.json stands for all results below it, in the order of their paths.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fol.errors import FolError
from fol.evaluation import comparison_table, read_result


def main(words: list[str]) -> int:
    """Print the table; 1 after an error."""
    parser = argparse.ArgumentParser(description="compare results of fol evaluate in one Markdown table")
    parser.add_argument("folders", nargs="+", type=Path, help="folders of fol evaluate, or folders of these")
    parser.add_argument("--k", type=int, default=1, help="recall at this K (1)")
    options = parser.parse_args(words)
    try:
        results = [read_result(found) for folder in options.folders for found in results_in(folder)]
        print(comparison_table(results, options.k), end="")
    except FolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def results_in(folder: Path) -> list[Path]:
    """The folder itself, or those below it that hold a result."""
    if (folder / "results.json").is_file():
        return [folder]
    return sorted(path.parent for path in folder.rglob("results.json")) or [folder]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
