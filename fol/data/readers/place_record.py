"""What the readers of training sets give: photos by place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fol.types import Position


@dataclass(frozen=True)
class PlaceRecord:
    """One place: its photos (the most recent first where dates are known), its group and its position, if known."""

    name: str
    images: tuple[Path, ...]
    group: str = ""
    position: Position | None = None
