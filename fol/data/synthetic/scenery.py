"""Everything of the synthetic city that is not a facade: side walls, roofs, trees, pavements, small objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from fol.data.synthetic.materials import Style, wall_texels
from fol.data.synthetic.textures import Bytes, Canvas, Colour, pick, power_of_two, shade, weather

LEAVES: tuple[Colour, ...] = ((70, 104, 44), (88, 116, 52), (58, 92, 50), (104, 122, 56))
Barrier = Literal["hedge", "wall", "fence"]
BARRIERS: tuple[Barrier, ...] = ("hedge", "wall", "fence")
Crown = Literal["round", "tall", "conifer"]
CROWNS: tuple[Crown, ...] = ("round", "round", "tall", "conifer")


@dataclass(frozen=True)
class PlainSpec:
    """One colour, a little grain; ``glow`` 0 to 255."""

    colour: Colour
    glow: int = 0

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        texels = np.empty((32, 32, 4), np.uint8)
        texels[..., :3], texels[..., 3] = self.colour, self.glow
        return weather(texels, np.random.default_rng(0))


@dataclass(frozen=True)
class ShadowSpec:
    """The dark under a car, cut out, soft at its edges."""

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        texels = np.zeros((64, 32, 4), np.uint8)
        texels[..., :3] = (34, 34, 38)
        y, x = (np.abs(np.linspace(-1, 1, n)) ** 6 for n in (64, 32))
        inside = 1 - np.maximum(y[:, None], x[None, :])
        texels[..., 3] = np.where(inside > np.random.default_rng(0).uniform(0.0, 0.6, inside.shape), 255, 0)
        return texels


@dataclass(frozen=True)
class SideWallSpec:
    """A side wall ``width`` deep; with a ``gable`` (metres) its top is a triangle cut out of the rectangle."""

    style: Style
    colour: Colour
    width: float
    height: float
    gable: float
    seed: int

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        rng = np.random.default_rng(self.seed)
        style: Style = "brick" if self.style == "timber" else self.style
        canvas = Canvas(wall_texels(style, self.colour, self.width, self.height, rng, 14), self.width, self.height)
        canvas.box(0, 0, self.width, 0.5, shade(self.colour, 0.65))
        for _ in range(rng.integers(0, 4)):
            x, z = rng.uniform(0.8, self.width - 1.6), rng.uniform(2.5, max(2.6, self.height - self.gable - 2))
            canvas.box(x - 0.1, z - 0.1, 1.0, 1.4, shade(self.colour, 1.25))
            canvas.box(x, z, 0.8, 1.2, (64, 76, 90))
        texels = weather(canvas.texels(), rng, stains=0.07)
        if self.gable:
            rows, columns = texels.shape[:2]
            z = (np.arange(rows)[:, None] + 0.5) * self.height / rows
            from_ridge = np.abs((np.arange(columns) + 0.5) / columns * 2 - 1)
            texels[..., 3] = np.where(z <= self.height - self.gable * from_ridge, 255, 0)
        return texels


@dataclass(frozen=True)
class RoofSpec:
    """Courses of tiles over ``width`` x ``height`` metres."""

    colour: Colour
    width: float
    height: float
    seed: int

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        rng = np.random.default_rng(self.seed)
        rows, columns = power_of_two(self.height, 20, 128), power_of_two(self.width, 20, 256)
        z, x = np.arange(rows) * self.height / rows / 0.34, np.arange(columns) * self.width / columns / 0.3
        gain = 0.82 + 0.2 * (z % 1)[:, None] + 0.05 * np.cos(2 * np.pi * x)[None, :]
        texels = np.zeros((rows, columns, 4), np.uint8)
        texels[..., :3] = np.clip(gain[..., None] * np.array(self.colour), 0, 255)
        return weather(texels, rng, stains=0.07)


@dataclass(frozen=True)
class TreeSpec:
    """A tree seen from the side, cut out; the crown fills the upper part of a square. ``bare``: without its leaves."""

    leaves: Colour
    crown: Crown
    seed: int
    bare: bool = False

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        rng = np.random.default_rng(self.seed)
        texels = np.zeros((256, 256, 4), np.uint8)
        texels[..., :3] = shade(self.leaves, 0.85)
        canvas = Canvas(texels, 1.0, 1.0)
        bark = shade((86, 68, 52), rng.uniform(0.7, 1.2))
        canvas.polygon([(0.475, 0), (0.525, 0), (0.51, 0.6), (0.49, 0.6)], bark, 255)
        for side in (-1, 1):
            canvas.polygon([(0.49, 0.3), (0.51, 0.3), (0.5 + 0.2 * side, 0.58), (0.5 + 0.185 * side, 0.58)], bark, 255)
        if self.bare:
            self._branches(canvas, rng, bark)
            return canvas.texels()
        count = 560
        angle, radius = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
        x, z = np.cos(angle) * radius, np.sin(angle) * radius
        if self.crown == "conifer":
            z = rng.uniform(-1, 1, count)
            x = rng.uniform(-1, 1, count) * (1.02 - z) / 2
        narrow = {"round": 0.42, "tall": 0.27, "conifer": 0.33}[self.crown]
        # a few lobes make the outline irregular
        lobes = 1 + 0.14 * np.cos(angle * rng.integers(3, 6) + rng.uniform(0, 6))
        x, z = 0.5 + x * narrow * lobes, 0.6 + z * 0.34 * lobes
        order = np.argsort(z + rng.normal(0, 0.12, count))
        x, z, size = x[order], z[order], rng.uniform(0.016, 0.04, count)
        boxes = np.stack([x - size, 1 - z - 0.8 * size, x + size, 1 - z + 0.8 * size], axis=1) * 256
        light = rng.uniform(0.62, 1.12, count) * (0.75 + 0.5 * (z - 0.3))
        colours = np.clip(light[:, None] * np.array(self.leaves), 0, 255).astype(int)
        for box, (red, green, blue) in zip(boxes.tolist(), colours.tolist(), strict=True):
            canvas.draw.ellipse(box, fill=(red, green, blue, 255))
        return canvas.texels()

    def _branches(self, canvas: Canvas, rng: np.random.Generator, bark: Colour) -> None:
        """Twigs that fork again and again."""
        narrow = {"round": 1.0, "tall": 0.6, "conifer": 0.7}[self.crown]
        growing = [(0.5, 0.3, 0.0, 0.2), (0.5, 0.35, -0.6, 0.17), (0.5, 0.38, 0.6, 0.17)]  # x, z, direction, length
        for generation in range(5):
            following = []
            for x, z, direction, length in growing:
                end = (x + length * np.sin(direction) * narrow, z + length * np.cos(direction))
                line = [(x * 256, 256 - z * 256), (end[0] * 256, 256 - end[1] * 256)]
                canvas.draw.line(line, fill=(*bark, 255), width=max(1, 5 - generation))
                for turn in rng.uniform(0.2, 0.75, 3) * np.array([-1, 1, rng.choice([-0.3, 0.3])]):
                    following.append((float(end[0]), float(end[1]), direction + float(turn), length * 0.74))
            growing = following


@dataclass(frozen=True)
class HedgeSpec:
    """A stretch of hedge, garden wall or fence (the last is cut out), ``WIDTH`` metres to be repeated."""

    WIDTH: ClassVar[float] = 4.2
    kind: Barrier
    colour: Colour
    height: float

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        rng = np.random.default_rng(0)
        if self.kind == "wall":
            texels = weather(wall_texels("brick", self.colour, self.WIDTH, self.height, rng), rng, stains=0.07)
            texels[: max(1, len(texels) // 12), :, :3] = shade(self.colour, 1.3)
            texels[..., 3] = 255
            return texels[::-1]
        texels = np.zeros((64, 128, 4), np.uint8)
        texels[..., :3] = self.colour
        canvas = Canvas(texels, self.WIDTH, self.height)
        if self.kind == "fence":
            for i in range(round(self.WIDTH / 0.14)):
                canvas.box(i * 0.14, 0, 0.05, self.height, self.colour, 255)
            for z in (0.15, self.height - 0.2):
                canvas.box(0, z, self.WIDTH, 0.08, self.colour, 255)
            return canvas.texels()
        for x, z, tone in rng.random((250, 3)).tolist():
            for across in (x - 1, x):  # what is cut off on the right comes back on the left
                box = (across * self.WIDTH, z * self.height, 0.25, 0.2)
                canvas.ellipse(*box, shade(self.colour, 0.55 + 0.75 * tone), 255)
        texels = np.array(canvas.texels())
        texels[..., 3] = 255
        return texels


@dataclass(frozen=True)
class RoadSpec:
    """16 m of asphalt, ``width`` metres across, with a dashed middle line and edge lines where there are any."""

    width: float
    middle_line: bool
    edge_lines: bool
    tone: float
    seed: int

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        rng = np.random.default_rng(self.seed)
        texels = np.zeros((512, 256, 4), np.uint8)
        texels[..., :3] = shade((104, 104, 108), self.tone)
        canvas = Canvas(texels, self.width, 16.0)
        for lane in (0.25, 0.75):
            for offset in (-0.75, 0.75):
                canvas.box(lane * self.width + offset - 0.25, 0, 0.5, 16, shade((98, 98, 102), self.tone))
        for _ in range(rng.integers(1, 4)):
            x, y = rng.uniform(0.3, self.width - 2), rng.uniform(0, 13)
            canvas.box(x, y, rng.uniform(0.8, 1.8), rng.uniform(0.8, 3), shade((84, 84, 88), self.tone))
        for _ in range(5):
            points = np.cumsum(rng.normal(0, 0.35, (9, 2)), axis=0) + rng.uniform((0, 0), (self.width, 16))
            canvas.draw.line(
                [(a * canvas.scale_x, b * canvas.scale_z) for a, b in points], fill=(62, 62, 66, 0), width=1
            )
        paint = (206, 206, 200)
        if self.middle_line:
            for y in (0.0, 8.0):
                canvas.box(self.width / 2 - 0.07, y, 0.14, 4.0, paint)
        if self.edge_lines:
            for x in (0.3, self.width - 0.42):
                canvas.box(x, 0, 0.12, 16, paint)
        return weather(canvas.texels(), rng, grain=1.6)


@dataclass(frozen=True)
class PavementSpec:
    """8 m of sidewalk, ``width`` metres across, slabs of ``slab`` metres."""

    width: float
    slab: float
    colour: Colour
    seed: int

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        rng = np.random.default_rng(self.seed)
        rows, columns = 256, 128
        y, x = np.arange(rows) * 8.0 / rows / self.slab, np.arange(columns) * self.width / columns / self.slab
        tones = rng.uniform(0.9, 1.08, 499)[(y.astype(int)[:, None] * 37 + x.astype(int)[None, :] * 11) % 499]
        seam = ((y % 1) < 8.0 / rows / self.slab)[:, None] | ((x % 1) < self.width / columns / self.slab)[None, :]
        texels = np.zeros((rows, columns, 4), np.uint8)
        texels[..., :3] = np.clip(np.where(seam, 0.72, tones)[..., None] * np.array(self.colour), 0, 255)
        return weather(texels, rng, grain=1.6)


@dataclass(frozen=True)
class ZebraSpec:
    """A pedestrian crossing, cut out: ``stripes`` bars along u."""

    stripes: int

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        columns = 256
        bar = (np.arange(columns) * self.stripes * 2 // columns) % 2 == 0
        texels = np.empty((64, columns, 4), np.uint8)
        texels[..., :3] = (214, 214, 208)
        texels = weather(texels, np.random.default_rng(self.stripes), grain=1.6)
        texels[..., 3] = np.where(bar, 255, 0)
        return texels


@dataclass(frozen=True)
class ManholeSpec:
    """A round iron cover, cut out."""

    seed: int

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        rng = np.random.default_rng(self.seed)
        texels = np.zeros((32, 32, 4), np.uint8)
        canvas = Canvas(texels, 1.0, 1.0)
        canvas.ellipse(0, 0, 1, 1, (60, 58, 56), 255)
        canvas.ellipse(0.1, 0.1, 0.8, 0.8, pick(rng, ((92, 88, 84), (78, 76, 76))), 255)
        for i in range(3):
            canvas.box(0.2, 0.25 + 0.2 * i, 0.6, 0.07, (56, 54, 52), 255)
        return canvas.texels()


@dataclass(frozen=True)
class AwningSpec:
    """Striped canvas over a shop."""

    colour: Colour
    stripes: int

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        bar = (np.arange(256) * self.stripes // 256) % 2 == 0
        texels = np.empty((32, 256, 4), np.uint8)
        texels[..., :3] = np.where(bar[:, None], self.colour, (236, 232, 222))
        texels[..., 3] = 25
        texels[:3, :, :3] = shade(self.colour, 0.7)
        return texels
