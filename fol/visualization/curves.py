"""Lines over one quantity, such as recall over the number of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fol.visualization.page import INK, Page, check_png, dress, fits, legend, save_png
from fol.visualization.recall import COLOURS


def draw_curves(
    path: Path | str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    xlabel: str,
    ylabel: str,
    logarithmic: bool = False,
    title: str = "",
) -> Figure:
    """Write a chart of named curves, each a sequence of (x, y), as PNG, atomically; gives the figure too.

    ``logarithmic`` spaces x by ratios; the marks on its axis are the curves' own values. Raises ``ConfigError`` for a
    name without ``.png``, ``DataError`` when the file cannot be written, ``ValueError`` when there is nothing to draw.
    """
    check_png(Path(path))
    if not any(curves.values()):
        raise ValueError("no curve to draw")
    page = Page(6.4, 3.4)
    axes = page.axes(0.62, 0.75, 5.55, 2.1)
    for number, (name, points) in enumerate(curves.items()):
        x, y = zip(*points, strict=True)
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(x, y, color=colour, marker="o", markersize=3.5, linewidth=1.5, label=fits(name, 40))
    if logarithmic:
        axes.set_xscale("log")
        ticks = sorted({x for points in curves.values() for x, _ in points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
        axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1.08 * max(y for points in curves.values() for _, y in points))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    dress(axes, xlabel=xlabel, ylabel=ylabel)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    legend(axes)
    if title:
        page.text(0.2, 0.12, fits(title, 60), size=10, bold=True)
    save_png(page.figure, Path(path))
    return page.figure
