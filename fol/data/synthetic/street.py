"""The streets and places of a synthetic city, by seed.

A street has its own frame: x to the right of its direction, y along it, z up. Its facades stand at x = -half and
x = +half. Streets are far enough from each other that none is seen from another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from fol.data.synthetic.layout import DEFAULT_ALIASING, END, THEMES, Aliasing, Layout, repeated_houses
from fol.data.synthetic.surfaces import SurfaceBuilder, Surfaces

Floats = NDArray[np.float64]
PLACES_PER_STREET = 4
SPACING = (62.0, 76.0)  # metres between neighbouring places of a street
STREET_GRID = 700.0  # metres between the origins of neighbouring streets


@dataclass(frozen=True, eq=False)
class Street:
    """One street. ``origin`` (east, north) metres and ``heading`` degrees place its frame in the city.

    ``road`` and ``half`` half widths of the carriageway and between the facades; ``places`` y of its places;
    ``skyline [2, n]`` height of the houses left and right every ``SKYLINE_STEP`` metres from ``skyline_start``.
    """

    origin: tuple[float, float]
    heading: float
    length: float
    road: float
    half: float
    places: tuple[float, ...]
    surfaces: Surfaces
    skyline: Floats
    skyline_start: float
    lamp_start: float

    @cached_property
    def axes(self) -> Floats:
        """``[3, 3]``: the street's x, y and z directions as rows, in the city's axes."""
        angle = radians(self.heading)
        return np.array([[cos(angle), -sin(angle), 0.0], [sin(angle), cos(angle), 0.0], [0.0, 0.0, 1.0]])

    def to_city(self, points: Floats) -> Floats:
        """Street coordinates ``[N, 3]`` to (east, north, up)."""
        city: Floats = points @ self.axes + np.array([*self.origin, 0.0])
        return city

    def to_street(self, points: Floats) -> Floats:
        """The inverse of ``to_city``."""
        street: Floats = (points - np.array([*self.origin, 0.0])) @ self.axes.T
        return street


@dataclass(frozen=True, eq=False)
class City:
    """The geometry of a whole city, decided by ``seed`` alone: more places never change the first ones.

    ``places`` (street, metres along it) pairs.
    """

    seed: int
    streets: tuple[Street, ...]
    places: tuple[tuple[int, float], ...]

    @staticmethod
    def build(places: int, seed: int = 0, aliasing: Aliasing = DEFAULT_ALIASING) -> City:
        """A city of that many places, each at least ``SPACING[0]`` metres from every other."""
        streets = tuple(build_street(seed, k, aliasing) for k in range(-(-places // PLACES_PER_STREET)))
        sites = [(k, y) for k, street in enumerate(streets) for y in street.places]
        return City(seed, streets, tuple(sites[:places]))

    def street_at(self, position: tuple[float, float, float]) -> Street:
        """The street that a point (east, north, up) belongs to: the one whose middle is nearest."""
        return self.streets[int(np.argmin(np.linalg.norm(self._middles - np.array(position[:2]), axis=1)))]

    @cached_property
    def _middles(self) -> Floats:
        return np.array([s.to_city(np.array([[0.0, s.length / 2, 0.0]]))[0, :2] for s in self.streets])


def build_street(seed: int, number: int, aliasing: Aliasing = DEFAULT_ALIASING) -> Street:
    """Street ``number`` of the city ``seed``."""
    rng = np.random.default_rng([seed, number, 7])
    theme = THEMES[(number + seed) % len(THEMES)]
    road = float(rng.uniform(*theme.road))
    half = road + float(rng.uniform(*theme.pavement))
    steps = rng.uniform(*SPACING, PLACES_PER_STREET - 1)
    places = END + 10.0 + np.concatenate([[0.0], np.cumsum(steps)])
    length = float(places[-1]) + END + 10.0
    builder = SurfaceBuilder()
    layout = Layout(
        builder, rng, theme, repeated_houses(seed, theme, aliasing.houses), aliasing.share, road, half, length
    )
    skyline = layout.build()
    column, row = number % 8, number // 8
    return Street(
        origin=(column * STREET_GRID, row * STREET_GRID),
        heading=float(rng.uniform(0, 360)),
        length=length,
        road=road,
        half=half + theme.setback,
        places=tuple(float(y) for y in places),
        surfaces=builder.build(),
        skyline=skyline,
        skyline_start=-END,
        lamp_start=layout.lamp_start,
    )
