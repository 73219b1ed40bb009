"""One page for one answer: the query, its regions, the match lines to the best candidate, the top candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fol.types import Features, LocalFeatures, Position, Prediction, RankedPlace
from fol.visualization.matches import Box, PairLayout, as_array, connect, counted, matches_caption, pair_layout
from fol.visualization.page import (
    FAINT,
    GOOD,
    INK,
    MARGIN,
    MONO,
    WARNING,
    Page,
    characters,
    check_png,
    fits,
    photo_box,
    save_png,
    show_photo,
)
from fol.visualization.regions import SCALE_HEIGHT, add_scale, overlay_regions

WIDTH = 12.0  # inches
INNER = WIDTH - 2 * MARGIN
TITLE, CAPTION, SPACE = 0.78, 0.28, 0.24  # heights in inches: head, line above a picture, between blocks
PAIR_HEIGHT = 4.25
TILE_PHOTO, TILE_TEXT, PER_ROW, MOST_TILES = 1.7, 1.02, 5, 10
TILE_GAP = 0.16
TILE = (INNER - (PER_ROW - 1) * TILE_GAP) / PER_ROW
MISSING = (4, 3)  # aspect of the empty tile that stands for a photo that is gone


@dataclass(frozen=True, eq=False)
class _Pair:
    """Matches to one candidate: ``positions_a, positions_b [M, 2]`` pixels, ``weights [M]``."""

    positions_a: NDArray[np.float64]
    positions_b: NDArray[np.float64]
    weights: NDArray[np.float64]


def draw_prediction(
    path: Path | str,
    query: Image.Image,
    prediction: Prediction,
    *,
    query_features: Features,
    candidate_images: Sequence[Image.Image | None],
    candidate_locals: Sequence[LocalFeatures] = (),
    matches: Sequence[Tensor] = (),
) -> None:
    """Write the picture of an answer as PNG, atomically.

    ``candidate_images``, ``candidate_locals`` and ``matches`` follow ``prediction.ranking``; a photo that is gone is
    None and drawn as an empty tile. ``matches`` are ``[M, 2]`` rows (query token, candidate token). Single-stage
    models give neither local features nor matches.

    Raises ``ConfigError`` for a name without ``.png``, ``DataError`` when the file cannot be written, ``ValueError``
    when there is nothing ranked.
    """
    check_png(Path(path))
    figure = prediction_figure(
        query,
        prediction,
        query_features=query_features,
        candidate_images=candidate_images,
        candidate_locals=candidate_locals,
        matches=matches,
    )
    save_png(figure, Path(path))


def prediction_figure(
    query: Image.Image,
    prediction: Prediction,
    *,
    query_features: Features,
    candidate_images: Sequence[Image.Image | None],
    candidate_locals: Sequence[LocalFeatures] = (),
    matches: Sequence[Tensor] = (),
) -> Figure:
    """The figure that ``draw_prediction`` writes."""
    ranking = prediction.ranking[:MOST_TILES]
    if not ranking:
        raise ValueError("a prediction without any ranked place cannot be drawn")
    images = [*candidate_images, *[None] * len(ranking)][: len(ranking)]
    pair = _matched(query_features.local, candidate_locals[0], matches[0]) if candidate_locals and matches else None
    best = images[0]
    regions = query_features.region_map
    first = pair_layout(query.size, query.size, INNER, PAIR_HEIGHT)
    second = pair_layout(query.size, best.size if best else MISSING, INNER, PAIR_HEIGHT)
    boxes = [photo_box(image.size if image else MISSING, TILE, TILE_PHOTO) for image in images]
    rows = [range(i, min(i + PER_ROW, len(boxes))) for i in range(0, len(boxes), PER_ROW)]
    row_photos = [max(boxes[i][1] for i in row) for row in rows]
    heights = (
        MARGIN + TITLE,
        CAPTION + first.height + SCALE_HEIGHT + SPACE if regions is not None else 0.0,
        CAPTION + second.height + SPACE,
        CAPTION + sum(row_photos) + len(rows) * TILE_TEXT,
    )
    page = Page(WIDTH, sum(heights) + 0.1)
    _head(page, prediction)
    top = heights[0]
    if regions is not None:
        _query_and_regions(page, top, query, regions, first)
    top += heights[1]
    _best_match(page, top, query, best, ranking[0], pair, second, regions is not None)
    top += heights[2]
    page.text(MARGIN, top, "Top candidates", size=10.5, bold=True)
    top += CAPTION
    for row, photo_height in zip(rows, row_photos, strict=True):
        for column, i in enumerate(row):
            left = MARGIN + column * (TILE + TILE_GAP)
            _tile_photo(page.axes(left, top, *boxes[i]), ranking[i], images[i], boxes[i][0])
            colour = GOOD if i == 0 and not prediction.not_in_map else INK
            _tile_text(page, left, top + photo_height + 0.07, ranking[i], colour)
        top += photo_height + TILE_TEXT
    return page.figure


def _matched(query: LocalFeatures, candidate: LocalFeatures, matches: Tensor) -> _Pair:
    rows = matches.detach().cpu().long().reshape(-1, 2)
    parts = [
        (as_array(local.positions).reshape(-1, 2)[rows[:, side]], as_array(local.weights).reshape(-1)[rows[:, side]])
        for side, local in enumerate((query, candidate))
    ]
    (positions_a, weights_a), (positions_b, weights_b) = parts
    return _Pair(positions_a, positions_b, np.sqrt(np.clip(weights_a * weights_b, 0, None)))


def _head(page: Page, prediction: Prediction) -> None:
    """Two lines: what the answer is, and how sure it is."""
    colour = WARNING if prediction.not_in_map else INK
    strip = page.axes(0, 0, page.width, MARGIN + TITLE - 0.17)
    strip.set_axis_off()
    strip.add_patch(Rectangle((0, 0), 1, 1, color="#fbe9e7" if prediction.not_in_map else "#f1f4f7"))
    strip.set_zorder(-1)
    if prediction.not_in_map:
        words = "Not in the map"
    else:
        words = "Best place: " + fits(prediction.place.name, characters(INNER, 13.5) - 12)
    page.text(MARGIN, MARGIN - 0.03, words, size=13, bold=True, colour=colour)
    facts = [f"score {prediction.score:.4g}"]
    if prediction.confidence is not None:
        facts.append(f"confidence {prediction.confidence:.2f}")
    else:
        facts.append("map not calibrated, no confidence")
    if prediction.not_in_map:
        facts.append("the places below are the nearest, probably none is right")
    else:
        facts.insert(0, position_text(prediction.position))
    page.text(MARGIN, MARGIN + 0.32, "   ·   ".join(facts), size=10, colour=colour if prediction.not_in_map else FAINT)


def position_text(position: Position | None) -> str:
    """Coordinates as people read them: degrees where they are known, else metres."""
    if position is None:
        return "no coordinates"
    if position.latitude is not None and position.longitude is not None:
        return f"{position.latitude:.5f}, {position.longitude:.5f}"
    zone = f" ({position.zone})" if position.zone else ""
    return f"{position.easting:.1f} E {position.northing:.1f} N{zone}"


def _photo_axes(page: Page, top: float, box: Box) -> Axes:
    left, below, width, height = box
    return page.axes(MARGIN + left, top + below, width, height)


def _query_and_regions(page: Page, top: float, query: Image.Image, regions: Tensor, layout: PairLayout) -> None:
    left, below, width, height = layout.second
    page.text(MARGIN, top, f"Query, {query.width} x {query.height} px", size=10.5, bold=True)
    show_photo(_photo_axes(page, top + CAPTION, layout.first), query)
    if not layout.stacked:
        page.text(MARGIN + left, top, "Discriminative regions", size=10.5, bold=True)
    overlay_regions(_photo_axes(page, top + CAPTION, layout.second), query, regions)
    add_scale(page, regions, MARGIN + left, top + CAPTION + below + height, width)


def _best_match(
    page: Page,
    top: float,
    query: Image.Image,
    best: Image.Image | None,
    ranked: RankedPlace,
    pair: _Pair | None,
    layout: PairLayout,
    has_regions: bool,
) -> None:
    axes_a, axes_b = (_photo_axes(page, top + CAPTION, box) for box in (layout.first, layout.second))
    show_photo(axes_a, query)
    if best is None:
        _gone(axes_b, ranked.place.name, layout.second[2])
        words = "its photo is not where the map says"
    elif pair is None:
        show_photo(axes_b, best)
        words = "no local features to match"
    else:
        show_photo(axes_b, best)
        drawn = connect(page.figure, axes_a, axes_b, pair.positions_a, pair.positions_b, pair.weights)
        words = matches_caption(drawn, len(pair.weights))
    more = "" if has_regions else " (this model gives no region map)"
    page.text(MARGIN, top, f"Query and best candidate: {words}{more}", size=10.5, bold=True)


def _gone(axes: Axes, name: str, width: float) -> None:
    """An empty tile with the name of the photo that was to be here."""
    axes.set_facecolor("#eef0f2")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    words = "photo not found\n" + fits(Path(name).name, characters(width * 0.9, 7.5), 3)
    axes.text(
        0.5, 0.5, words, ha="center", va="center", fontsize=7.5, color=FAINT, family=MONO, parse_math=False, wrap=False
    )


def _tile_photo(axes: Axes, ranked: RankedPlace, image: Image.Image | None, width: float) -> None:
    if image is None:
        _gone(axes, ranked.place.name, width)
    else:
        show_photo(axes, image)


def _tile_text(page: Page, left: float, top: float, ranked: RankedPlace, colour: str) -> None:
    facts = [] if ranked.num_matches is None else [counted(ranked.num_matches)]
    facts.append(f"similarity {ranked.global_similarity:.3f}")
    name = fits(Path(ranked.place.name).name, characters(TILE, 7), 2)
    page.text(left, top, f"{ranked.rank}.  score {ranked.score:.4g}", size=9, bold=True, colour=colour)
    page.text(left, top + 0.19, "  ·  ".join(facts), size=7.5, colour=FAINT)
    page.text(left, top + 0.35, position_text(ranked.place.position), size=7.5, colour=FAINT)
    page.text(left, top + 0.52, name, size=7, mono=True)
