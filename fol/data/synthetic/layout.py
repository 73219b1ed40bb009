"""What stands along a street of the synthetic city: houses, gaps, gardens, trees, lamps, road and pavement.

Everything is in the street's own frame: x to the right of its direction, y along it, z up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fol.data.synthetic.facades import FacadeSpec, Ground
from fol.data.synthetic.materials import ACCENTS, WALLS, SignSpec, Style, shop_name
from fol.data.synthetic.scenery import (
    BARRIERS,
    CROWNS,
    LEAVES,
    AwningSpec,
    Crown,
    HedgeSpec,
    ManholeSpec,
    PavementSpec,
    PlainSpec,
    RoadSpec,
    RoofSpec,
    SideWallSpec,
    TreeSpec,
    ZebraSpec,
)
from fol.data.synthetic.surfaces import Frame, SurfaceBuilder
from fol.data.synthetic.textures import Colour, pick, shade

Floats = NDArray[np.float64]
END = 16.0  # metres from a street's last place's zone to the building that closes the view
LAMP_SPACING, LAMP_HEIGHT = 26.0, 5.2
SKYLINE_STEP = 0.5


@dataclass(frozen=True)
class Theme:
    """A kind of street: which houses stand there and how."""

    styles: tuple[Style, ...]
    floors: tuple[int, int]
    shops: float  # share of ground floors that are shops
    setback: float  # front garden, metres
    trees: float  # share of tree pits that are planted
    pitched: float  # share of tiled roofs
    road: tuple[float, float]  # half width, metres
    pavement: tuple[float, float]


THEMES: tuple[Theme, ...] = (
    Theme(("plaster", "timber", "stone", "plaster"), (2, 4), 0.45, 0.0, 0.25, 0.9, (2.6, 3.6), (1.8, 2.6)),
    Theme(("stone", "plaster", "brick", "modern"), (3, 5), 0.8, 0.0, 0.45, 0.4, (3.6, 5.0), (3.0, 4.2)),
    Theme(("brick", "plaster", "brick"), (2, 3), 0.12, 2.6, 0.6, 0.95, (3.0, 3.8), (1.8, 2.4)),
    Theme(("modern", "industrial", "modern", "stone"), (3, 6), 0.4, 0.0, 0.5, 0.05, (4.0, 5.5), (3.0, 4.0)),
)


@dataclass(frozen=True)
class Aliasing:
    """Perceptual aliasing on purpose: the ``share`` of houses that are one of a theme's few repeated ``houses``."""

    share: float = 0.3
    houses: int = 4


DEFAULT_ALIASING = Aliasing()


def repeated_houses(seed: int, theme: Theme, count: int = 4) -> tuple[FacadeSpec, ...]:
    """The houses that occur again and again in all streets of a theme: perceptual aliasing on purpose."""
    rng = np.random.default_rng([seed, THEMES.index(theme), 11])
    return tuple(random_house(rng, theme) for _ in range(count))


def random_house(rng: np.random.Generator, theme: Theme) -> FacadeSpec:
    """A house as they are built in streets of a theme."""
    style = theme.styles[rng.integers(len(theme.styles))]
    floors = int(rng.integers(theme.floors[0], theme.floors[1] + 1))
    columns = int(rng.integers(2, 6))
    bay = rng.uniform(2.2, 3.2) if style != "industrial" else rng.uniform(2.8, 3.8)
    ground: Ground = "shop" if rng.random() < theme.shops else ("garage" if rng.random() < 0.15 else "house")
    height = 3.6 + (floors - 1) * rng.uniform(2.9, 3.5) + 0.6
    return FacadeSpec(
        style, ground, round(0.8 + columns * bay, 2), round(height, 2), floors, columns, int(rng.integers(1 << 31))
    )


@dataclass
class Layout:
    """Builds one street; the state is the builder and the random generator."""

    builder: SurfaceBuilder
    rng: np.random.Generator
    theme: Theme
    repeated: tuple[FacadeSpec, ...]
    repeated_share: float
    road: float
    half: float
    length: float

    def build(self) -> Floats:
        """Place everything; gives the skyline ``[2, n]``."""
        self.lamp_start = float(self.rng.uniform(0, LAMP_SPACING))
        self._ground()
        skyline = np.stack([self._side(-1), self._side(1)])
        self._ends()
        self._trees()
        self._lamps()
        return skyline

    def _seed(self) -> int:
        return int(self.rng.integers(1 << 31))

    def _ground(self) -> None:
        rng, b = self.rng, self.builder
        y = (-END, self.length + END)
        span = y[1] - y[0]
        road = RoadSpec(
            2 * self.road, rng.random() < 0.6, rng.random() < 0.3, float(rng.uniform(0.8, 1.15)), self._seed()
        )
        b.ground(road, (-self.road, self.road), y, repeats=(1.0, span / 16))
        stone = pick(rng, ((170, 166, 158), (150, 148, 146), (178, 168, 150), (158, 140, 126)))
        pavement = PavementSpec(self.half - self.road, float(rng.choice([0.4, 0.6, 1.0])), stone, self._seed())
        kerb = PlainSpec(shade(stone, 0.92))
        for side in (-1, 1):
            inner, outer = sorted((side * self.road, side * (self.half + self.theme.setback)))
            b.ground(pavement, (inner, outer), y, 0.12, repeats=(1.0, span / 8))
            frame = Frame((side * self.road, y[0] if side < 0 else y[1]), (0.0, -float(side)))
            b.panel(kerb, frame, 0, 0, span, 0.12)
        b.ground(PlainSpec((112, 110, 100)), (-250, 250), (-250, self.length + 250), -0.03)
        for _ in range(2):
            at = rng.uniform(0, self.length)
            b.ground(ZebraSpec(int(self.road * 2 / 1.0)), (-self.road, self.road), (at, at + 3.0), 0.012, cutout=True)
        for _ in range(int(self.length / 22)):
            x, at = rng.uniform(-self.road + 0.5, self.road - 0.5), rng.uniform(0, self.length)
            b.ground(ManholeSpec(int(rng.integers(3))), (x - 0.38, x + 0.38), (at, at + 0.76), 0.014, cutout=True)
        for _ in range(int(self.length / 16)):
            x, at = rng.uniform(-self.road, self.road - 2), rng.uniform(0, self.length)
            tone = float(rng.choice([0.6, 0.7, 0.8, 0.9]))
            b.ground(
                PlainSpec(shade((96, 96, 98), tone)), (x, x + rng.uniform(0.8, 2)), (at, at + rng.uniform(1, 5)), 0.008
            )

    def _side(self, side: int) -> Floats:
        """Houses of one side from end to end; gives its skyline."""
        rng = self.rng
        heights = np.zeros(int((self.length + 2 * END) / SKYLINE_STEP) + 1)
        y = -END
        row: list[tuple[float, FacadeSpec, float] | None] = []  # y, house, rise of its roof; None is a gap
        while y < self.length + END:
            if row and row[-1] and rng.random() < 0.09:
                y = self._gap(side, y)
                row.append(None)
                continue
            spec = (
                self.repeated[rng.integers(len(self.repeated))]
                if rng.random() < self.repeated_share
                else random_house(rng, self.theme)
            )
            pitched = rng.random() < self.theme.pitched and spec.style != "modern"
            rise = float(rng.uniform(2.2, 3.6)) if pitched else 0.0
            first, last = (int((v + END) / SKYLINE_STEP) for v in (y, y + spec.width))
            heights[first : last + 1] = spec.height + 0.5 * rise
            row.append((y, spec, rise))
            y += spec.width
        tops = [None, *(house and house[1].height for house in row), None]
        for before, house, after in zip(tops, row, tops[2:], strict=False):
            if house:
                self._building(side, *house, before, after)
        return heights

    def _frame(self, side: int, y0: float, y1: float, setback: float = 0.0) -> Frame:
        """Frame of a stretch of the facade line, seen from the street."""
        x = side * (self.half + setback)
        return Frame((x, y0), (0.0, 1.0)) if side < 0 else Frame((x, y1), (0.0, -1.0))

    def _building(
        self, side: int, y: float, spec: FacadeSpec, rise: float, previous: float | None, following: float | None
    ) -> None:
        """One house; ``previous`` and ``following`` are the heights of its neighbours, None at a gap."""
        rng, b, width, height = self.rng, self.builder, spec.width, spec.height
        frame = self._frame(side, y, y + width, self.theme.setback)
        b.panel(spec, frame, 0, 0, width, height)
        depth = 9.0
        if rise:
            tiles = pick(rng, ((148, 76, 56), (120, 66, 56), (92, 88, 92), (110, 84, 66)))
            roof = RoofSpec(tiles, width, float(np.hypot(rise, depth / 2)), self._seed())
            # its plane goes through the facade's upper edge and hangs over a little
            over, slope = 0.35, rise / (depth / 2)
            eaves = height - over * slope
            b.panel(roof, frame, -0.1, eaves, width + 0.2, height + rise - eaves, out=over, lean=depth / 2 + over)
            if rng.random() < 0.6:
                chimney = PlainSpec(shade(WALLS["brick"][0], float(rng.uniform(0.7, 1.1))))
                at = float(rng.uniform(0.5, width - 1.5))
                b.box(chimney, frame, at, height + rise * 0.4, (0.8, rise * 0.6 + 1.2, 0.6), out=-3.2)
        wall = SideWallSpec(spec.style, pick(rng, WALLS[spec.style]), depth, height + rise, rise, spec.seed % 8191)
        # side walls, seen from outside, where the neighbour does not hide them: "before" is the end at the smaller y
        up = frame.direction(0, height + rise, 0)
        before, after = (0.0, width) if side < 0 else (width, 0.0)
        for at, neighbour in ((before, previous), (after, following)):
            if neighbour is None or neighbour < height + rise:
                start, out = (-depth, depth) if at == 0 else (0.0, -depth)
                b.add(wall, frame.point(at, 0, start), frame.direction(0, 0, out), up, cutout=rise > 0)
        if spec.ground == "shop":
            self._shop_front(frame, spec)
        if self.theme.setback:
            self._front_garden(side, y, width)
        if rng.random() < 0.25 and spec.style in ("plaster", "modern", "stone"):
            self._balcony(frame, spec)

    def _shop_front(self, frame: Frame, spec: FacadeSpec) -> None:
        rng, b, width = self.rng, self.builder, spec.width
        board = pick(rng, ACCENTS, 0.1)
        letters: Colour = (246, 242, 230) if sum(board) < 420 else (36, 32, 36)
        if rng.random() < 0.45:
            awning = AwningSpec(pick(rng, ACCENTS[:-1]), int(rng.integers(5, 10)) * 2 + 1)
            b.panel(awning, frame, 0.5, 2.35, width - 1.0, 0.65, out=1.3, lean=1.28, two_sided=True)
        if rng.random() < 0.7:
            blade = SignSpec(shop_name(rng), board, letters, 0.75, float(rng.uniform(1.4, 2.8)), vertical=True)
            at, z = float(rng.uniform(0.3, width - 0.3)), 3.5
            up = frame.direction(0, blade.height, 0)
            b.add(blade, frame.point(at, z, 0.15), frame.direction(0, 0, blade.width), up)
            b.add(blade, frame.point(at + 0.1, z, 0.15 + blade.width), frame.direction(0, 0, -blade.width), up)
            b.panel(PlainSpec(shade(board, 0.6)), frame, at, z, 0.1, blade.height, out=0.15 + blade.width)
        elif rng.random() < 0.6:
            size = (float(rng.uniform(2.0, 3.5)), float(rng.uniform(0.7, 1.1)))
            sign = SignSpec(shop_name(rng), board, letters, *size)
            at = float(rng.uniform(0.3, max(0.4, width - size[0] - 0.3)))
            b.panel(sign, frame, at, 3.9, *size, out=0.2)

    def _balcony(self, frame: Frame, spec: FacadeSpec) -> None:
        b = self.builder
        floor_height = (spec.height - 4.1) / max(1, spec.floors - 1)
        bay = (spec.width - 0.8) / spec.columns
        rng, width, depth = self.rng, bay - 0.2, 0.9
        kind = BARRIERS[2 if rng.random() < 0.7 else 1]
        iron = pick(rng, ((60, 62, 68), (196, 196, 190), (96, 76, 60)))
        rail, turns = HedgeSpec(kind, iron, 0.95), (width / HedgeSpec.WIDTH, depth / HedgeSpec.WIDTH)
        slab = PlainSpec((168, 164, 156))
        x = 0.5 + int(rng.integers(spec.columns)) * bay
        for floor in range(spec.floors - 1):
            z = 3.6 + floor * floor_height + 0.25
            b.box(slab, frame, x, z - 0.14, (width, 0.14, depth))
            b.panel(rail, frame, x, z, width, 0.95, out=depth, cutout=True, two_sided=True, repeats=(turns[0], 1))
            up = frame.direction(0, 0.95, 0)
            for at in (x, x + width):
                origin, across = frame.point(at, z), frame.direction(0, 0, depth)
                b.add(rail, origin, across, up, cutout=True, two_sided=True, repeats=(turns[1], 1))

    def _front_garden(self, side: int, y: float, width: float) -> None:
        rng = self.rng
        kind = BARRIERS[rng.integers(3)]
        colour = {"hedge": LEAVES[1], "wall": WALLS["brick"][1], "fence": (222, 220, 212)}[kind]
        if kind == "fence" and rng.random() < 0.5:
            colour = (60, 56, 54)
        height = float(rng.choice([0.9, 1.1, 1.3]))
        gate = float(rng.uniform(1.5, width - 2.5))
        for start, stop in ((0.0, gate), (gate + 1.2, width)):
            self._barrier(HedgeSpec(kind, colour, height), self._frame(side, y + start, y + stop), stop - start)
        for _ in range(rng.integers(0, 3)):
            self._tree(side * (self.half + 1.4), y + rng.uniform(0.8, width - 0.8), rng.uniform(2.0, 3.4))

    def _gap(self, side: int, y: float) -> float:
        """A gap between houses, closed by a wall or a hedge, trees behind; gives where it ends."""
        rng, width = self.rng, round(float(self.rng.uniform(5, 10)), 2)
        kind = BARRIERS[rng.integers(2)]
        colour = LEAVES[2] if kind == "hedge" else WALLS["brick"][3]
        frame = self._frame(side, y, y + width, self.theme.setback)
        self._barrier(HedgeSpec(kind, colour, 2.0), frame, width)
        for _ in range(3):
            x = side * (self.half + self.theme.setback + rng.uniform(2.5, 7))
            self._tree(x, y + rng.uniform(1, width - 1), rng.uniform(6, 10))
        return y + width

    def _barrier(self, spec: HedgeSpec, frame: Frame, width: float) -> None:
        repeats = (width / HedgeSpec.WIDTH, 1.0)
        self.builder.panel(spec, frame, 0, 0.1, width, spec.height, cutout=True, two_sided=True, repeats=repeats)

    def _ends(self) -> None:
        """A building across each end closes the view."""
        for y, right in ((self.length + END, 1.0), (-END, -1.0)):
            start = -right * (self.half + 14)
            while abs(start) <= self.half + 14:
                spec = random_house(self.rng, self.theme)
                self.builder.panel(spec, Frame((start, y), (right, 0.0)), 0, 0, spec.width, spec.height)
                start += right * spec.width

    def _tree(self, x: float, y: float, height: float) -> None:
        rng = self.rng
        crown: Crown = CROWNS[rng.integers(len(CROWNS))]
        # few kinds: leaves tell places apart badly in real life too
        spec = TreeSpec(LEAVES[rng.integers(len(LEAVES))], crown, int(rng.integers(3)))
        turn = rng.uniform(0, np.pi)
        for angle in (turn, turn + np.pi / 2):
            right = (float(np.cos(angle)), float(np.sin(angle)))
            frame = Frame((x, y), right)
            self.builder.panel(spec, frame, -height / 2, 0.1, height, height, cutout=True, two_sided=True)

    def _trees(self) -> None:
        for side in (-1, 1):
            y = self.rng.uniform(2, 10)
            while y < self.length:
                if self.rng.random() < self.theme.trees and self.half - self.road > 2.2:
                    x = side * (self.road + 0.9)
                    self.builder.ground(PlainSpec((84, 70, 56)), (x - 0.5, x + 0.5), (y - 0.5, y + 0.5), 0.13)
                    self._tree(x, y, self.rng.uniform(5.0, 8.0))
                y += self.rng.uniform(8, 15)

    def _lamps(self) -> None:
        pole, head = PlainSpec((58, 62, 62)), PlainSpec((236, 232, 214), 250)
        y, k = self.lamp_start, 0
        while y < self.length:
            side = 1 if k % 2 == 0 else -1
            frame = Frame((side * (self.road + 0.35), y), (0.0, -float(side)))
            self.builder.box(pole, frame, -0.06, 0.1, (0.12, LAMP_HEIGHT, 0.12))
            self.builder.box(pole, frame, -0.05, LAMP_HEIGHT, (0.1, 0.1, 1.3))
            self.builder.box(head, frame, -0.15, LAMP_HEIGHT - 0.12, (0.3, 0.12, 0.6), out=0.75)
            y, k = y + LAMP_SPACING, k + 1
