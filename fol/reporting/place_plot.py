"""Where queries were answered right and wrong: a map of points as inline SVG, one for each UTM zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fol.data import PlaceDataset
from fol.reporting.query_list import ListedQuery, Outcome
from fol.types import Position

_SIDE, _EDGE = 720.0, 14.0  # units
_LOWEST = 200.0
_CELL = 2.0  # units: of points of one kind nearer than this one is drawn
_MOST_ZONES = 6
#: What is drawn later lies on top.
_DRAWN: tuple[Outcome, ...] = ("right", "no positives", "skipped", "wrong", "gained", "lost")


@dataclass(frozen=True)
class PlacePlot:
    """``svg`` of one zone with the number of queries per outcome and of database images in it."""

    zone: str | None
    svg: Markup
    queries: Mapping[Outcome, int]
    database: int


def place_plots(dataset: PlaceDataset, listed: Sequence[ListedQuery]) -> list[PlacePlot]:
    """One map per zone that holds queries, the fullest first, six at most; none where no position is known."""
    by_number = {query.number: query.outcome for query in listed}
    zones: dict[str | None, list[int]] = {}
    for number, query in enumerate(dataset.queries):
        if query.position is not None and number in by_number:
            zones.setdefault(query.position.zone, []).append(number)
    fullest = sorted(zones.items(), key=lambda item: -len(item[1]))[:_MOST_ZONES]
    database: dict[str | None, list[Position]] = {}
    for place in dataset.database:
        if place.position is not None:
            database.setdefault(place.position.zone, []).append(place.position)
    plots = []
    for zone, numbers in fullest:
        groups: dict[Outcome, list[Position]] = {outcome: [] for outcome in _DRAWN}
        for number in numbers:
            position = dataset.queries[number].position
            assert position is not None
            groups[by_number[number]].append(position)
        own = database.get(zone, [])
        counts = {outcome: len(found) for outcome, found in groups.items() if found}
        plots.append(PlacePlot(zone, _plot(own, groups), counts, len(own)))
    return plots


def _plot(database: Sequence[Position], groups: Mapping[Outcome, Sequence[Position]]) -> Markup:
    points = {name: _points(positions) for name, positions in [("database", database), *groups.items()]}
    everything = np.concatenate(list(points.values()))
    low, high = everything.min(0), everything.max(0)
    extent = max(float((high - low).max()), 1.0)
    scale = (_SIDE - 2 * _EDGE) / extent
    width, height = np.maximum((high - low) * scale + 2 * _EDGE, _LOWEST)
    middle = (low + high) / 2
    layers = []
    for name, found in points.items():
        placed = (found - middle) * (scale, -scale) + (width / 2, height / 2)
        if len(placed):
            path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in _thin(placed))
            layers.append(Markup('<path class="dot {}" d="{}"/>').format(name.replace(" ", "-"), path))
    ruler = _round_length(extent / 4)
    bar = Markup('<path class="ruler" d="M{e} {y:.1f}v4h{l:.1f}v-4"/><text x="{e}" y="{t:.1f}">{words}</text>').format(
        e=_EDGE,
        y=height - _EDGE - 4,
        t=height - _EDGE - 9,
        l=ruler * scale,
        words=f"{ruler / 1000:g} km" if ruler >= 1000 else f"{ruler:g} m",
    )
    head = Markup('<svg class="places" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">').format(
        width, height, "map of database images and queries, north is up"
    )
    return Markup("").join([head, *layers, bar, Markup("</svg>")])


def _points(positions: Sequence[Position]) -> NDArray[np.float64]:
    return np.array([(p.easting, p.northing) for p in positions], np.float64).reshape(-1, 2)


def _thin(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """One point of each small cell, so that the number drawn is bounded by the map's area."""
    _, first = np.unique((points / _CELL).astype(np.int64), axis=0, return_index=True)
    return points[np.sort(first)]


def _round_length(metres: float) -> float:
    power = 10.0 ** np.floor(np.log10(metres))
    return float(max(step * power for step in (1, 2, 5) if step * power <= metres))
