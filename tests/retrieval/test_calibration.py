from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from random_city import RandomCity

from fol.errors import DataError, MapError
from fol.reranking import RerankOptions, rerank
from fol.retrieval import Calibration, ModelIdentity, PlaceMap, confidence
from fol.types import Features, LocalFeatures, Place, Position

_SCORES = Calibration("fol", "", (0.1, 0.2, 0.2, 0.4), candidates=100, places=40, radius=50.0, seed=0)


@pytest.mark.parametrize(
    ("score", "expected"), [(0.05, 0), (0.1, 0), (0.15, 1 / 5), (0.2, 1 / 5), (0.3, 3 / 5), (9.0, 4 / 5)]
)
def test_confidence_is_the_share_of_trials_below(score: float, expected: float) -> None:
    assert confidence(_SCORES, score) == pytest.approx(expected)


def _single_stage_map(path: Path, count: int, spacing: float, seed: int = 0) -> tuple[PlaceMap, torch.Tensor]:
    """A street of places ``spacing`` metres apart with random 6-dimensional descriptors and nothing else."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(torch.randn(count, 6, generator=generator), dim=1)
    items = [
        (
            Place(f"{i}.jpg", path / f"{i}.jpg", Position(1000 + spacing * i, 0.0)),
            Features(vectors[i], LocalFeatures.empty()),
        )
        for i in range(count)
    ]
    model = ModelIdentity("single", "00" * 32, "fol", 6, 0, 0)
    return PlaceMap.from_features(path, model, items, calibrate=False).place_map, vectors


def test_trials_score_what_is_left_when_the_neighbourhood_is_taken_out(tmp_path: Path) -> None:
    place_map, vectors = _single_stage_map(tmp_path / "a.fol", 90, spacing=20.0)
    assert place_map.calibration("fol") is None
    measured = place_map.calibrate(trials=500, radius=50.0)  # more than fit: every place belongs to some trial
    similarity = (vectors @ vectors.T).numpy()
    distance = 20.0 * abs(np.subtract.outer(np.arange(90), np.arange(90)))
    possible = np.where(distance <= 50, -2, similarity).max(axis=1)
    assert 20 <= len(measured.scores) <= 30  # 90 x 20 m with more than 50 m (so 60 m) between them
    assert all(np.isclose(possible, score, atol=1e-6).any() for score in measured.scores)
    assert list(measured.scores) == sorted(measured.scores)
    assert (measured.method, measured.candidates, measured.places) == ("retrieval", 25, 90)
    assert place_map.calibration("fol") == PlaceMap.open(place_map.path).calibration("official") == measured
    assert place_map.calibrate(trials=500, radius=50.0) == measured
    again = place_map.calibrate(trials=20, seed=1)
    assert len(again.scores) == 20
    assert place_map.manifest.calibration == (again,)


def test_photos_from_outside_the_map_rarely_pass_for_inside(tmp_path: Path) -> None:
    place_map, _ = _single_stage_map(tmp_path / "a.fol", 200, spacing=100.0)
    calibration = place_map.calibrate(trials=100)
    outside = torch.nn.functional.normalize(torch.randn(1000, 6, generator=torch.Generator().manual_seed(9)), dim=1)
    best = [float(found.similarities[0]) for found in place_map.search_batch(outside, 1)]
    passed = sum(confidence(calibration, score) >= 0.95 for score in best) / len(best)
    assert 0.0 < passed < 0.1  # 0.05 expected; 100 trials leave a standard deviation of 0.02


def test_trials_of_two_stages_score_as_answers_do(tmp_path: Path, city: RandomCity) -> None:
    place_map = PlaceMap.from_features(
        tmp_path / "a.fol", city.identity, city.items(range(30)), calibrate=False
    ).place_map
    options = RerankOptions(threshold=0.3)
    measured = place_map.calibrate("fol", options, candidates=5)
    expected = []
    for i in (j for j in range(30) if j % 7):  # every seventh has no position; the others are 100 m apart
        found = place_map.search(city.descriptor(i), 5, exclude=[i])
        local = place_map.local_features(np.append(found.ids, i))
        ranking = rerank(local[5], list(local)[:5], found.similarities, "fol", options=options)
        expected.append(float(ranking.scores[0]))
    assert list(measured.scores) == pytest.approx(sorted(expected), abs=1e-6)
    assert place_map.calibration("fol", options) == measured
    assert place_map.calibration("fol", replace(options, backend="reference")) == measured
    assert place_map.calibration("fol") is None and place_map.calibration("official", options) is None
    other = place_map.calibrate("official")
    assert place_map.calibration("official") == other and place_map.calibration("fol", options) == measured
    assert other.scores != measured.scores


def test_building_calibrates_when_there_are_places_enough(tmp_path: Path, city: RandomCity) -> None:
    few = PlaceMap.from_features(tmp_path / "few.fol", city.identity, city.items(range(22))).place_map
    assert few.manifest.calibration == ()
    with pytest.raises(MapError, match=r"few.fol has only 18 places with coordinates more than 50 m apart, 20 are"):
        few.calibrate()
    enough = PlaceMap.from_features(tmp_path / "enough.fol", city.identity, city.items(range(30))).place_map
    known = enough.calibration("fol")
    assert known is not None and len(known.scores) == 25
    enough.remove([0])
    enough.add_features(city.identity, city.items([30]))
    assert enough.calibration("fol") == known  # nearly the same map
    enough.add_features(city.identity, city.items(range(31, 45)))
    renewed = enough.calibration("fol")
    assert renewed is not None and renewed.places == 44


def test_coordinates_that_cannot_be_compared_are_no_reason_to_fail_a_build(tmp_path: Path, city: RandomCity) -> None:
    items = city.items(range(40))
    items[3] = (replace(items[3][0], position=Position(3.0, 4.0)), items[3][1])
    place_map = PlaceMap.from_features(tmp_path / "a.fol", city.identity, items).place_map
    assert place_map.manifest.calibration == ()
    with pytest.raises(DataError, match="no UTM zone"):
        place_map.calibrate()


def test_a_small_map_within_one_radius_has_no_outside(tmp_path: Path) -> None:
    place_map, _ = _single_stage_map(tmp_path / "a.fol", 30, spacing=1.0)
    with pytest.raises(MapError, match="has only 0 places"):
        place_map.calibrate()
