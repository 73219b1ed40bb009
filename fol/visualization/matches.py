"""Match lines between two photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from fol.visualization.page import FAINT, INK, MARGIN, Page, photo_box, show_photo

MAX_LINES = 100
COLOURS = "viridis"
GAP = 0.3  # inches between the two photos
COLUMN = 2.6  # inches that the left photo of a pair gets at least, for the words above it


def as_array(values: Tensor | ArrayLike) -> NDArray[np.float64]:
    """Numbers of a tensor (any device and type) or array as float64."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, np.float64)


def strongest(weights: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Indices of the ``count`` largest weights, largest first, the earlier first where they are equal."""
    order: NDArray[np.int64] = np.argsort(-weights, kind="stable")[:count]
    return order


def connect(
    figure: Figure,
    axes_a: Axes,
    axes_b: Axes,
    positions_a: NDArray[np.float64],
    positions_b: NDArray[np.float64],
    weights: NDArray[np.float64],
    max_lines: int = MAX_LINES,
) -> int:
    """Draw the strongest matches as lines across two axes, brighter the stronger; gives how many were drawn.

    ``positions_a, positions_b [M, 2]`` (x, y) in pixels of the photos, ``weights [M]``.
    """
    chosen = strongest(weights, max_lines)
    if not len(chosen):
        return 0
    low, high = weights[chosen].min(), weights[chosen].max()
    share = (weights[chosen] - low) / (high - low) if high > low else np.ones(len(chosen))
    colours = colormaps[COLOURS](0.35 + 0.65 * share)
    # the strongest last, on top
    for index, colour in reversed(list(zip(chosen.tolist(), colours, strict=True))):
        start, end = tuple(positions_a[index]), tuple(positions_b[index])
        line = ConnectionPatch(start, end, "data", "data", axesA=axes_a, axesB=axes_b, color=colour)
        line.set(linewidth=0.9, alpha=0.8, zorder=5, annotation_clip=False)
        figure.add_artist(line)
    for axes, positions in ((axes_a, positions_a), (axes_b, positions_b)):
        axes.scatter(
            positions[chosen, 0], positions[chosen, 1], s=7, c=colours, linewidths=0.3, edgecolors="black", zorder=4
        )
    return len(chosen)


def stacked(size_a: tuple[int, int], size_b: tuple[int, int]) -> bool:
    """Whether two photos are so wide that they are better shown one above the other."""
    return min(size_a[0] / size_a[1], size_b[0] / size_b[1]) > 2


Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PairLayout:
    """Two photos on a page: ``first, second`` (left, top, width, height) and the area used, all in inches."""

    first: Box
    second: Box
    width: float
    height: float

    @property
    def stacked(self) -> bool:
        """Whether the second photo is below the first."""
        return self.second[1] > 0


def pair_layout(size_a: tuple[int, int], size_b: tuple[int, int], width: float, height: float) -> PairLayout:
    """Where two photos of these pixel sizes go in an area of ``width`` x ``height`` inches.

    Side by side each gets half the width and up to ``height``; very wide ones are stacked with half of ``height`` each.
    """
    if stacked(size_a, size_b):
        a, b = (photo_box(size, width, (height - GAP) / 2) for size in (size_a, size_b))
        return PairLayout((0.0, 0.0, *a), (0.0, a[1] + GAP, *b), max(a[0], b[0]), a[1] + GAP + b[1])
    a, b = (photo_box(size, (width - GAP) / 2, height) for size in (size_a, size_b))
    left = max(a[0], COLUMN) + GAP
    return PairLayout((0.0, 0.0, *a), (left, 0.0, *b), left + b[0], max(a[1], b[1]))


def draw_matches(
    image_a: Image.Image,
    image_b: Image.Image,
    positions_a: Tensor | ArrayLike,
    positions_b: Tensor | ArrayLike,
    *,
    weights: Tensor | ArrayLike | None = None,
    max_lines: int = MAX_LINES,
) -> Figure:
    """Two photos with lines between matching positions ``[M, 2]`` each, (x, y) in pixels of the photos.

    ``weights [M]`` decide which ``max_lines`` are drawn and how bright; without them the first ones are.
    Raises ``ValueError`` for lists of different lengths.
    """
    a, b = (as_array(p).reshape(-1, 2) for p in (positions_a, positions_b))
    strength = np.zeros(len(a)) if weights is None else as_array(weights).reshape(-1)
    if not len(a) == len(b) == len(strength):
        raise ValueError(f"{len(a)} positions in one image, {len(b)} in the other, {len(strength)} weights")
    layout = pair_layout(image_a.size, image_b.size, 11.0, 5.0)
    title = 0.3
    page = Page(max(layout.width, 4.0) + 2 * MARGIN, layout.height + 2 * MARGIN + title)
    axes = []
    for image, (left, top, width, height) in ((image_a, layout.first), (image_b, layout.second)):
        axes.append(page.axes(MARGIN + left, MARGIN + title + top, width, height))
        show_photo(axes[-1], image)
    drawn = connect(page.figure, axes[0], axes[1], a, b, strength, max_lines)
    page.text(MARGIN, MARGIN - 0.05, matches_caption(drawn, len(a)), size=10, colour=INK if drawn else FAINT)
    return page.figure


def matches_caption(drawn: int, found: int) -> str:
    """How many matches there are and how many of them are drawn."""
    if not found:
        return "no matches"
    return counted(found) if drawn == found else f"{counted(found)}, the {drawn} strongest drawn"


def counted(matches: int) -> str:
    """A number of matches in words."""
    return "1 match" if matches == 1 else f"{matches} matches"
