"""Charts and maps as SVG: where points come to lie."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fol.data import PlaceDataset
from fol.evaluation import QueryResult
from fol.reporting.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Curve, line_chart
from fol.reporting.place_plot import place_plots
from fol.reporting.query_list import ListedQuery
from fol.types import Place, Position


def points_of(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def test_points_of_a_line():
    svg = line_chart([Curve("a", [(0, 0), (50, 50), (100, 100)], 0)], xlabel="x", ylabel="y", from_zero=True)
    (path,) = re.findall(r'class="line" d="(M[^"]*L[^"]*)"', svg)
    left, right, top, bottom = LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM
    expected = [(left, bottom), ((left + right) / 2, (top + bottom) / 2), (right, top)]
    assert points_of(path) == [pytest.approx(point, abs=0.06) for point in expected]


def test_logarithmic_axes_have_a_place_for_zero():
    svg = line_chart([Curve("a", [(0, 50), (1, 50), (3, 50)], 0)], xlabel="x", ylabel="y", logarithmic=True)
    (path,) = re.findall(r'class="line" d="(M[^"]*L[^"]*)"', svg)
    xs = [x for x, _ in points_of(path)]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)  # 1, 2, 4


def test_names_are_escaped_and_nothing_gives_nothing():
    svg = line_chart([Curve("<b>&", [(1, 10)], 9, dashed=True)], xlabel="<x>", ylabel='"y"')
    assert "<b>" not in svg and "&lt;b&gt;&amp;" in svg and "<x>" not in svg
    assert 'class="c1 dashed"' in svg
    assert line_chart([Curve("a", [], 0)], xlabel="x", ylabel="y") == ""


@pytest.mark.parametrize("values", [[0.0], [100.0], [100.0, 100.0], [0.0, 100.0], [33.3, 34.1], [99.5, 100.0]])
def test_whatever_the_values_lines_stay_inside(values):
    svg = line_chart([Curve("a", list(enumerate(values)), 0)], xlabel="x", ylabel="y")
    for x, y in re.findall(r'<circle cx="([-\d.]+)" cy="([-\d.]+)"', svg):
        assert LEFT <= float(x) <= WIDTH - RIGHT and TOP <= float(y) <= HEIGHT - BOTTOM


def dataset(positions: list[Position | None]) -> PlaceDataset:
    queries = tuple(Place(f"q{i}", Path("q"), position) for i, position in enumerate(positions))
    database = (Place("d", Path("d"), Position(0, 0, "31N")), Place("e", Path("e"), Position(400, 200, "31N")))
    empty = tuple(np.empty(0, np.int64) for _ in queries)
    return PlaceDataset("town", Path(), database, queries, empty, empty, "p")


def listed(*outcomes: str) -> list[ListedQuery]:
    return [ListedQuery(i, QueryResult(f"q{i}", 1), outcome, None) for i, outcome in enumerate(outcomes)]  # type: ignore[arg-type]


def test_north_is_up_and_both_directions_have_one_scale():
    town = dataset([Position(0, 200, "31N"), Position(400, 0, "31N")])
    (plot,) = place_plots(town, listed("right", "lost"))
    assert (plot.zone, plot.database, plot.queries) == ("31N", 2, {"right": 1, "lost": 1})
    (right,) = points_of(re.findall(r'class="dot right" d="([^"]*)"', plot.svg)[0])
    (lost,) = points_of(re.findall(r'class="dot lost" d="([^"]*)"', plot.svg)[0])
    assert lost[0] > right[0] and lost[1] > right[1]  # east is right, south is below
    assert (lost[0] - right[0]) == pytest.approx(2 * (lost[1] - right[1]), abs=0.3)
    assert "100 m" in plot.svg


def test_zones_apart_and_unknown_positions_left_out():
    town = dataset([Position(0, 0, "10S"), None, Position(1, 1, "31N"), Position(2, 2, "31N")])
    plots = place_plots(town, listed(*["wrong"] * 4))
    assert [(plot.zone, plot.queries["wrong"], plot.database) for plot in plots] == [("31N", 2, 2), ("10S", 1, 0)]
    assert place_plots(dataset([None, None]), listed("right", "right")) == []


def test_thousands_of_points_are_thinned():
    town = dataset([Position(i % 200, i // 200, "31N") for i in range(40_000)])
    (plot,) = place_plots(town, listed(*["right"] * 40_000))
    assert plot.queries["right"] == 40_000 and len(plot.svg) < 500_000
