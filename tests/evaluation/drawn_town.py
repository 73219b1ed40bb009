"""A town of drawn photos, and a small model that tells its places apart: what evaluations are tested with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import fol
from fol.types import Extractor, Place

DATABASE, QUERIES = 12, 9


def draw(path: Path, seed: int, change: int = 0) -> None:
    """A photo of place ``seed``: blocks of colour; ``change`` blocks differ between photos of one place."""
    blocks = np.random.default_rng(seed).integers(0, 256, (7, 7, 3))
    other = np.random.default_rng(1000 + seed)
    for _ in range(change):
        blocks[tuple(other.integers(0, 7, 2))] = other.integers(0, 256, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks.astype(np.uint8)).resize((140, 140), Image.Resampling.BILINEAR).save(path)


def draw_town(root: Path) -> None:
    """Query i shows place i; query 8 and database image 11 are broken files."""
    for i in range(DATABASE):
        draw(root / f"database/{i:02}.png", i)
    for i in range(QUERIES):
        draw(root / f"queries/{i:02}.png", i, change=30)
    (root / "database/11.png").write_bytes(b"no picture")
    (root / "queries/08.png").write_bytes(b"")


def places(root: Path, part: str) -> tuple[Place, ...]:
    return tuple(Place(path.relative_to(root).as_posix(), path) for path in sorted((root / part).iterdir()))


def model() -> Extractor:
    return fol.load_model("fol_tiny_untrained", image_size=(140, 140))
