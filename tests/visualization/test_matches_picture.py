"""Match lines: which are drawn, and between which pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from PIL import Image

from fol.visualization import draw_matches
from fol.visualization.matches import matches_caption, pair_layout


def lines(figure: Figure) -> list[ConnectionPatch]:
    return [artist for artist in figure.artists if isinstance(artist, ConnectionPatch)]


def ends(figure: Figure) -> set[tuple[float, ...]]:
    return {(*map(float, line.xy1), *map(float, line.xy2)) for line in lines(figure)}


A, B = Image.new("RGB", (640, 480), "navy"), Image.new("RGB", (300, 500), "olive")


def test_lines_end_at_the_given_pixels() -> None:
    figure = draw_matches(A, B, [[10, 20], [630, 470]], [[5.5, 6.5], [299, 499]])
    assert ends(figure) == {(10, 20, 5.5, 6.5), (630, 470, 299, 499)}
    first, second = figure.axes
    for line in lines(figure):
        assert line.axesA is first and line.axesB is second and line.coords1 == line.coords2 == "data"
    assert first.get_xlim() == (0, 640) and second.get_ylim() == (500, 0)
    # and on the page: the path runs between the transformed pixels
    (line,) = (line for line in lines(figure) if line.xy1[0] == 10)
    start = first.transData.transform((10, 20))
    figure.canvas.draw()
    vertices = line._get_path_in_displaycoord()[0][0].vertices
    np.testing.assert_allclose(vertices[0], start, atol=2.5)  # patches are shrunk by a point or two


def test_the_strongest_hundred_are_drawn() -> None:
    count = 250
    positions = torch.stack([torch.arange(count), torch.arange(count) / 2], 1)
    weights = torch.rand(count, generator=torch.Generator().manual_seed(0))
    figure = draw_matches(A, B, positions, positions, weights=weights)
    expected = {float(i) for i in weights.sort(descending=True).indices[:100]}
    assert {line.xy1[0] for line in lines(figure)} == expected
    assert figure.texts[0].get_text() == "250 matches, the 100 strongest drawn"
    assert len(lines(draw_matches(A, B, positions, positions, weights=weights, max_lines=7))) == 7


def test_equal_weights_keep_the_first() -> None:
    positions = np.stack([np.arange(9.0), np.arange(9.0)], 1)
    figure = draw_matches(A, B, positions, positions, max_lines=4)
    assert {line.xy1[0] for line in lines(figure)} == {0, 1, 2, 3}


def test_the_strongest_is_on_top_and_brightest() -> None:
    positions = np.stack([np.arange(3.0), np.arange(3.0)], 1)
    figure = draw_matches(A, B, positions, positions, weights=[0.2, 0.9, 0.5])
    drawn = lines(figure)
    assert [line.xy1[0] for line in drawn] == [0, 2, 1]
    brightness = [sum(line.get_edgecolor()[:3]) for line in drawn]
    assert brightness == sorted(brightness)


def test_no_matches() -> None:
    figure = draw_matches(A, B, torch.zeros(0, 2), torch.zeros(0, 2))
    assert not lines(figure) and figure.texts[0].get_text() == "no matches"


def test_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 positions in one image, 1 in the other, 2 weights"):
        draw_matches(A, B, [[0, 0], [1, 1]], [[0, 0]])


@pytest.mark.parametrize(
    ("size_a", "size_b", "stacked"),
    [
        ((640, 480), (300, 500), False),
        ((1000, 100), (2000, 300), True),
        ((1000, 100), (640, 480), False),
        ((50, 500), (97, 53), False),
    ],
)
def test_photos_do_not_overlap(size_a: tuple[int, int], size_b: tuple[int, int], stacked: bool) -> None:
    layout = pair_layout(size_a, size_b, 11.0, 4.0)
    (left, top, width, height), (left2, top2, width2, height2) = layout.first, layout.second
    assert layout.stacked == stacked
    assert top + height <= top2 if stacked else left + width <= left2
    assert max(left + width, left2 + width2) <= layout.width + 1e-9 <= 11.0 + 1e-6
    assert max(top + height, top2 + height2) == pytest.approx(layout.height)
    assert layout.height <= 4.0 + 1e-6
    assert width / height == pytest.approx(size_a[0] / size_a[1])
    assert width2 / height2 == pytest.approx(size_b[0] / size_b[1])


@pytest.mark.parametrize(("counts", "words"), [((0, 0), "no matches"), ((1, 1), "1 match"), ((3, 3), "3 matches")])
def test_caption(counts: tuple[int, int], words: str) -> None:
    assert matches_caption(*counts) == words
