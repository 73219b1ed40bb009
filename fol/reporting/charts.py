"""Line charts as inline SVG: pure functions from numbers to markup, coloured by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 10, 36
#: Colours that the style sheet has.
COLOURS = 8
_CLOSEST = 26  # units between two marks of an axis
_MARKED = 25  # points up to which each gets a dot


@dataclass(frozen=True)
class Curve:
    """A named line; ``points`` (x, y) in the order of x, y in percent; ``colour`` counts from 0."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False


def line_chart(
    curves: Sequence[Curve], *, xlabel: str, ylabel: str, logarithmic: bool = False, from_zero: bool = False
) -> Markup:
    """A chart of ``curves`` with its legend; nothing where there is no point.

    ``logarithmic`` spaces x by ratios (of 1 + x, so that 0 has a place). y goes up to 100 at most, and starts at 0
    with ``from_zero``, else at a round number below the lowest point.
    """
    everything = [point for curve in curves for point in curve.points]
    if not everything:
        return Markup()
    low, high = _range([y for _, y in everything], from_zero)
    along: Callable[[float], float] = math.log1p if logarithmic else float
    first, last = along(min(x for x, _ in everything)), along(max(x for x, _ in everything))

    def at(x: float, y: float) -> tuple[float, float]:
        across = (along(x) - first) / (last - first) if last > first else 0.5
        up = (y - low) / (high - low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH, HEIGHT, f"{ylabel} over {xlabel}: {', '.join(curve.name for curve in curves)}"
        )
    ]
    parts.extend(_horizontal(low, high))
    parts.extend(_marks(_ticks(everything, logarithmic), at, low))
    parts.append(
        Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, xlabel
        )
    )
    parts.extend(_line(curve, at, xlabel) for curve in curves if curve.points)
    parts.append(Markup("</svg>"))
    return Markup("").join([*parts, _legend(curves)])


def _range(values: Sequence[float], from_zero: bool) -> tuple[float, float]:
    step = 20 if from_zero or max(values) - min(values) > 30 else 10
    low = 0.0 if from_zero else step * math.floor(min(values) / step)
    return float(low), float(max(min(100, step * math.ceil(max(values) / step)), low + step))


def _horizontal(low: float, high: float) -> list[Markup]:
    step = 20 if high - low > 50 else 10 if high - low > 20 else 5
    lines = []
    for value in range(int(low), int(high) + 1, step):
        y = HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        lines.append(
            Markup(
                '<path class="grid" d="M{} {y:.1f}H{}"/><text x="{}" y="{t:.1f}" text-anchor="end">{}</text>'
            ).format(LEFT, WIDTH - RIGHT, LEFT - 6, value, y=y, t=y + 3.5)
        )
    return lines


def _ticks(points: Sequence[tuple[float, float]], logarithmic: bool) -> list[float]:
    xs = sorted({x for x, _ in points})
    if not logarithmic:
        step = 20 if xs[-1] - xs[0] > 50 else 10 if xs[-1] - xs[0] > 20 else 5
        return [tick for tick in range(0, 101, step) if xs[0] <= tick <= xs[-1]] or [xs[0], xs[-1]]
    usual = [0, *(digit * 10**power for power in range(7) for digit in (1, 2, 5))]
    return [x for x in usual if xs[0] <= x <= xs[-1]] or xs


def _marks(ticks: Sequence[float], at: Callable[[float, float], tuple[float, float]], low: float) -> list[Markup]:
    marks, taken = [], float("inf")
    for tick in reversed(ticks):  # the last one always has its place
        x, y = at(tick, low)
        if taken - x < _CLOSEST:
            continue
        taken = x
        marks.append(Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{:g}</text>').format(x, y + 14, tick))
    return marks


def _line(curve: Curve, at: Callable[[float, float], tuple[float, float]], xlabel: str) -> Markup:
    places = [at(x, y) for x, y in curve.points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    kind = f"c{curve.colour % COLOURS}{' dashed' if curve.dashed else ''}"
    dots = Markup("").join(
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2.6"><title>{}, {} {:g}: {:.1f} %</title></circle>').format(
            *place, curve.name, xlabel, *point
        )
        for place, point in zip(places, curve.points, strict=True)
        if len(places) <= _MARKED
    )
    return Markup('<g class="{}"><path class="line" d="{}"/>{}</g>').format(kind, path, dots)


def _legend(curves: Sequence[Curve]) -> Markup:
    line = Markup('<svg class="key" viewBox="0 0 22 8"><g class="c{}{}"><path class="line" d="M1 4H21"/></g></svg>')
    key = Markup("<li>") + line + Markup("{}</li>")
    entries = [
        key.format(curve.colour % COLOURS, " dashed" if curve.dashed else "", curve.name)
        for curve in curves
        if curve.points
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(entries))
