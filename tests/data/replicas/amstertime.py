"""AmsterTime in small: ids as they are in release 1.0, not padded, with holes."""

from __future__ import annotations

from pathlib import Path

from replicas.pictures import write_picture


def write_amstertime(root: Path, ids: tuple[int, ...] = (2, 10, 100)) -> Path:
    for number in ids:
        write_picture(root / "new" / f"{number}.png")
        write_picture(root / "old" / f"{number}.jpg")
    return root
