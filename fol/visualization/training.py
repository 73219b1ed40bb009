"""The learning curve of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fol.visualization.page import FAINT, INK, Page, check_png, dress, fits, legend, save_png
from fol.visualization.recall import COLOURS, NAMES

#: Points that the losses are averaged over, at each side.
_SMOOTHING = 3


def draw_training(path: Path | str, rows: Sequence[Mapping[str, str]], *, title: str = "") -> None:
    """Write the curves of a run as PNG, atomically: its losses above, the validation R@1 of both stages below.

    ``rows`` as in ``metrics.csv``: ``step``, ``loss/NAME``, ``val/STAGE_r@1`` (means over the sets); empty where a
    figure was not logged. Raises ``ConfigError`` for a name without ``.png``, ``DataError`` when the file cannot be
    written, ``ValueError`` when no loss was logged.
    """
    check_png(Path(path))
    save_png(training_figure(rows, title=title), Path(path))


def training_figure(rows: Sequence[Mapping[str, str]], *, title: str = "") -> Figure:
    """The figure that ``draw_training`` writes."""
    names = sorted({key for row in rows for key, value in row.items() if key.startswith("loss/") and value})
    if not names:
        raise ValueError("no loss to draw")
    page = Page(7.2, 5.2)
    losses, recalls = page.axes(0.62, 0.8, 6.35, 1.85), page.axes(0.62, 3.15, 6.35, 1.6)
    for number, name in enumerate(names):
        steps, values = _series(rows, name)
        label = fits(name.removeprefix("loss/"), 30)
        losses.plot(steps, _smooth(values), color=_colour(number), linewidth=1.2, label=label)
    losses.set_yscale("log")
    for stage, colour in zip(("global", "reranked"), COLOURS, strict=False):
        steps, values = _series(rows, f"val/{stage}_r@1")
        recalls.plot(steps, values, color=colour, marker="o", markersize=3, linewidth=1.4, label=NAMES[stage])
    recalls.set_ylim(bottom=0)
    recalls.set_xlim(losses.get_xlim())
    _finish(losses, "loss")
    _finish(recalls, "validation R@1, %", "batches")
    if title:
        page.text(0.2, 0.12, fits(title, 68), size=10, bold=True)
    return page.figure


def _series(rows: Sequence[Mapping[str, str]], key: str) -> tuple[list[int], list[float]]:
    found = [(int(row["step"]), float(row[key])) for row in rows if row.get(key)]
    return [step for step, _ in found], [value for _, value in found]


def _smooth(values: Sequence[float]) -> list[float]:
    windows = (values[max(0, i - _SMOOTHING) : i + _SMOOTHING + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _colour(number: int) -> str:
    palette = (*COLOURS, "#a33a5c", "#3f7f93", INK)
    return palette[number % len(palette)]


def _finish(axes: Axes, ylabel: str, xlabel: str = "") -> None:
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(6))
    dress(axes, xlabel=xlabel, ylabel=ylabel, hidden=("top", "right"))
    axes.tick_params(labelsize=8, labelcolor=FAINT, length=2)
    legend(axes, columns=6, size=7.5)
