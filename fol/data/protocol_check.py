"""What the protocols of a benchmark make of the photos that are there, beside what is published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fol.data.benchmark import Benchmark
from fol.data.photo_set import PhotoSet
from fol.data.protocol import Protocol, apply_protocol
from fol.errors import DataError


@dataclass(frozen=True)
class ProtocolCheck:
    """Photos that take part in a protocol, queries without positives, and the median number of positives.

    ``problem``: why the photos cannot be measured under it, one line; None when they can.
    """

    protocol: Protocol
    database: int = 0
    queries: int = 0
    without_positives: int = 0
    median_positives: float = 0.0
    problem: str | None = None

    @property
    def as_published(self) -> bool | None:
        """Whether the counts are those published; None where nothing is, or where it cannot be measured."""
        published = self.protocol.published
        if published is None or self.problem is not None:
            return None
        return published.fit(self.database, self.queries, self.queries - self.without_positives)

    @property
    def wrong(self) -> bool:
        """Whether the counts differ from published ones that are exact."""
        return self.as_published is False and self.protocol.published is not None and self.protocol.published.exact

    @property
    def summary(self) -> str:
        """One line."""
        if self.problem is not None:
            return f"{self.protocol.name}: cannot be measured: {self.problem}"
        return (
            f"{self.protocol.name}: {self.database} database, {self.queries} queries, {self.without_positives} without "
            f"positives, median positives {self.median_positives:g}{self._beside_published()}"
        )

    def _beside_published(self) -> str:
        published = self.protocol.published
        if published is None:
            return ""
        if self.as_published:
            return " (as published)"
        hits = "" if published.with_positives is None else f", {published.with_positives} with positives"
        doubt = "" if published.exact else ", as printed in papers: another number is no fault"
        return f" (published: {published.database} and {published.queries}{hits}{doubt})"


def check_protocols(benchmark: Benchmark, photos: PhotoSet) -> tuple[ProtocolCheck, ...]:
    """Each protocol of ``benchmark`` on ``photos``."""
    return tuple(_check(protocol, photos) for protocol in benchmark.protocols)


def _check(protocol: Protocol, photos: PhotoSet) -> ProtocolCheck:
    try:
        dataset = apply_protocol(photos, protocol)
    except DataError as error:
        return ProtocolCheck(protocol, problem=str(error))
    numbers = np.array([len(own) for own in dataset.positives or ()])
    return ProtocolCheck(
        protocol,
        len(dataset.database),
        len(dataset.queries),
        int((numbers == 0).sum()),
        float(np.median(numbers)),
    )
