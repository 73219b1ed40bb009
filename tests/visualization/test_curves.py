"""Curves: what is drawn where, read back from the figure."""

from __future__ import annotations

import pytest
from PIL import Image

from fol.visualization import draw_curves


def test_points_and_marks_are_the_curves_own(tmp_path):
    curves = {"R@1": [(100.0, 50.0), (400.0, 60.0)], "matches right": [(100.0, 20.0), (400.0, 30.0)]}
    figure = draw_curves(tmp_path / "curve.png", curves, xlabel="tokens", ylabel="%", logarithmic=True)
    (axes,) = figure.axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[list(p) for p in c] for c in curves.values()]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["100", "400"]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == list(curves)
    assert axes.get_xscale() == "log" and axes.get_ylim()[0] == 0


def test_written_as_png(tmp_path):
    draw_curves(tmp_path / "curve.png", {"a": [(1, 2), (2, 3)]}, xlabel="x", ylabel="y", title="A title")
    assert Image.open(tmp_path / "curve.png").size[0] > 300


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match="no curve to draw"):
        draw_curves(tmp_path / "curve.png", {"a": []}, xlabel="x", ylabel="y")
