"""Photos of the synthetic city per second and core, everything included.

OMP_NUM_THREADS=1 python tools/city_rate.py [places=32] [size=224]
"""

from __future__ import annotations

import sys

from fol.data.synthetic.levels import LEVELS
from fol.data.synthetic.rate import images_per_second


def main(words: list[str]) -> None:
    """Measure every level and print a Markdown table."""
    options = {"places": 32, "size": 224}
    for word in words:
        key, _, value = word.partition("=")
        if key not in options or not value.isdigit() or not int(value):
            sys.exit(f"error: {word!r}: give {', '.join(options)} as key=number")
        options[key] = int(value)
    print("| level | photos | photos per second |\n|---|---|---|")
    for level in LEVELS:
        count, rate = images_per_second(level, options["places"], seed=1, size=options["size"])
        print(f"| {level} | {count} | {rate:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
