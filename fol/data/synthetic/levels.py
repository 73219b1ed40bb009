"""The four difficulty levels of the synthetic city: one table of what differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from fol.data.synthetic.layout import Aliasing
from fol.data.synthetic.photo import PhotoRanges
from fol.data.synthetic.traffic import TrafficAmounts
from fol.errors import ConfigError

LevelName = Literal["easy", "medium", "hard", "extreme"]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
#: Places and views per place that a split has unless told otherwise.
DEFAULT_PLACES: Mapping[Split, int] = {"train": 800, "val": 60, "test": 100}
DEFAULT_VIEWS: Mapping[Split, int] = {"train": 8, "val": 1, "test": 1}
#: Cities of levels are numbered from here, so that they share no street with a city of ``make_city``.
FIRST_SEED = 1_000_000_000
LARGEST_SEED = 100_000_000


@dataclass(frozen=True)
class Viewpoints:
    """How far the other views of a place are from its first, and how differently they look.

    ``along`` (least, most) metres along the street; ``across`` share of the half road's width to either side of its
    middle; ``turn`` degrees off the common target; ``oblique`` (least, most) degrees between a place's axis and the
    street; ``focal`` (least, most) image widths; ``height`` metres above the road; ``pitch`` degrees upward.
    """

    along: tuple[float, float]
    across: float
    turn: float
    oblique: tuple[float, float]
    focal: tuple[float, float]
    height: tuple[float, float]
    pitch: tuple[float, float]


@dataclass(frozen=True)
class Level:
    """One difficulty: conditions by split, viewpoints, what comes and goes, the camera's faults, repeated houses.

    Database photos of val and test are taken in ``database`` conditions, their queries in ``queries`` conditions, each
    as often as the others; the photos of train in ``train`` conditions.
    """

    name: LevelName
    database: tuple[str, ...]
    queries: tuple[str, ...]
    train: tuple[str, ...]
    viewpoints: Viewpoints
    traffic: TrafficAmounts
    photo: PhotoRanges
    aliasing: Aliasing

    def conditions(self, split: Split, database: bool) -> tuple[str, ...]:
        """The conditions that a view takes its own from."""
        return self.train if split == "train" else (self.database if database else self.queries)


_EVERY = ("day", "overcast", "dusk", "night", "rain", "snow", "autumn", "winter")

LEVELS: Mapping[str, Level] = {
    level.name: level
    for level in (
        Level(
            "easy", ("day",), ("day", "overcast"), ("day", "overcast"),
            Viewpoints((0.5, 3.0), 0.4, 6.0, (25, 50), (0.58, 0.66), (1.7, 1.9), (3, 8)),
            TrafficAmounts(parked=0.1, moving=0.5, people=2),
            PhotoRanges(),
            Aliasing(0.1, 6),
        ),
        Level(
            "medium", ("day",), ("day", "overcast", "dusk", "rain", "autumn"),
            ("day", "day", "overcast", "dusk", "rain", "autumn"),
            Viewpoints((1.0, 5.0), 0.6, 12.0, (22, 60), (0.55, 0.75), (1.6, 2.1), (2, 9)),
            TrafficAmounts(parked=0.25, moving=1.5, people=5, large=0.08, near=0.1),
            PhotoRanges(0.45, 0.07, 0.15, 0.2, 4.0, 0.8, 3.0, 0.3, 0.25, 0.4, (70, 95)),
            Aliasing(0.25, 5),
        ),
        Level(
            "hard", ("day",), ("overcast", "dusk", "night", "rain", "snow", "autumn", "winter"),
            ("day", "day", *_EVERY),
            Viewpoints((2.0, 8.0), 0.8, 16.0, (20, 72), (0.5, 0.9), (1.5, 2.6), (0, 12)),
            TrafficAmounts(parked=0.4, moving=2.5, people=9, large=0.15, near=0.35),
            PhotoRanges(0.7, 0.12, 0.25, 0.35, 7.0, 1.3, 6.0, 0.45, 0.4, 0.6, (45, 95)),
            Aliasing(0.4, 4),
        ),
        Level(
            "extreme", ("day",), ("night", "snow", "rain", "dusk", "winter"),
            ("day", "day", *_EVERY, "night", "snow", "rain"),
            Viewpoints((3.0, 11.0), 0.9, 22.0, (20, 80), (0.45, 1.05), (1.4, 3.2), (-3, 16)),
            TrafficAmounts(parked=0.6, moving=4, people=16, large=0.3, near=0.9),
            PhotoRanges(1.0, 0.18, 0.35, 0.5, 11.0, 1.9, 10.0, 0.6, 0.55, 0.9, (25, 90)),
            Aliasing(0.55, 3),
        ),
    )
}  # fmt: skip


def level_named(name: str) -> Level:
    """The level of that name; ``ConfigError`` when there is none."""
    if name not in LEVELS:
        raise ConfigError(f"synthetic city: no level {name!r}, there are {', '.join(LEVELS)}")
    return LEVELS[name]


@dataclass(frozen=True)
class LevelParameters:
    """Everything that decides the city of a level on disk.

    ``size`` is the images' side in pixels; ``views`` are photos per place in train, and in val and test photos per
    place of the database and as many of the queries. With ``headings`` above 1 each view of val and test is a panorama
    cut into so many photos at equal angles, as benchmarks from street-level panoramas have them.
    """

    level: str
    split: Split
    places: int
    seed: int
    size: int
    views: int
    headings: int = 1

    def check(self) -> None:
        """``ConfigError`` for a value out of range."""
        level_named(self.level)
        if self.split not in SPLITS:
            raise ConfigError(f"synthetic city: no split {self.split!r}, there are {', '.join(SPLITS)}")
        for name, low, high in (
            ("places", 1, 100_000),
            ("seed", 0, LARGEST_SEED),
            ("size", 28, 4096),
            ("views", 2 if self.split == "train" else 1, 64),
            ("headings", 1, 1 if self.split == "train" else 36),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"synthetic city: {name} is {getattr(self, name)}, give a value from {low} to {high}")

    @property
    def city_seed(self) -> int:
        """The seed of the streets: another one for every split and seed, so that no two share a street or a house."""
        return FIRST_SEED + len(SPLITS) * self.seed + SPLITS.index(self.split)

    def plain(self) -> dict[str, object]:
        """As they are written in a city's description: ``headings`` only where there are several."""
        return {key: value for key, value in asdict(self).items() if key != "headings" or value != 1}
