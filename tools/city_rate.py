"""Photos of the synthetic city per second and core, everything included.

OMP_NUM_THREADS=1 python tools/city_rate.py [--places 32] [--size 224]
"""

from __future__ import annotations

import argparse
import sys

from fol.data.synthetic.levels import LEVELS
from fol.data.synthetic.rate import images_per_second


def main(words: list[str]) -> None:
    """Measure every level and print a Markdown table."""
    parser = argparse.ArgumentParser(description="photos of the synthetic city per second and core")
    parser.add_argument("--places", type=int, default=32)
    parser.add_argument("--size", type=int, default=224, help="pixels")
    given = parser.parse_args(words)
    print("| level | photos | photos per second |\n|---|---|---|")
    for level in LEVELS:
        count, rate = images_per_second(level, given.places, seed=1, size=given.size)
        print(f"| {level} | {count} | {rate:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
