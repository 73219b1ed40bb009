"""What comes and goes in a street of the synthetic city: cars, people, and things close to the camera.

Placed anew for every view, so two views of a place share its houses, not its cars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fol.data.synthetic.camera import Camera
from fol.data.synthetic.materials import ACCENTS, SignSpec, shop_name
from fol.data.synthetic.people import KINDS, PersonSpec
from fol.data.synthetic.scenery import LEAVES, PlainSpec, TreeSpec
from fol.data.synthetic.street import Street
from fol.data.synthetic.surfaces import Frame, SurfaceBuilder, Surfaces
from fol.data.synthetic.textures import pick
from fol.data.synthetic.vehicles import MODELS, PAINTS, SHAPES, Model, add_vehicle

Floats = NDArray[np.float64]
REACH = 45.0  # metres along the street that are filled with traffic, to either side of the camera
SLOT = 5.6  # metres of kerb that a parked car takes


@dataclass(frozen=True)
class TrafficAmounts:
    """How much comes and goes.

    ``parked`` share of the kerb that is taken; ``moving`` cars and ``people`` on average per 90 m of street; ``large``
    share of vans and buses among the vehicles; ``near`` things close to the camera on average.
    """

    parked: float = 0.0
    moving: float = 0.0
    people: float = 0.0
    large: float = 0.0
    near: float = 0.0


def traffic(
    street: Street, camera: Camera, amounts: TrafficAmounts, rng: np.random.Generator, *, umbrellas: bool = False
) -> Surfaces | None:
    """Everything that comes and goes around one camera, in the street's frame; None where there is nothing."""
    builder = SurfaceBuilder()
    eye = street.to_street(np.array(camera.position))
    _parked(builder, street, eye, amounts, rng)
    _moving(builder, street, eye, amounts, rng)
    _people(builder, street, eye, amounts, rng, umbrellas)
    forward = street.axes @ camera.rotation()[2]
    for _ in range(rng.poisson(amounts.near)):
        _near(builder, street, eye, forward, camera.focal, rng)
    return builder.build() if len(builder) else None


def _model(amounts: TrafficAmounts, rng: np.random.Generator, parked: bool) -> Model:
    if rng.random() < amounts.large:
        return "van" if parked or rng.random() < 0.5 else "bus"
    return MODELS[rng.integers(3)]


def _clear_of(eye: Floats, x: float, y: float, model: Model, gap: float = 0.5) -> bool:
    """Whether a vehicle there leaves the camera outside, by ``gap`` metres at least."""
    shape = SHAPES[model]
    return bool(abs(x - eye[0]) > shape.width / 2 + gap or abs(y - eye[1]) > shape.length / 2 + gap + 0.5)


def _parked(
    builder: SurfaceBuilder, street: Street, eye: Floats, amounts: TrafficAmounts, rng: np.random.Generator
) -> None:
    if not amounts.parked:
        return
    for side in (-1, 1):
        share = amounts.parked * rng.uniform(0.3, 1.7)
        for y in np.arange(eye[1] - REACH + rng.uniform(0, SLOT), eye[1] + REACH, SLOT).tolist():
            if rng.random() > share:
                continue
            model, paint = _model(amounts, rng, parked=True), int(rng.integers(len(PAINTS)))
            x = side * (street.road - SHAPES[model].width / 2 - rng.uniform(0.1, 0.3))
            if _clear_of(eye, x, y, model):
                add_vehicle(builder, model, paint, x, y + rng.uniform(-0.3, 0.3), -side if rng.random() < 0.9 else side)


def _moving(
    builder: SurfaceBuilder, street: Street, eye: Floats, amounts: TrafficAmounts, rng: np.random.Generator
) -> None:
    taken: list[tuple[int, float]] = []
    for _ in range(rng.poisson(amounts.moving)):
        side, y = int(rng.choice([-1, 1])), float(eye[1] + rng.uniform(-REACH, REACH))
        model, paint = _model(amounts, rng, parked=False), int(rng.integers(len(PAINTS)))
        x = side * min(street.road / 2, street.road - SHAPES[model].width / 2 - 0.4) * 0.8
        free = all(side != other or abs(y - at) > 12 for other, at in taken)
        if free and _clear_of(eye, x, y, model, gap=1.5):
            add_vehicle(builder, model, paint, x, y, -side)
            taken.append((side, y))


def _person(builder: SurfaceBuilder, spec: PersonSpec, at: Floats, eye: Floats, height: float) -> None:
    away = at[:2] - eye[:2]
    away = away / np.linalg.norm(away)
    width = height
    right = (float(away[1]), float(-away[0]))
    frame = Frame((float(at[0]), float(at[1])), right)
    builder.panel(spec, frame, -width / 2, float(at[2]), width, height, cutout=True, two_sided=True)


def _people(
    builder: SurfaceBuilder,
    street: Street,
    eye: Floats,
    amounts: TrafficAmounts,
    rng: np.random.Generator,
    umbrellas: bool,
) -> None:
    for _ in range(rng.poisson(amounts.people)):
        side, y = rng.choice([-1, 1]), eye[1] + rng.uniform(-REACH, REACH) * rng.random()
        x, z = side * (street.road + rng.uniform(0.3, 1.6)), 0.12
        if rng.random() < 0.12:  # crosses the road
            x, z = rng.uniform(-street.road, street.road), 0.0
        tall, number, carried = rng.uniform(1.5, 1.9), int(rng.integers(KINDS)), rng.random() < 0.6
        with_umbrella = bool(umbrellas and carried)
        if np.hypot(x - eye[0], y - eye[1]) > 2.2:
            height = tall / 0.84 if with_umbrella else tall
            _person(builder, PersonSpec(number, with_umbrella), np.array([x, y, z]), eye, height)


def _near(
    builder: SurfaceBuilder, street: Street, eye: Floats, forward: Floats, focal: float, rng: np.random.Generator
) -> None:
    """One thing within some metres of the camera, in its view."""
    level = forward[:2] / np.linalg.norm(forward[:2])
    right = np.array([level[1], -level[0]])
    depth = rng.uniform(1.6, 4.0)
    aside = depth * rng.uniform(-0.5, 0.5) / focal
    x, y = eye[:2] + depth * level + aside * right
    x = float(np.clip(x, -street.half + 0.5, street.half - 0.5))
    frame = Frame((x, float(y)), (float(right[0]), float(right[1])))
    kind = rng.choice(["post", "person", "leaves", "sign", "trunk"])
    grey = pick(rng, ((70, 74, 76), (150, 152, 150), (40, 60, 50)), 0.2)
    if kind == "post":
        width = float(rng.uniform(0.08, 0.2))
        builder.box(PlainSpec(grey), frame, -width / 2, 0, (width, 6.0, width))
    elif kind == "trunk":
        width = float(rng.uniform(0.2, 0.5))
        builder.box(PlainSpec((84, 68, 54)), frame, -width / 2, 0, (width, 6.0, width))
    elif kind == "person":
        _person(
            builder, PersonSpec(int(rng.integers(KINDS))), np.array([x, y, 0.0]), eye, float(rng.uniform(1.55, 1.9))
        )
    elif kind == "leaves":  # a branch that hangs into the picture
        spec = TreeSpec(LEAVES[rng.integers(len(LEAVES))], "round", int(rng.integers(3)))
        size = float(rng.uniform(2.5, 4.0))
        builder.panel(spec, frame, -size / 2, float(rng.uniform(0.6, 1.6)), size, size, cutout=True, two_sided=True)
    else:
        board = pick(rng, ACCENTS, 0.2)
        sign = SignSpec(shop_name(rng), board, (246, 242, 230), 0.7, 0.7)
        builder.panel(sign, frame, -0.35, float(rng.uniform(1.6, 2.3)), 0.7, 0.7, out=0.05, two_sided=True)
        builder.box(PlainSpec(grey), frame, -0.03, 0, (0.06, 2.6, 0.06))
