"""Recall@K of both stages as a small chart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from fol.visualization.page import FAINT, INK, SANS, Page, check_png, dress, fits, legend, save_png

COLOURS = ("#8da2b8", "#c2570c", "#1d6f42", "#6b4fa0")
NAMES = {"global": "retrieval", "reranked": "after re-ranking"}


def draw_recall(path: Path | str, recalls: Mapping[str, Mapping[int, float]], *, title: str = "") -> None:
    """Write a chart of recall@K as PNG, atomically: one bar per stage, side by side for every K.

    ``recalls`` stage -> {K: recall in [0, 1], NaN where no query counts}; the stages ``global`` and ``reranked`` are
    written out. Raises ``ConfigError`` for a name without ``.png``, ``DataError`` when the file cannot be written,
    ``ValueError`` when there is nothing to draw.
    """
    check_png(Path(path))
    save_png(recall_figure(recalls, title=title), Path(path))


def recall_figure(recalls: Mapping[str, Mapping[int, float]], *, title: str = "") -> Figure:
    """The figure that ``draw_recall`` writes."""
    values = sorted({k for stage in recalls.values() for k in stage})
    if not values:
        raise ValueError("no recall to draw")
    width = max(4.2, 0.9 + len(values) * max(0.75, 0.42 * len(recalls)))
    page = Page(width, 3.25)
    axes = page.axes(0.62, 0.75, width - 0.85, 2.15)
    share = 0.82 / len(recalls)
    for number, (stage, found) in enumerate(recalls.items()):
        # nothing is drawn where nothing is known: a bar of height zero would say that all queries failed
        known = [(i, 100 * found[k]) for i, k in enumerate(values) if k in found and not math.isnan(found[k])]
        at = [i + (number - (len(recalls) - 1) / 2) * share for i, _ in known]
        label = fits(NAMES.get(stage, stage), 40)
        axes.bar(at, [v for _, v in known], share * 0.94, color=COLOURS[number % len(COLOURS)], label=label)
        for x, (_, value) in zip(at, known, strict=True):
            axes.text(x, value + 1.2, f"{value:.1f}", ha="center", va="bottom", fontsize=7, color=INK, family=SANS)
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.set_ylim(0, 110)
    axes.set_xticks(range(len(values)), [f"R@{k}" for k in values], fontsize=8.5, family=SANS, color=INK)
    ticks = range(0, 101, 20)
    axes.set_yticks(ticks, [f"{t}" for t in ticks], fontsize=8, family=SANS, color=FAINT)
    dress(axes, ylabel="recall, %")
    axes.tick_params(length=0)
    legend(axes)
    if title:
        page.text(0.2, 0.12, fits(title, int(width / 0.105)), size=10, bold=True)
    return page.figure
