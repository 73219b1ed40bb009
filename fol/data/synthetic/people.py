"""People of the synthetic city: painted figures that stand on the pavement and face the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fol.data.synthetic.textures import Bytes, Canvas, Colour, pick, shade

KINDS = 40  # different people
CLOTHES: tuple[Colour, ...] = (
    (40, 44, 54), (60, 70, 96), (150, 40, 44), (206, 200, 190), (70, 92, 66), (170, 140, 96), (34, 34, 36),
    (96, 60, 90), (214, 160, 60), (120, 140, 168),
)  # fmt: skip
SKIN: tuple[Colour, ...] = ((232, 196, 168), (206, 160, 124), (150, 106, 78), (98, 68, 52))
HAIR: tuple[Colour, ...] = ((40, 32, 28), (88, 62, 42), (150, 116, 72), (150, 148, 146))


@dataclass(frozen=True)
class PersonSpec:
    """A person in the street, cut out of a square as wide as high; some carry an umbrella when it rains."""

    number: int
    umbrella: bool = False

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        rng = np.random.default_rng([self.number, 5])
        texels = np.zeros((128, 128, 4), np.uint8)
        coat, trousers, skin, hair = (pick(rng, choice, 0.15) for choice in (CLOTHES, CLOTHES, SKIN, HAIR))
        texels[..., :3] = coat
        canvas = Canvas(texels, 1.0, 1.0)
        stride, lean = rng.uniform(0.0, 0.09), rng.uniform(-0.01, 0.01)
        shoulder, hip = rng.uniform(0.105, 0.135), rng.uniform(0.075, 0.1)
        scale = 0.84 if self.umbrella else 1.0

        def part(points: list[tuple[float, float]], colour: Colour) -> None:
            canvas.polygon([(0.5 + x * scale, z * scale) for x, z in points], colour, 255)

        for side in (-1, 1):
            foot = side * (0.035 + stride)
            leg = shade(trousers, 1.0 if side > 0 else 0.8)
            part([(side * 0.01, 0.5), (side * hip, 0.5), (foot + side * 0.03, 0.03), (foot - side * 0.03, 0.03)], leg)
            part([(foot - 0.04, 0.0), (foot - 0.04, 0.035), (foot + 0.045, 0.035), (foot + 0.05, 0.0)], (30, 28, 28))
            swing = side * (shoulder + 0.02) + rng.uniform(-0.04, 0.04)
            part(
                [(side * shoulder, 0.8), (side * (shoulder - 0.04), 0.8), (swing - 0.025, 0.46), (swing + 0.03, 0.46)],
                shade(coat, 0.8),
            )
            part([(swing - 0.02, 0.47), (swing + 0.025, 0.47), (swing + 0.02, 0.42), (swing - 0.015, 0.42)], skin)
        hem = 0.3 if rng.random() < 0.3 else 0.46
        part([(-hip, hem), (-shoulder, 0.79), (-0.04, 0.83), (0.04, 0.83), (shoulder, 0.79), (hip, hem)], coat)
        part([(lean - 0.012, 0.8), (lean + 0.012, 0.8), (0.012, hem), (-0.012, hem)], shade(coat, 0.6))
        if rng.random() < 0.35:
            bag = pick(rng, CLOTHES, 0.2)
            x = float(rng.choice([-1, 1])) * (hip + 0.03)
            part([(x - 0.06, 0.4), (x + 0.06, 0.4), (x + 0.05, 0.56), (x - 0.05, 0.56)], bag)
        part([(-0.025, 0.82), (0.025, 0.82), (0.025, 0.87), (-0.025, 0.87)], shade(skin, 0.8))
        x, z = 0.5 + (lean - 0.055) * scale, 0.855 * scale
        canvas.ellipse(x - 0.004, z, 0.118 * scale, 0.145 * scale, hair, 255)
        if rng.random() < 0.6:  # seen from the front
            canvas.ellipse(x + 0.012 * scale, z, 0.086 * scale, 0.115 * scale, skin, 255)
        if self.umbrella:
            cloth = pick(rng, CLOTHES, 0.3)
            canvas.arch(0.18, 0.8, 0.66, 0.2, cloth)
            texels = np.array(canvas.texels())
            texels[int(0.8 * 128) :, :, 3] = np.where(
                (texels[int(0.8 * 128) :, :, :3] == np.array(cloth)).all(axis=2), 255, texels[int(0.8 * 128) :, :, 3]
            )
            return texels
        return canvas.texels()
