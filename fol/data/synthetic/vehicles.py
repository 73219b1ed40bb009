"""Cars, vans and buses of the synthetic city: a profile along the vehicle, extruded across it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from fol.data.synthetic.scenery import PlainSpec, ShadowSpec
from fol.data.synthetic.surfaces import SurfaceBuilder
from fol.data.synthetic.textures import Bytes, Canvas, Colour, shade

Model = Literal["hatchback", "sedan", "suv", "van", "bus"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a model in metres.

    ``outline`` runs over the top from nose to tail as (share of the length, height, whether the next stretch is glass);
    ``windows`` are (from, to) shares of the length at (lower, upper) heights.
    """

    length: float
    width: float
    outline: tuple[tuple[float, float, bool], ...]
    windows: tuple[tuple[float, float, float, float], ...]
    wheels: tuple[float, float]
    radius: float = 0.32


SHAPES: dict[Model, Shape] = {
    "hatchback": Shape(
        4.0, 1.72,
        ((0, 0.62, False), (0.03, 0.8, False), (0.24, 0.95, True), (0.42, 1.45, False), (0.86, 1.42, True),
         (0.98, 0.95, False), (1, 0.6, False)),
        ((0.36, 0.58, 0.95, 1.33), (0.6, 0.86, 0.95, 1.33)), (0.18, 0.8),
    ),
    "sedan": Shape(
        4.7, 1.8,
        ((0, 0.6, False), (0.03, 0.78, False), (0.28, 0.92, True), (0.44, 1.42, False), (0.72, 1.4, True),
         (0.86, 0.98, False), (0.99, 0.92, False), (1, 0.6, False)),
        ((0.39, 0.56, 0.94, 1.3), (0.58, 0.76, 0.94, 1.3)), (0.17, 0.8),
    ),
    "suv": Shape(
        4.6, 1.88,
        ((0, 0.75, False), (0.03, 1.0, False), (0.25, 1.12, True), (0.38, 1.72, False), (0.92, 1.7, True),
         (0.99, 1.1, False), (1, 0.7, False)),
        ((0.34, 0.54, 1.12, 1.58), (0.56, 0.72, 1.12, 1.58), (0.74, 0.92, 1.14, 1.56)), (0.18, 0.79), 0.38,
    ),
    "van": Shape(
        5.3, 2.0,
        ((0, 0.7, False), (0.02, 1.05, False), (0.12, 1.2, True), (0.24, 2.1, False), (1, 2.15, False)),
        ((0.15, 0.34, 1.15, 1.8),), (0.16, 0.8), 0.36,
    ),
    "bus": Shape(
        10.8, 2.5,
        ((0, 1.0, True), (0.01, 2.7, False), (0.02, 3.05, False), (1, 3.05, False)),
        tuple((0.02 + 0.139 * k, 0.145 + 0.139 * k, 1.25, 2.5) for k in range(7)), (0.2, 0.76), 0.48,
    ),
}  # fmt: skip
MODELS: tuple[Model, ...] = ("hatchback", "sedan", "suv", "van", "bus")
PAINTS: tuple[Colour, ...] = (
    (222, 222, 220), (34, 36, 40), (110, 114, 120), (168, 172, 178), (150, 28, 32), (30, 62, 120), (70, 86, 78),
    (196, 178, 146), (24, 92, 92), (226, 170, 40),
)  # fmt: skip
GLASS: Colour = (44, 54, 64)


@dataclass(frozen=True)
class CarSideSpec:
    """The side of a vehicle, cut out along its outline, nose to the left."""

    model: Model
    paint_number: int

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        shape, colour = SHAPES[self.model], PAINTS[self.paint_number]
        top, length = height_of(self.model), shape.length
        texels = np.zeros((128, 256, 4), np.uint8)
        texels[..., :3] = colour
        canvas = Canvas(texels, length, top)
        outline = [(share * length, z) for share, z, _ in shape.outline]
        sill = 0.24
        canvas.polygon([(0.02 * length, sill), *outline, (0.99 * length, sill)], colour, 255)
        canvas.polygon([(0.0, 0.45), (0.0, 0.6), (length, 0.6), (length, 0.45)], shade(colour, 0.82), 255)
        canvas.polygon([(0.0, sill), (0.0, 0.42), (length, 0.42), (length, sill)], shade(colour, 0.6), 255)
        for left, right, low, high in shape.windows:
            lean = 0.0 if self.model == "bus" else 0.03 * length
            first = left == shape.windows[0][0]
            last = right == shape.windows[-1][1] and self.model not in ("van", "bus")
            corners = [
                (left * length, low),
                (left * length + (lean if first else 0), high),
                (right * length - (lean if last else 0), high),
                (right * length, low),
            ]
            canvas.polygon(corners, shade(GLASS, 1.1), 255)
        for seam in (0.34, 0.58, 0.8):
            canvas.polygon([(seam * length, 0.4), (seam * length, 0.9), (seam * length + 0.02, 0.9)], (40, 40, 42), 255)
            canvas.box(seam * length + 0.12, 0.8, 0.2, 0.04, shade(colour, 0.5))
        texels = np.array(canvas.texels())
        texels[..., 3] = np.where(texels[..., 3] > 0, 255, 0)
        canvas = Canvas(texels[::-1], length, top)
        for wheel in shape.wheels:
            x, radius = wheel * length, shape.radius
            canvas.ellipse(x - radius * 1.2, 0.0, 2.4 * radius, 2.3 * radius, (26, 26, 28), 255)
            canvas.ellipse(x - radius, 0.0, 2 * radius, 2 * radius, (34, 34, 36), 255)
            canvas.ellipse(x - 0.6 * radius, 0.4 * radius, 1.2 * radius, 1.2 * radius, (150, 152, 156), 255)
            canvas.ellipse(x - 0.2 * radius, 0.8 * radius, 0.4 * radius, 0.4 * radius, (70, 72, 74), 255)
        return canvas.texels()


@dataclass(frozen=True)
class CarEndSpec:
    """The lower part of a vehicle's nose or tail, with its lights on at night."""

    paint_number: int
    nose: bool

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        colour = PAINTS[self.paint_number]
        texels = np.zeros((32, 64, 4), np.uint8)
        texels[..., :3] = colour
        canvas = Canvas(texels, 1.0, 1.0)
        canvas.box(0, 0, 1, 0.3, shade(colour, 0.55))
        canvas.box(0.36, 0.34, 0.28, 0.2, (226, 226, 214))
        canvas.box(0.39, 0.38, 0.22, 0.12, (70, 70, 76))
        lamp, glow = ((236, 238, 240), 250) if self.nose else ((190, 24, 22), 60)
        for x in (0.05, 0.77):
            canvas.box(x, 0.58, 0.18, 0.26, lamp, glow)
        if self.nose:
            canvas.box(0.28, 0.62, 0.44, 0.2, (40, 42, 46))
        return canvas.texels()


def height_of(model: Model) -> float:
    """The highest point, metres."""
    return max(z for _, z, _ in SHAPES[model].outline)


def add_vehicle(builder: SurfaceBuilder, model: Model, paint: int, x: float, y: float, forward: float) -> None:
    """A vehicle with its middle at (x, y) of the street's frame that faces along it (``forward`` 1) or back (-1)."""
    shape = SHAPES[model]
    nose, along = np.array([x, y + forward * shape.length / 2, 0.0]), np.array([0.0, -forward, 0.0])
    across = np.array([forward, 0.0, 0.0])  # to the vehicle's right
    up = np.array([0.0, 0.0, 1.0])
    half = shape.width / 2
    side = CarSideSpec(model, paint)
    for offset in (-half, half):  # the same picture on both sides, mirrored, as it should be
        builder.add(
            side,
            nose + offset * across,
            along * shape.length,
            up * height_of(model),
            cutout=True,
            two_sided=True,
        )
    body, glass = PlainSpec(PAINTS[paint]), PlainSpec(GLASS)
    stretches = shape.outline
    for (share, low, is_glass), (until, high, _) in pairwise(stretches):
        # seen from above with the nose towards the viewer: right is the vehicle's left
        start = nose + half * -across + along * share * shape.length + up * low
        step = along * (until - share) * shape.length + up * (high - low)
        builder.add(glass if is_glass else body, start, across * shape.width, step, two_sided=True)
    front, back = stretches[0][1], stretches[-1][1]
    tail = nose + along * shape.length
    builder.add(
        CarEndSpec(paint, True), nose - half * across + 0.25 * up, across * shape.width, up * (front - 0.25),
        two_sided=True,
    )  # fmt: skip
    builder.add(
        CarEndSpec(paint, False), tail + half * across + 0.25 * up, -across * shape.width, up * (back - 0.25),
        two_sided=True,
    )  # fmt: skip
    margin = 0.25
    corner = np.array([x - half - margin, y - shape.length / 2 - margin, 0.02])
    builder.add(
        ShadowSpec(), corner, np.array([shape.width + 2 * margin, 0, 0]), np.array([0, shape.length + 2 * margin, 0]),
        cutout=True,
    )  # fmt: skip
