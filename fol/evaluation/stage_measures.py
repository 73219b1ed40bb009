"""What an evaluation says of one stage beyond its recall: how right the whole list is, how far off, how it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

_Shares = Mapping[int, float | None]


@dataclass(frozen=True)
class ConfidenceMeasure:
    """Precision-recall curve of one kind of confidence: its area, the share of right answers that it keeps without a
    wrong one, and up to 200 points (recall, precision). The area is None where no answer is right."""

    area: float | None
    recall_at_full_precision: float
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class PositionErrorMeasure:
    """Metres between a query and the place of its best answer; None for infinite, where too few were answered.

    ``num_unknown`` queries have no position and do not count, ``num_unanswered`` count as infinitely far off.
    """

    median: float | None
    percentile_90: float | None
    num_unknown: int
    num_unanswered: int


@dataclass(frozen=True)
class StageMeasures:
    """Of one stage: ``average_precision`` K -> mAP@K; ``within`` radius in metres -> K -> recall; ``position_error``
    where positions are known; ``confidence`` by kind; ``by_candidates`` number of re-ranked candidates -> K -> recall
    (second stage alone). Shares are in [0, 1], None where no query counts."""

    average_precision: _Shares
    within: Mapping[float, _Shares] = field(default_factory=dict)
    position_error: PositionErrorMeasure | None = None
    confidence: Mapping[str, ConfidenceMeasure] = field(default_factory=dict)
    by_candidates: Mapping[int, _Shares] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @staticmethod
    def parse(document: Mapping[str, Any]) -> StageMeasures:
        """From what ``document`` gave, after a way through JSON; ``KeyError`` and the like for anything else."""
        error = document["position_error"]
        return StageMeasures(
            average_precision=_shares(document["average_precision"]),
            within={float(radius): _shares(values) for radius, values in document["within"].items()},
            position_error=None if error is None else PositionErrorMeasure(**error),
            confidence={
                kind: ConfidenceMeasure(
                    measure["area"],
                    measure["recall_at_full_precision"],
                    tuple((recall, precision) for recall, precision in measure["curve"]),
                )
                for kind, measure in document["confidence"].items()
            },
            by_candidates={int(number): _shares(values) for number, values in document["by_candidates"].items()},
        )


def _shares(document: Mapping[str, Any]) -> _Shares:
    return {int(k): value for k, value in document.items()}
