"""Small photos for replicas of benchmarks."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def write_picture(path: Path, size: tuple[int, int] = (64, 48)) -> Path:
    """A photo whose pixels follow from its name, in the format of its extension; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(path.name.encode("utf-8", "surrogateescape")))
    cells = Image.fromarray(noise.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    cells.resize(size, Image.Resampling.BICUBIC).save(path)
    return path
