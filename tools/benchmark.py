"""Our formulations against the published ones, in one process.

python tools/benchmark.py [reranking] [candidates=100] [tokens=3600] [repeats=3] [threads=2]
python tools/benchmark.py losses [places=12] [images=4] [size=322] [repeats=1] [threads=1]
"""

from __future__ import annotations

import sys

from benchmarks import losses, reranking

SUBJECTS = {"reranking": reranking.run, "losses": losses.run}


def main(words: list[str]) -> None:
    """Run the subject that the first word names; re-ranking when it names none."""
    subject = words[0] if words and "=" not in words[0] else "reranking"
    if subject not in SUBJECTS:
        sys.exit(f"error: {subject!r} is no subject; choose {' or '.join(SUBJECTS)}")
    SUBJECTS[subject](words[1:] if words and words[0] == subject else words)


if __name__ == "__main__":
    main(sys.argv[1:])
