"""How far from the truth the best answer is, in metres: what recall within a radius does not tell.

Queries whose true position is not known cannot be measured and are left out; ``num_unknown`` says how many. A query
that got no answer, or one whose place has no position, has an infinite error: it counts, as the worst there is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fol.data.coordinates import distances
from fol.types import Position

_ROUNDING = 1e-7  # metres, as positives within a radius allow for coordinates written in decimals


@dataclass(frozen=True, eq=False)
class PositionErrors:
    """``metres [Q]``: per query the distance of its best answer, infinite without one, NaN if the truth is unknown."""

    metres: NDArray[np.float64]

    @property
    def num_unknown(self) -> int:
        """Queries whose true position is not known; they do not count."""
        return int(np.isnan(self.metres).sum())

    @property
    def num_unanswered(self) -> int:
        """Queries that count with an infinite error."""
        return int(np.isinf(self.metres).sum())

    @property
    def median(self) -> float:
        """Metres; infinite when half of the queries have no answer, NaN when no query counts."""
        return self.quantile(0.5)

    @property
    def percentile_90(self) -> float:
        """Metres that nine of ten answers stay within; infinite and NaN as for the median."""
        return self.quantile(0.9)

    def quantile(self, share: float) -> float:
        """Metres that the ``share`` of the nearest answers stays within, interpolated linearly as numpy does."""
        ordered = np.sort(self.metres[~np.isnan(self.metres)])
        if not len(ordered):
            return float("nan")
        place = share * (len(ordered) - 1)
        low, high = float(ordered[math.floor(place)]), float(ordered[math.ceil(place)])
        # numpy's own gives NaN between two infinite errors.
        return low if low == high else low + (high - low) * (place - math.floor(place))

    def share_within(self, radii: Sequence[float]) -> Mapping[float, float]:
        """Radius in metres -> share of the queries that count whose answer is at most so far away (inclusive)."""
        known = self.metres[~np.isnan(self.metres)]
        return {float(r): float((known <= r + _ROUNDING).mean()) if len(known) else float("nan") for r in radii}


def position_errors(queries: Sequence[Position | None], answers: Sequence[Position | None]) -> PositionErrors:
    """Errors of ``answers [Q]``: position of each query's best answer, None without an answer or without its position.

    Raises ``ValueError`` for different lengths, ``DataError`` when positions cannot be compared (local and UTM ones).
    """
    if len(queries) != len(answers):
        raise ValueError(f"one answer per query is needed, got {len(answers)} for {len(queries)} queries")
    metres = np.full(len(queries), np.nan)
    for number, (truth, answer) in enumerate(zip(queries, answers, strict=True)):
        if truth is not None:
            metres[number] = np.inf if answer is None else distances(truth, [answer])[0]
    return PositionErrors(metres)
