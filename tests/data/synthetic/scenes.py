"""Scenes of a few surfaces for the tests of the synthetic city."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fol.data.synthetic import City
from fol.data.synthetic.street import Street
from fol.data.synthetic.surfaces import Frame, SurfaceBuilder

SIZE = 96


def one_street(builder: SurfaceBuilder) -> City:
    """A city of nothing but these surfaces, x east and y north, without houses that throw shadows."""
    no_shadow = np.full((2, 400), -1000.0)
    street = Street((0.0, 0.0), 0.0, 100.0, 3.0, 5.0, (0.0,), builder.build(), no_shadow, -100.0, 0.0)
    return City(0, (street,), ((0, 0.0),))


def wall(builder: SurfaceBuilder, spec: object, x: float, y: float, z: float, width: float, height: float) -> None:
    """A rectangle that faces south, its lower left corner (seen from the south) at (x, y, z)."""
    builder.panel(spec, Frame((x, y), (1.0, 0.0)), 0, z, width, height)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Chequers:
    """8 x 8 squares, black and white."""

    def paint(self) -> NDArray[np.uint8]:
        squares = np.indices((64, 64)).sum(axis=0) // 8 % 2 * 255
        return np.repeat(squares[..., None], 4, axis=2).astype(np.uint8) * np.array([1, 1, 1, 0], np.uint8)
