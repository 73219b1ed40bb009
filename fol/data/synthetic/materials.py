"""Walls, colours and sign boards of the synthetic city: what facades and other objects share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fol.data.synthetic.textures import TEXELS_PER_METRE, Bytes, Canvas, Colour, power_of_two, shade

Style = Literal["brick", "plaster", "stone", "modern", "timber", "industrial"]
STYLES: tuple[Style, ...] = ("brick", "plaster", "stone", "modern", "timber", "industrial")
WALLS: dict[Style, tuple[Colour, ...]] = {
    "brick": ((150, 78, 60), (168, 98, 72), (124, 70, 62), (176, 120, 88)),
    "plaster": (
        (226, 208, 166), (214, 172, 128), (190, 204, 190), (222, 186, 178), (180, 196, 216),
        (234, 226, 208), (206, 150, 110),
    ),
    "stone": ((198, 186, 164), (176, 170, 160), (208, 196, 178)),
    "modern": ((172, 176, 180), (214, 214, 210), (120, 126, 134), (196, 182, 160)),
    "timber": ((236, 226, 204), (226, 206, 164), (222, 214, 204)),
    "industrial": ((132, 74, 60), (108, 104, 104), (150, 132, 112)),
}  # fmt: skip
ACCENTS: tuple[Colour, ...] = (
    (176, 36, 40), (30, 90, 150), (28, 110, 70), (220, 160, 30), (96, 44, 110), (30, 36, 44),
    (224, 108, 40), (240, 236, 226),
)  # fmt: skip
MASONRY: dict[Style, tuple[float, float, float, float]] = {  # course and block length in metres, contrast, joint
    "brick": (0.16, 0.42, 0.16, 0.80),
    "industrial": (0.18, 0.5, 0.14, 0.82),
    "stone": (0.5, 1.1, 0.07, 0.86),
    "modern": (1.5, 2.4, 0.03, 0.84),
}


def wall_texels(
    style: Style,
    colour: Colour,
    width: float,
    height: float,
    rng: np.random.Generator,
    density: float = TEXELS_PER_METRE,
) -> Bytes:
    """An empty wall ``[H, W, 4]`` of the style's material, no glow."""
    rows, columns = power_of_two(height, density), power_of_two(width, density)
    gains = np.ones(257)
    index: NDArray[np.int64] = np.zeros((rows, columns), np.int64)
    if style in MASONRY:
        course, length, contrast, joint = MASONRY[style]
        gains = np.append(rng.uniform(1 - contrast, 1 + contrast, 256), joint)
        z, x = (np.arange(rows) + 0.5) * height / rows / course, (np.arange(columns) + 0.5) * width / columns / length
        shifted = np.stack([x, x if style == "modern" else x + 0.5])  # every other course is set off by half a block
        block, seam = shifted.astype(np.int64), (shifted % 1) < width / columns / length
        row = z.astype(np.int64)
        index = (row[:, None] * 131 + (block * 17)[row & 1]) & 255
        index[seam[row & 1] | ((z % 1) < height / rows / course)[:, None]] = 256
    palette = np.zeros((257, 4), np.uint8)
    palette[:, :3] = np.clip(gains[:, None] * np.array(colour), 0, 255)
    words: NDArray[np.uint32] = palette.view(np.uint32)[:, 0][index]
    return words.view(np.uint8).reshape(rows, columns, 4)


SYLLABLES = (
    "ba",
    "ro",
    "mi",
    "ka",
    "lu",
    "ten",
    "sol",
    "ver",
    "na",
    "do",
    "pi",
    "gra",
    "fe",
    "lo",
    "san",
    "ti",
    "mor",
    "el",
)
TRADES = (
    "CAFE",
    "BAKERY",
    "BOOKS",
    "HOTEL",
    "BAR",
    "FLOWERS",
    "PIZZA",
    "OPTIC",
    "SHOES",
    "BANK",
    "MUSIC",
    "TAILOR",
    "BIKES",
)


def shop_name(rng: np.random.Generator) -> str:
    """Lettering for a sign: a trade, a made-up name, or both."""
    name = "".join(SYLLABLES[i] for i in rng.integers(len(SYLLABLES), size=rng.integers(2, 4))).upper()
    trade = TRADES[rng.integers(len(TRADES))]
    return (trade, name, f"{trade} {name}")[rng.choice(3, p=[0.3, 0.3, 0.4])]


@dataclass(frozen=True)
class SignSpec:
    """A sign board with letters; ``vertical`` stacks them as on a blade sign."""

    words: str
    board: Colour
    letters: Colour
    width: float
    height: float
    vertical: bool = False

    def paint(self) -> Bytes:
        """See ``TextureSpec``."""
        size = (power_of_two(self.height, 96, 256), power_of_two(self.width, 64, 256), 4)
        canvas = Canvas(np.empty(size, np.uint8), self.width, self.height)
        w, h = self.width, self.height
        canvas.box(0, 0, w, h, shade(self.board, 0.75), 40)
        edge = 0.05 * min(w, h)
        canvas.box(edge, edge, w - 2 * edge, h - 2 * edge, self.board, 90)
        if not self.vertical:
            canvas.text(self.words, 0.07 * w, 0.2 * h, 0.86 * w, 0.6 * h, self.letters, 130)
            return canvas.texels()
        letters = self.words.replace(" ", "")[:8]
        step = 0.92 * h / len(letters)
        for i, letter in enumerate(letters):
            canvas.text(
                letter, 0.22 * w, 0.96 * h - (i + 1) * step + 0.12 * step, 0.56 * w, 0.76 * step, self.letters, 130
            )
        return canvas.texels()
