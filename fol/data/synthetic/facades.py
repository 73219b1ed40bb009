"""Facades of the synthetic city: six styles of wall, window and ground floor, painted from a small specification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fol.data.synthetic.conditions import WINDOW_GLOWS
from fol.data.synthetic.materials import ACCENTS, STYLES, WALLS, Style, shop_name, wall_texels
from fol.data.synthetic.textures import Bytes, Canvas, Colour, pick, shade, weather

Ground = Literal["shop", "house", "garage"]

FRAMES: tuple[Colour, ...] = ((240, 240, 236), (236, 232, 220), (92, 62, 44), (52, 60, 64), (60, 84, 70))
DOORS: tuple[Colour, ...] = ((120, 40, 36), (38, 70, 52), (36, 54, 92), (96, 62, 40), (60, 60, 64), (190, 150, 60))
GLASS: Colour = (66, 82, 98)


@dataclass(frozen=True)
class FacadeSpec:
    """One facade. Two buildings with equal specs look the same: that is how the city repeats itself on purpose.

    ``width, height`` metres; ``floors`` includes the ground floor; ``columns`` windows per floor; ``seed`` decides
    everything else (colours, proportions, curtains, stains).
    """

    style: Style
    ground: Ground
    width: float
    height: float
    floors: int
    columns: int
    seed: int

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        return _Facade(self).paint()


class _Facade:
    """The painting of one facade: what is drawn, in what order."""

    def __init__(self, spec: FacadeSpec) -> None:
        self.spec = spec
        self.rng = rng = np.random.default_rng([spec.seed, STYLES.index(spec.style)])
        self.wall = pick(rng, WALLS[spec.style])
        dark_wall = sum(self.wall) < 400
        self.trim = shade(self.wall, 1.35 if dark_wall else rng.choice([0.72, 1.12]))
        self.frame = pick(rng, FRAMES)
        self.accent = pick(rng, ACCENTS)
        self.ground_height = 3.6 if spec.ground == "shop" else 3.2
        self.ground_height = min(self.ground_height, spec.height / spec.floors * 1.3)
        self.floor_height = (spec.height - self.ground_height - 0.5) / max(1, spec.floors - 1)
        self.bay = (spec.width - 0.8) / spec.columns
        self.canvas = Canvas(wall_texels(spec.style, self.wall, spec.width, spec.height, rng), spec.width, spec.height)

    def paint(self) -> Bytes:
        spec, rng, canvas = self.spec, self.rng, self.canvas
        if spec.style == "timber":
            self._beams()
        if spec.style == "stone":
            for x in (0.0, spec.width - 0.7):
                canvas.box(x, 0, 0.7, spec.height, shade(self.trim, 0.95))
        canvas.box(0, 0, spec.width, 0.55, shade(self.wall, 0.62))
        kind = int(rng.integers(3))
        width = min(self.bay * rng.uniform(0.45, 0.68), 2.2)
        height = min(self.floor_height * rng.uniform(0.52, 0.68), 2.1)
        if spec.style == "modern":
            width, height = self.bay * rng.uniform(0.7, 0.97), self.floor_height * rng.uniform(0.5, 0.72)
        elif spec.style == "industrial":
            width, height = self.bay * 0.78, self.floor_height * 0.74
        shutters = spec.style in ("plaster", "timber") and rng.random() < 0.55 and self.bay > width * 1.9
        balconies = spec.style in ("plaster", "stone", "modern") and rng.random() < 0.4
        for floor in range(spec.floors - 1):
            z = self.ground_height + floor * self.floor_height
            if spec.style in ("stone", "plaster", "brick") and (floor == 0 or kind == 1):
                canvas.box(0, z - 0.12, spec.width, 0.2, self.trim)
                canvas.box(0, z - 0.17, spec.width, 0.06, shade(self.wall, 0.6))
            for column in range(spec.columns):
                x = 0.4 + (column + 0.5) * self.bay - width / 2
                self._window(x, z + 0.9 * self.floor_height / 3, width, height, kind, shutters)
                if balconies and (column + kind) % 2 == 0:
                    self._railing(x - 0.25, z + 0.16, width + 0.5)
        getattr(self, f"_{spec.ground}")()
        self._cornice()
        self._extras()
        return weather(canvas.texels(), rng, stains=0.05 if spec.style != "modern" else 0.025)

    def _pane(self, x: float, z: float, width: float, height: float, lit: bool) -> None:
        tone = self.rng.uniform(0.6, 1.25)
        glow = WINDOW_GLOWS[int(tone * 1000) % len(WINDOW_GLOWS)] if lit else 0
        self.canvas.box(x, z, width, height, shade(GLASS, tone), glow)
        self.canvas.box(x, z + 0.55 * height, width, 0.45 * height, shade(GLASS, tone * 1.35), glow)

    def _window(self, x: float, z: float, width: float, height: float, kind: int, shutters: bool) -> None:
        canvas, rng, style = self.canvas, self.rng, self.spec.style
        edge = 0.13
        if style != "modern":
            canvas.box(x - edge, z - edge, width + 2 * edge, height + 2 * edge, self.trim)
        if kind == 2 and style in ("stone", "brick", "industrial"):
            canvas.arch(x - edge, z + height, width + 2 * edge, 0.5, self.trim)
            canvas.arch(x, z + height, width, 0.36, shade(GLASS, 0.8))
        elif kind == 1 and style in ("stone", "plaster"):
            canvas.polygon(
                [(x - 0.3, z + height + edge), (x + width / 2, z + height + 0.5), (x + width + 0.3, z + height + edge)],
                self.trim,
            )
        canvas.box(x, z, width, height, self.frame)
        self._pane(x + 0.07, z + 0.07, width - 0.14, height - 0.14, rng.random() < 0.65)
        self._curtain(x + 0.07, z + 0.07, width - 0.14, height - 0.14)
        bars = {"modern": 1, "industrial": 4}.get(style, 2)
        for i in range(1, bars):
            canvas.box(x + width * i / bars - 0.035, z, 0.07, height, self.frame)
        for level in {"industrial": (0.25, 0.5, 0.75), "modern": ()}.get(style, (0.66,)):
            canvas.box(x, z + height * level - 0.03, width, 0.06, self.frame)
        canvas.box(x, z + height - 0.05, width, 0.05, shade(self.frame, 0.45))
        canvas.box(x - 0.2, z - 0.2, width + 0.4, 0.1, shade(self.trim, 1.08))
        canvas.box(x - 0.2, z - 0.28, width + 0.4, 0.08, shade(self.wall, 0.6))
        if shutters:
            for side in (x - width * 0.42 - 0.06, x + width + 0.06):
                canvas.box(side, z - 0.05, width * 0.42, height + 0.1, self.accent)
                for i in range(7):
                    canvas.box(
                        side + 0.06, z + (i + 0.3) * height / 7, width * 0.42 - 0.12, 0.07, shade(self.accent, 0.7)
                    )
        if rng.random() < 0.12:
            for i in range(int(width / 0.16)):
                canvas.ellipse(
                    x + i * 0.16,
                    z - 0.12,
                    0.24,
                    0.34,
                    shade((70, 120, 52) if i % 3 else self.accent, rng.uniform(0.7, 1.2)),
                )

    def _curtain(self, x: float, z: float, width: float, height: float) -> None:
        draw = self.rng.random()
        colour = shade((214, 208, 196), self.rng.uniform(0.72, 1.05))
        if draw < 0.2:
            drop = self.rng.uniform(0.25, 0.9) * height
            self.canvas.box(x, z + height - drop, width, drop, colour, 120 if draw < 0.08 else 0)
        elif draw < 0.42:
            for side in (x, x + width * 0.76):
                self.canvas.box(side, z, width * 0.24, height, colour, 60 if draw < 0.3 else 0)

    def _railing(self, x: float, z: float, width: float) -> None:
        dark = shade((52, 54, 58), self.rng.uniform(0.8, 1.2))
        for i in range(max(2, int(width / 0.2))):
            self.canvas.box(x + i * 0.2, z, 0.06, 0.85, dark)
        self.canvas.box(x, z + 0.82, width, 0.08, dark)
        self.canvas.box(x, z - 0.12, width, 0.16, shade(self.trim, 0.8))

    def _beams(self) -> None:
        canvas, spec = self.canvas, self.spec
        beam = shade((78, 52, 38), self.rng.uniform(0.8, 1.25))
        lean = self.rng.random() < 0.7
        for floor in range(spec.floors):
            z = self.ground_height + floor * self.floor_height
            canvas.box(0, z - 0.25, spec.width, 0.25, beam)
            for column in range(spec.columns + 1):
                x = 0.3 + column * self.bay
                canvas.box(x, z, 0.2, self.floor_height, beam)
                if lean and (column + floor) % 2 == 0 and column < spec.columns:
                    canvas.polygon([(x, z), (x + 0.22, z), (x + 0.75, z + 0.95), (x + 0.53, z + 0.95)], beam)

    def _door(self, x: float, width: float, height: float) -> None:
        canvas, colour = self.canvas, pick(self.rng, DOORS)
        canvas.box(x - 0.16, 0, width + 0.32, height + 0.5, self.trim)
        canvas.box(x, 0.18, width, height - 0.1, colour)
        self._pane(x, height + 0.08, width, 0.3, True)
        for i in range(2):
            canvas.box(x + 0.12, 0.35 + i * height * 0.45, width - 0.24, height * 0.36, shade(colour, 0.78))
        canvas.box(x + width - 0.2, 1.05, 0.09, 0.16, (216, 190, 110))
        canvas.box(x - 0.25, 0, width + 0.5, 0.18, (168, 164, 158))

    def _house(self) -> None:
        position = int(self.rng.integers(self.spec.columns))
        for column in range(self.spec.columns):
            centre = 0.4 + (column + 0.5) * self.bay
            if column == position:
                self._door(centre - 0.55, 1.1, min(2.25, self.ground_height - 0.75))
            else:
                width = min(self.bay * 0.55, 1.5)
                self._window(centre - width / 2, 1.05, width, self.ground_height - 1.75, 0, False)

    def _garage(self) -> None:
        canvas, rng = self.canvas, self.rng
        colour = shade((170, 172, 170), rng.uniform(0.5, 1.15))
        width = min(self.spec.width * 0.5, 3.4)
        x = 0.6 if rng.random() < 0.5 else self.spec.width - width - 0.6
        canvas.box(x - 0.12, 0, width + 0.24, 2.62, self.trim)
        for i in range(10):
            canvas.box(x, i * 0.25, width, 0.2, colour)
            canvas.box(x, i * 0.25 + 0.2, width, 0.05, shade(colour, 0.7))
        rest = self.spec.width - width - 1.2
        if rest > 2:
            self._door(x + width + 0.7 if x < 1 else x - 1.9, 1.0, 2.15)

    def _shop(self) -> None:
        canvas, rng, spec = self.canvas, self.rng, self.spec
        top = self.ground_height
        frame = shade(self.accent, 0.7)
        canvas.box(0.3, 0, spec.width - 0.6, top - 0.25, frame)
        door = int(rng.integers(spec.columns))
        for column in range(spec.columns):
            x, width = 0.45 + column * (spec.width - 0.9) / spec.columns, (spec.width - 0.9) / spec.columns - 0.16
            base = 0.16 if column == door else 0.62
            self._pane(x + 0.05, base, width - 0.1, top - 1.25 - base + 0.2, rng.random() < 0.8)
            if column == door:
                canvas.box(x + width / 2 - 0.04, base, 0.08, top - 1.25 - base, frame)
                canvas.box(x + width / 2 + 0.12, 1.0, 0.06, 0.4, (220, 220, 220))
                continue
            for _ in range(rng.integers(3, 8)):
                goods = pick(rng, ACCENTS, 0.3)
                w, h = rng.uniform(0.15, 0.5), rng.uniform(0.15, 0.8)
                canvas.box(x + 0.1 + rng.random() * max(0.05, width - 0.3 - w), base + 0.03, w, h, goods, 110)
        canvas.box(0.3, top - 1.0, spec.width - 0.6, 0.72, self.accent, 60)
        letters: Colour = (245, 240, 225) if sum(self.accent) < 480 else (40, 34, 34)
        words = shop_name(rng)
        length = min(spec.width - 1.4, 0.42 * len(words))
        canvas.text(words, (spec.width - length) / 2, top - 0.88, length, 0.48, letters, 120)
        canvas.box(0.2, top - 0.3, spec.width - 0.4, 0.14, shade(self.trim, 0.9))

    def _cornice(self) -> None:
        canvas, spec = self.canvas, self.spec
        if spec.style == "modern":
            canvas.box(0, spec.height - 0.3, spec.width, 0.3, shade(self.wall, 0.7))
            return
        canvas.box(0, spec.height - 0.42, spec.width, 0.42, self.trim)
        canvas.box(0, spec.height - 0.52, spec.width, 0.1, shade(self.wall, 0.55))
        if spec.style in ("stone", "brick"):
            for i in range(int(spec.width / 0.45)):
                canvas.box(0.1 + i * 0.45, spec.height - 0.42, 0.2, 0.2, shade(self.trim, 0.7))

    def _extras(self) -> None:
        canvas, rng, spec = self.canvas, self.rng, self.spec
        if rng.random() < 0.6:
            x = 0.08 if rng.random() < 0.5 else spec.width - 0.22
            canvas.box(x, 0, 0.12, spec.height - 0.4, shade(self.wall, 0.5))
        if rng.random() < 0.22 and spec.style != "modern":
            self._ivy(rng.uniform(0, spec.width - 2), rng.uniform(0.4, 0.8) * spec.height)
        if rng.random() < 0.3:
            x = rng.uniform(0.3, max(0.4, spec.width - 1.2))
            for _ in range(rng.integers(1, 4)):
                canvas.box(x, 1.1, 0.6, 0.85, pick(rng, ACCENTS, 0.3))
                canvas.box(x + 0.1, 1.45, 0.4, 0.2, pick(rng, ACCENTS, 0.3))
                x += 0.68

    def _ivy(self, x: float, top: float) -> None:
        count = 90
        positions: NDArray[np.float64] = self.rng.random((count, 3))
        for a, b, tone in positions.tolist():
            size = 0.25 + 0.3 * tone
            self.canvas.ellipse(x + a * (1.8 - 0.9 * b), b * top, size, size, shade((56, 92, 44), 0.6 + 0.7 * tone))
