"""The chart of both stages."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fol.errors import ConfigError
from fol.visualization import draw_recall
from fol.visualization.recall import recall_figure

BOTH = {"global": {1: 0.45, 5: 0.7, 10: 0.8}, "reranked": {1: 0.55, 5: 0.75, 10: 1.0}}


def test_one_bar_per_stage_and_k() -> None:
    (axes,) = recall_figure(BOTH, title="city ($utm<=25m$)").axes
    first, second = axes.containers
    assert [bar.get_height() for bar in first] == pytest.approx([45, 70, 80])
    assert [bar.get_height() for bar in second] == pytest.approx([55, 75, 100])
    for a, b in zip(first, second, strict=True):
        assert a.get_x() + a.get_width() <= b.get_x() + 1e-9  # side by side
    assert [t.get_text() for t in axes.get_xticklabels()] == ["R@1", "R@5", "R@10"]
    assert [t.get_text() for t in axes.texts] == ["45.0", "70.0", "80.0", "55.0", "75.0", "100.0"]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["retrieval", "after re-ranking"]


def test_unknown_values_have_no_bar() -> None:
    (axes,) = recall_figure({"global": {1: float("nan"), 5: 0.5}, "reranked": {5: 0.6}}).axes
    assert [len(container) for container in axes.containers] == [1, 1]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["R@1", "R@5"]


@pytest.mark.parametrize(
    "recalls", [{"global": {1: 0.0}}, BOTH, {f"stage {i}": dict.fromkeys((1, 5, 10, 20, 100), 0.5) for i in range(4)}]
)
def test_nothing_is_cut(recalls: dict[str, dict[int, float]]) -> None:
    figure = recall_figure(
        recalls, title="a title that is rather long, longer than the chart is wide: it must be shortened"
    )
    figure.canvas.draw()
    (axes,) = figure.axes
    page = figure.bbox
    for text in (*figure.texts, *axes.texts, *axes.get_xticklabels(), *axes.get_legend().get_texts(), axes.yaxis.label):
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= page.x1 and box.y0 >= 0 and box.y1 <= page.y1, text.get_text()


def test_the_file(tmp_path: Path) -> None:
    draw_recall(tmp_path / "recall.png", BOTH)
    picture = np.asarray(Image.open(io.BytesIO((tmp_path / "recall.png").read_bytes())).convert("RGB"))
    assert picture.std() > 10 and [p.name for p in tmp_path.iterdir()] == ["recall.png"]


def test_unusable_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no recall to draw"):
        draw_recall(tmp_path / "a.png", {})
    with pytest.raises(ConfigError, match=r"a\.svg"):
        draw_recall(tmp_path / "a.svg", BOTH)
    assert not list(tmp_path.iterdir())
