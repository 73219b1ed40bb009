"""Which recipe a map is to have, and what came of it: both are kept in the manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fol.errors import ConfigError
from fol.retrieval.index.registry import get_recipe

AUTO = "auto"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True)
class IndexOptions:
    """A recipe by name, or "auto" (see ``fol.retrieval.index.choice``) within ``max_memory`` bytes; None: half of
    the machine's memory. Raises ``ConfigError`` for unknown names and for a limit beside a name."""

    recipe: str = AUTO
    max_memory: int | None = None

    def __post_init__(self) -> None:
        if self.recipe != AUTO:
            get_recipe(self.recipe)
            if self.max_memory is not None:
                raise ConfigError(
                    f"max_memory={self.max_memory} picks a recipe, but index={self.recipe} names one: "
                    "leave one of them out"
                )
        if self.max_memory is not None and self.max_memory <= 0:
            raise ConfigError(f"max_memory={self.max_memory}: it must be above 0")

    @staticmethod
    def of(index: str | IndexOptions) -> IndexOptions:
        """Options from a recipe's name."""
        return index if isinstance(index, IndexOptions) else IndexOptions(index)

    def __str__(self) -> str:
        return self.recipe if self.max_memory is None else f"{self.recipe} within {self.max_memory / 1e9:g} GB"


@dataclass(frozen=True)
class MeasuredRecall:
    """Recall against exact search when the map had ``rows`` rows, with ``queries`` stored descriptors as queries.

    The queries were left out: neither search could find any of them. ``recall`` by name: "1@10" is the share of
    queries whose best row is among the ten found, "10@10" the share of the ten best that are.
    """

    rows: int
    queries: int
    recall: Mapping[str, float]


@dataclass(frozen=True)
class IndexDescription:
    """The index of a map: what was asked for, what was built and why, and how well it does.

    ``parameters`` are the recipe's own; ``bytes_per_vector`` is the memory that searching takes for each descriptor.
    """

    requested: IndexOptions
    recipe: str
    reason: str
    bytes_per_vector: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    measured: MeasuredRecall | None = None

    @staticmethod
    def parse(data: Mapping[str, Any]) -> IndexDescription:
        """From what ``asdict`` gave."""
        measured = data["measured"] and MeasuredRecall(**data["measured"])
        return IndexDescription(**{**data, "requested": IndexOptions(**data["requested"]), "measured": measured})

    def __str__(self) -> str:
        recall = ""
        if self.measured:
            figures = ", ".join(f"{name} {value:.3f}" for name, value in self.measured.recall.items())
            recall = f"; recall against exact search {figures}"
        return f"{self.recipe} ({self.reason}), {self.bytes_per_vector} bytes a photo{recall}"


def parse_bytes(text: str | int) -> int:
    """Bytes from a number with or without a unit: 4000000000, 4GB, 500 MB, 1.5g."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", str(text).strip().lower())
    if found is None:
        raise ConfigError(f"{text!r} is no size: give bytes or a number with a unit, such as 4GB or 500MB")
    return int(float(found[1]) * _UNITS[found[2]])
