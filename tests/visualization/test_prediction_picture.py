"""The page of an answer: everything on it, nothing cut, nothing over anything else."""

from __future__ import annotations

import io
import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.text import Text
from PIL import Image

from fol.errors import ConfigError
from fol.types import Features, LocalFeatures, Place, Position, Prediction, RankedPlace
from fol.visualization import draw_prediction
from fol.visualization.prediction import position_text, prediction_figure

NAMES = (
    "database/@0420018.90@5250008.50@32@T@@@place00000-database0@@040@@@@@day@.jpg",
    "früh/Straße 1.jpg",
    "データ/東京駅.jpg",
    "a" * 200 + ".png",
    "$x_1$.jpg",
)
COLOURS = ((200, 60, 40), (40, 140, 60), (60, 60, 180), (200, 180, 40), (120, 40, 140))


def local(count: int, size: tuple[int, int], seed: int = 0) -> LocalFeatures:
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(count, 2, generator=generator) * torch.tensor(size)
    return LocalFeatures(torch.zeros(count, 4), positions, torch.rand(count, generator=generator))


def answer(
    count: int = 5, confidence: float | None = 0.8, not_in_map: bool | None = False, matched: int | None = 120
) -> Prediction:
    positions = (Position(420018.9, 5250008.5, "32T"), Position(1, 2, "32T", 47.4, 7.9), None, Position(1.5, 2.5), None)
    ranking = tuple(
        RankedPlace(i + 1, 40 + i, Place(name, Path(name), position), 0.9 - i / 10, 0.7 - i / 10, matched)
        for i, (name, position) in enumerate(
            itertools.islice(itertools.cycle(zip(NAMES, positions, strict=True)), count)
        )
    )
    return Prediction(ranking[0].place, ranking[0].place.position, ranking[0].score, confidence, not_in_map, ranking)


def photo(i: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    return Image.new("RGB", size, COLOURS[i % 5])


def drawn(figure: Figure) -> np.ndarray:
    encoded = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(encoded, format="png")
    return np.asarray(Image.open(encoded).convert("RGB")).astype(int)


def colour_at(picture: np.ndarray, axes: object, x: float = 0.5, y: float = 0.5) -> list[int]:
    box = axes.get_window_extent()  # type: ignore[attr-defined]
    colour: list[int] = picture[round(len(picture) - (box.y0 + y * box.height)), round(box.x0 + x * box.width)].tolist()
    return colour


def words(figure: Figure) -> str:
    return "\n".join(t.get_text() for t in figure.findobj(Text))


def lines(figure: Figure) -> list[ConnectionPatch]:
    return [artist for artist in figure.artists if isinstance(artist, ConnectionPatch)]


def check_nothing_is_cut_or_covered(figure: Figure) -> None:
    """Every text inside the page, no two texts over each other, no photo over a text or another photo."""
    figure.canvas.draw()
    page = figure.bbox
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    for text, box in boxes:
        assert box.x0 >= -1 and box.x1 <= page.x1 + 1 and box.y0 >= -1 and box.y1 <= page.y1 + 1, f"cut: {text}"
    for (text, a), (other, b) in itertools.combinations(boxes, 2):
        assert not overlap(a, b), f"{text!r} over {other!r}"
    photos = [axes.get_window_extent() for axes in figure.axes if axes.images and not axes.texts]
    for a, b in itertools.combinations(photos, 2):
        assert not overlap(a, b)
    outside = [t.get_window_extent() for t in figure.texts]
    assert not any(overlap(a, b) for a in photos for b in outside)


def overlap(a: object, b: object) -> bool:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)  # type: ignore[attr-defined]
    height = min(a.y1, b.y1) - max(a.y0, b.y0)  # type: ignore[attr-defined]
    return width > 1 and height > 1


def page(
    prediction: Prediction,
    query_size: tuple[int, int] = (320, 240),
    candidate_size: tuple[int, int] = (320, 240),
    matches: int = 120,
    region_map: torch.Tensor | None = None,
) -> Figure:
    count = len(prediction.ranking)
    return prediction_figure(
        Image.new("RGB", query_size, (30, 90, 160)),
        prediction,
        query_features=Features(torch.zeros(4), local(200, query_size), region_map),
        candidate_images=[photo(i, candidate_size) for i in range(count)],
        candidate_locals=[local(200, candidate_size, 1 + i) for i in range(count)],
        matches=[torch.stack([torch.arange(matches), torch.arange(matches).flip(0)], 1)] * count,
    )


REGIONS = torch.linspace(0, 1, 12).reshape(3, 4)


def test_everything_is_on_the_page() -> None:
    figure = page(answer(), region_map=REGIONS)
    picture = drawn(figure)
    text = words(figure)
    for expected in (
        "Best place: ", "confidence 0.80", "420018.9 E 5250008.5 N (32T)", "47.40000, 7.90000", "no coordinates",
        "1.  score 0.9", "5.  score 0.5", "120 matches  ·  similarity 0.700", "120 matches, the 100 strongest drawn",
        "Straße 1.jpg", "□□□.jpg", "$x_1$.jpg", "Query, 320 x 240 px", "Discriminative regions",
    ):  # fmt: skip
        assert expected in text, expected
    photos = [axes for axes in figure.axes if axes.images and axes.get_xlim() == (0, 320)]
    query, overlay, query_again, *candidates = photos
    assert colour_at(picture, query) == colour_at(picture, query_again, 0.01, 0.99) == [30, 90, 160]
    assert len(overlay.images) == 2
    assert len(candidates) == 6  # the best one large, then all five
    for i, tile in enumerate(candidates[1:]):
        assert colour_at(picture, tile) == list(COLOURS[i])
    assert len(lines(figure)) == 100
    check_nothing_is_cut_or_covered(figure)


def test_lines_join_the_matched_pixels_of_query_and_best_candidate() -> None:
    prediction = answer(2)
    query, best = local(5, (320, 240)), local(4, (100, 300), seed=9)
    matches = [torch.tensor([[4, 0], [1, 3]]), torch.tensor([[0, 0]])]
    figure = prediction_figure(
        photo(0),
        prediction,
        query_features=Features(torch.zeros(4), query, None),
        candidate_images=[photo(1, (100, 300)), photo(2)],
        candidate_locals=[best, local(3, (320, 240))],
        matches=matches,
    )
    found = {(*map(float, line.xy1), *map(float, line.xy2)) for line in lines(figure)}
    expected = {tuple(query.positions[a].tolist() + best.positions[b].tolist()) for a, b in matches[0].tolist()}
    assert found == expected
    assert all(line.axesB.get_xlim() == (0, 100) for line in lines(figure))


def test_the_strongest_are_those_of_the_weights_of_both_sides() -> None:
    query = LocalFeatures(torch.zeros(150, 4), torch.rand(150, 2) * 200, torch.linspace(0.1, 1, 150))
    best = LocalFeatures(torch.zeros(150, 4), torch.rand(150, 2) * 200, torch.ones(150))
    best.weights[149] = 0.0  # the query's strongest meets a token that counts for nothing
    figure = prediction_figure(
        photo(0),
        answer(1),
        query_features=Features(torch.zeros(4), query, None),
        candidate_images=[photo(1)],
        candidate_locals=[best],
        matches=[torch.arange(150)[:, None].repeat(1, 2)],
    )
    starts = {tuple(map(float, line.xy1)) for line in lines(figure)}
    assert starts == {tuple(p) for p in query.positions[49:149].tolist()}


def test_not_in_the_map_is_said_in_red() -> None:
    sure, unsure = page(answer(3)), page(answer(3, 0.02, True))
    assert "Not in the map" in words(unsure) and "probably none is right" in words(unsure)
    assert "Best place" not in words(unsure) and "Not in the map" not in words(sure)
    head, calm = drawn(unsure)[5, 5], drawn(sure)[5, 5]
    assert head[0] > head[2] + 10 and abs(int(calm[0]) - int(calm[2])) < 10


def test_without_calibration_nothing_is_claimed() -> None:
    text = words(page(answer(2, None, None)))
    assert "no confidence" in text and "Best place" in text


def test_missing_photos_are_empty_tiles_with_their_names() -> None:
    prediction = answer(3)
    figure = prediction_figure(
        photo(0),
        prediction,
        query_features=Features(torch.zeros(4), local(9, (320, 240)), REGIONS),
        candidate_images=[None, photo(1)],  # the third is not even in the list
        candidate_locals=[local(9, (320, 240))] * 3,
        matches=[torch.zeros(1, 2, dtype=torch.long)] * 3,
    )
    text = words(figure)
    assert text.count("photo not found") == 3  # large and small for the first, small for the third
    assert "□□□.jpg" in text and "its photo is not where the map says" in text
    assert not lines(figure)
    check_nothing_is_cut_or_covered(figure)


def test_single_stage_models() -> None:
    prediction = answer(4, matched=None)
    figure = prediction_figure(
        photo(0),
        prediction,
        query_features=Features(torch.zeros(4), LocalFeatures.empty(), None),
        candidate_images=[photo(i) for i in range(4)],
    )
    text = words(figure)
    assert "no local features to match (this model gives no region map)" in text
    assert "matches  ·" not in text and "Discriminative" not in text
    check_nothing_is_cut_or_covered(figure)


def test_no_matches_at_all() -> None:
    figure = page(answer(2, matched=0), matches=0, region_map=REGIONS)
    assert not lines(figure) and "Query and best candidate: no matches" in words(figure)


@pytest.mark.parametrize("count", [1, 5, 10, 14])
def test_any_number_of_candidates(count: int) -> None:
    figure = page(answer(count), region_map=REGIONS)
    check_nothing_is_cut_or_covered(figure)
    assert sum(f"{i}.  score" in words(figure) for i in range(1, 15)) == min(count, 10)


@pytest.mark.parametrize(
    ("query_size", "candidate_size"),
    [
        ((97, 53), (97, 53)),
        ((3000, 300), (2000, 200)),
        ((3000, 300), (80, 800)),
        ((60, 600), (2000, 200)),
        ((60, 600), (80, 800)),
        ((14, 14), (97, 53)),
    ],
)
def test_odd_sizes(query_size: tuple[int, int], candidate_size: tuple[int, int]) -> None:
    figure = page(answer(2), query_size, candidate_size, region_map=REGIONS)
    check_nothing_is_cut_or_covered(figure)
    assert len(lines(figure)) == 100
    height, width, _ = drawn(figure).shape
    assert width < 1600 and height < 2200


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "答え.png"
    features = Features(torch.zeros(4), LocalFeatures.empty(), None)
    draw_prediction(path, photo(0), answer(1), query_features=features, candidate_images=[photo(1)])
    assert Image.open(path).format == "PNG" and [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(ConfigError, match=r"answer\.pdf: pictures are PNG files"):
        draw_prediction(tmp_path / "answer.pdf", photo(0), answer(1), query_features=features, candidate_images=[])


def test_nothing_ranked_is_refused() -> None:
    place = Place("a.jpg", Path("a.jpg"))
    with pytest.raises(ValueError, match="without any ranked place"):
        prediction_figure(
            photo(0),
            Prediction(place, None, 0.0, None, None, ()),
            query_features=Features(torch.zeros(4), LocalFeatures.empty(), None),
            candidate_images=[],
        )


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (None, "no coordinates"),
        (Position(12.34, -5.06), "12.3 E -5.1 N"),
        (Position(500000.0, 5e6, "32T"), "500000.0 E 5000000.0 N (32T)"),
        (Position(1, 2, "32T", 45.123456, -9.0), "45.12346, -9.00000"),
    ],
)
def test_positions(position: Position | None, text: str) -> None:
    assert position_text(position) == text


def test_a_real_photo(shared_data: Path) -> None:
    folder = shared_data / "match_demo" / "phototourism_sample_images"
    if not folder.is_dir():
        pytest.skip(f"the demo photos are not here (looked for {folder})")
    query, *others = (Image.open(p) for p in sorted(folder.glob("london_bridge*.jpg"))[:4])
    figure = prediction_figure(
        query,
        answer(3),
        query_features=Features(torch.zeros(4), local(50, query.size), REGIONS),
        candidate_images=others,
        candidate_locals=[local(50, image.size) for image in others],
        matches=[torch.arange(50)[:, None].repeat(1, 2)] * 3,
    )
    check_nothing_is_cut_or_covered(figure)
    picture = drawn(figure)
    box = figure.axes[1].get_window_extent()
    shown = picture[round(len(picture) - box.y1) : round(len(picture) - box.y0), round(box.x0) : round(box.x1)]
    expected = np.asarray(query.convert("RGB").resize((shown.shape[1], shown.shape[0]))).astype(int)
    assert np.abs(shown - expected).mean() < 6
