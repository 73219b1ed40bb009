"""What a format says of one image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from fol.types import Position


@dataclass(frozen=True)
class Label:
    """The fields of a ``Place`` that a file name, a CSV row or EXIF can give; ``heading`` in degrees, 0 to 360."""

    position: Position | None = None
    heading: float | None = None
    sequence: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def parse_number(text: str) -> float:
    """A finite decimal number; raises ``ValueError`` for anything else, ``nan`` and ``1_000`` included."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text or not text.isascii():  # Python reads 1_000 and Arabic digits too
        raise ValueError(f"{text!r} is not a number")
    return value


def normalise_heading(degrees: float) -> float:
    """The same direction within 0 (inclusive) and 360 (exclusive)."""
    return degrees % 360.0 % 360.0  # a tiny negative angle gives 360.0 after the first remainder
