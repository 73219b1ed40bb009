"""VPR-Bench's template in small: Corridor with +-2 frames, SPED with one to one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from replicas.pictures import write_picture


def write_vpr_bench(root: Path, references: int = 5, queries: int = 5) -> Path:
    """Photos and ``ground_truth_new.npy``: a column of query numbers, a column of lists, pickled."""
    for folder, count in (("ref", references), ("query", queries)):
        for i in range(count):
            write_picture(root / folder / f"{i:07d}.jpg")
    truth = np.empty((queries, 2), object)
    for i in range(queries):
        truth[i, 0], truth[i, 1] = i, list(range(max(0, i - 2), min(references, i + 3)))
    np.save(root / "ground_truth_new.npy", truth, allow_pickle=True)
    return root


def write_sped(root: Path, pairs: int = 3) -> Path:
    """SPEDTEST with the numeric ground truth of gsv-cities beside it."""
    write_vpr_bench(root, pairs, pairs)
    (root / "ground_truth_new.npy").unlink()
    np.save(root / "SPED_gt.npy", np.arange(pairs).reshape(pairs, 1))
    return root
