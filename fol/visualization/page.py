"""What all pictures share: a page measured in inches, photos on it, text that fits, and saving.

Nothing here touches matplotlib's global state: figures are made directly, with the font that matplotlib brings along,
so pictures look the same on every machine and may be drawn in any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fol.data import printable
from fol.errors import ConfigError, DataError
from fol.files import write_atomically

SANS, MONO = "DejaVu Sans", "DejaVu Sans Mono"
DPI = 110
MARGIN = 0.25  # inches
INK, FAINT, WARNING, GOOD = "#1c2430", "#6a7480", "#b3261e", "#1d6f42"


class Page:
    """A figure of ``width`` x ``height`` inches that is laid out from the top in inches."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Empty axes without ticks, ``top`` inches below the page's upper edge."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_edgecolor("#c4cad0")
        return axes

    def text(
        self,
        left: float,
        top: float,
        words: str,
        *,
        size: float = 9,
        colour: str = INK,
        mono: bool = False,
        bold: bool = False,
    ) -> None:
        """One or more lines whose upper left corner is at (left, top); nothing in ``words`` is markup."""
        self.figure.text(
            left / self.width,
            1 - top / self.height,
            words,
            fontsize=size,
            color=colour,
            family=MONO if mono else SANS,
            fontweight="bold" if bold else "normal",
            verticalalignment="top",
            parse_math=False,
            linespacing=1.15,
        )


def dress(axes: Axes, *, xlabel: str = "", ylabel: str = "", hidden: Sequence[str] = ("top", "right", "left")) -> None:
    """Axis labels, ``hidden`` spines, and a faint grid behind the drawing where there is a ``ylabel``."""
    axes.set_xlabel(xlabel, fontsize=8.5, family=SANS, color=FAINT)
    axes.set_ylabel(ylabel, fontsize=8.5, family=SANS, color=FAINT)
    if ylabel:
        axes.yaxis.grid(True, color="#e3e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
    for side in hidden:
        axes.spines[side].set_visible(False)


def legend(axes: Axes, *, columns: int = 4, size: float = 8.5) -> None:
    """What was drawn, by its labels, above the axes."""
    prop = {"family": SANS, "size": size}
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, frameon=False, prop=prop)


def photo_box(size: tuple[int, int], width: float, height: float) -> tuple[float, float]:
    """Width and height in inches of a photo of ``size`` (width, height) pixels that fills the box in one direction."""
    scale = min(width / size[0], height / size[1])
    return size[0] * scale, size[1] * scale


def show_photo(axes: Axes, image: Image.Image) -> None:
    """Draw a photo so that the axes' data coordinates are its pixels, (0, 0) at its upper left corner."""
    width, height = image.size
    box = axes.get_window_extent()
    scale = max(box.width / width, box.height / height)
    photo = image.convert("RGB")
    if scale > 1 or scale < 0.5:  # small ones are made smooth; of large ones no more is kept than can be seen
        scale = scale if scale > 1 else 2 * scale
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        photo = photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    axes.imshow(np.asarray(photo), extent=(0, width, height, 0), interpolation="antialiased", aspect="auto")
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)


def fits(words: str, columns: int, rows: int = 1) -> str:
    """``words`` on at most ``rows`` lines of ``columns`` characters, the middle left out where that is too little.

    Characters that the font lacks are shown as a box, control characters as escapes.
    """
    known = _characters()
    words = "".join(c if ord(c) in known else "□" for c in printable(words))
    room = columns * rows
    if len(words) > room:
        tail = (room - 1) // 2
        words = words[: room - 1 - tail] + "…" + words[len(words) - tail :]
    return "\n".join(words[i : i + columns] for i in range(0, len(words), columns))


def characters(inches: float, size: float) -> int:
    """How many characters of the monospaced font fit on a line; hinting rounds each up to whole dots."""
    return max(4, int(inches * DPI / ceil(size * DPI / 72 * 0.6021)))


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    path = font_manager.findfont(MONO, fallback_to_default=False)
    return frozenset(font_manager.get_font(path).get_charmap())


def check_png(path: Path) -> None:
    """``ConfigError`` for a name that is not that of a PNG file: better before the work than after it."""
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{printable(path)}: pictures are PNG files, give a name that ends in .png")


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure; after a kill the file is the old one or the new one, whole.

    Raises ``ConfigError`` for a name without ``.png``, ``DataError`` when the file cannot be written.
    """
    check_png(path)
    encoded = BytesIO()
    figure.savefig(encoded, format="png", dpi=figure.dpi)
    try:
        write_atomically(path, encoded.getvalue())
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be written ({error.strerror}): choose another folder") from error
