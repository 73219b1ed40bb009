"""How fast the parts are, each beside the published formulation written again, in one process.

``SUBJECTS[name].measure(settings, peaks)`` gives a ``Report``; ``fol benchmark`` runs them, writes the tables and the
plot. Machines differ and are shared, so what counts is the ratio within one run, and the distance to the floor that the
machine's own measured peaks set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from fol.benchmarks.peaks import Peaks
from fol.benchmarks.report import Report

__all__ = ["SUBJECTS", "Peaks", "Report", "Subject"]


@dataclass(frozen=True)
class Subject:
    """A module of this room with a function ``measure(size, peaks)``, and its class of sizes."""

    module: str
    size: str

    def sizes(self, settings: Mapping[str, Any]) -> Any:
        """The class of sizes with the fields of ``settings``."""
        return getattr(import_module(f"fol.benchmarks.{self.module}"), self.size)(**settings)

    def measure(self, settings: Mapping[str, Any], peaks: Peaks) -> Report:
        """Measure with the sizes of ``settings``."""
        work: Callable[[Any, Peaks], Report] = import_module(f"fol.benchmarks.{self.module}").measure
        return work(self.sizes(settings), peaks)


SUBJECTS: Mapping[str, Subject] = {
    "extraction": Subject("extraction", "ExtractionSize"),
    "matching": Subject("matching", "MatchingSize"),
    "store": Subject("store", "StoreSize"),
    "retrieval": Subject("retrieval", "RetrievalSize"),
    "large_search": Subject("large_search", "LargeSearchSize"),
    "end_to_end": Subject("end_to_end", "EndToEndSize"),
    "losses": Subject("losses", "LossesSize"),
    "netvlad": Subject("netvlad", "NetvladSize"),
}
