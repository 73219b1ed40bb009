"""Nordland in its three forms, in small. Frame i of one season shows what frame i of another does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from replicas.npy_ground_truth import object_array
from replicas.pictures import write_picture


def write_vpr_datasets_downloader(root: Path, frames: int = 30) -> Path:
    """Names as ``format_coord(i * 25 / 10.5, 5, 1)`` of VPR-datasets-downloader makes them: five digits, a decimal."""
    for i in range(frames):
        name = f"@0@{i * 25 / 10.5:07.1f}@@@@@{i}@@@@@@@@.jpg"
        for side in ("database", "queries"):
            write_picture(root / "images" / "test" / side / name)
    return root


def write_vpr_bench_nordland(root: Path, queries: int = 3) -> Path:
    """``10 * queries`` winter frames, every tenth of summer, and the pickled truth of gsv-cities."""
    for i in range(10 * queries):
        write_picture(root / "ref" / f"{i:07d}.jpg")
    for i in range(queries):
        write_picture(root / "query" / f"{i:07d}.jpg")
    rows = [[10 * i + step for step in (-1, 0, 1) if 10 * i + step >= 0] for i in range(queries)]
    np.save(root / "Nordland_gt.npy", object_array(rows), allow_pickle=True)
    return root


def write_unizar(root: Path, frames_per_section: int = 4) -> Path:
    """Three sections of two seasons under ``Dataset_images/test``; names are not padded and count on."""
    for season in ("summer", "winter"):
        for frame in range(3 * frames_per_section):
            section = f"section{frame // frames_per_section + 1}"
            write_picture(root / "Dataset_images" / "test" / f"{season}_images_test" / section / f"{frame}.png")
    return root
