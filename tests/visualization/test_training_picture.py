"""The learning curve of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fol.errors import ConfigError
from fol.visualization import draw_training
from fol.visualization.training import training_figure

ROWS = [
    {"step": "1", "loss/total": "4.0", "loss/contrast": "1.0"},
    {"step": "2", "loss/total": "2.0", "loss/contrast": "0.5"},
    {"step": "2", "loss/total": "", "val/global_r@1": "20.0", "val/reranked_r@1": "35.0"},
    {"step": "4", "loss/total": "1.0", "loss/contrast": "0.25", "val/global_r@1": "40.0", "val/reranked_r@1": "50.0"},
]


def test_each_loss_and_both_stages_are_drawn_where_they_were_logged() -> None:
    losses, recalls = training_figure(ROWS, title="run").axes
    assert [line.get_label() for line in losses.lines] == ["contrast", "total"]
    assert [list(line.get_xdata()) for line in losses.lines] == [[1, 2, 4], [1, 2, 4]]
    # every point is the mean of its neighbours: here of all three
    assert list(losses.lines[1].get_ydata()) == pytest.approx([7 / 3] * 3)
    assert [list(line.get_ydata()) for line in recalls.lines] == [[20, 40], [35, 50]]
    assert [list(line.get_xdata()) for line in recalls.lines] == [[2, 4], [2, 4]]


def test_the_picture_is_written(tmp_path: Path) -> None:
    draw_training(tmp_path / "curve.png", ROWS)
    assert Image.open(tmp_path / "curve.png").size[0] > 600
    with pytest.raises(ConfigError, match="png"):
        draw_training(tmp_path / "curve.pdf", ROWS)
    with pytest.raises(ValueError, match="no loss to draw"):
        draw_training(tmp_path / "curve.png", ROWS[2:3])
