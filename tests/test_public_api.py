"""The public calls as the design writes them, from photos to an answer, with a checkpoint in the official layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fol

API = {
    "Candidates",
    "Features",
    "FolError",
    "LocalFeatures",
    "LocalFeaturesBatch",
    "Localizer",
    "Place",
    "PlaceMap",
    "PlaceModel",
    "Position",
    "Prediction",
    "RankedPlace",
    "Ranking",
    "RerankOptions",
    "__version__",
    "evaluate",
    "list_models",
    "load_model",
    "model_card",
    "read_dataset",
    "read_places",
    "rerank",
}


def test_the_surface_changes_only_on_purpose():
    assert set(fol.__all__) == API


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(6):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)
        name = f"@{500000 + 100 * number:.2f}@4000000.00@31@N@@@{number}@@@@@@@@.png"
        Image.fromarray(pixels).resize((240, 160), Image.Resampling.BICUBIC).save(folder / name)
    return folder


def test_from_photos_to_an_answer(official_tiny: Path, photos: Path, tmp_path: Path):
    model = fol.load_model(official_tiny, preset="official", heads=4)
    places = fol.read_places(photos)
    pictures = [Image.open(place.image) for place in places[:2]]
    images = torch.stack([model.transform(picture) for picture in pictures])
    assert images.shape == (2, 3, 322, 322)
    features = model.extract(images)
    assert len(features) == 2
    for feature in features:
        assert feature.descriptor.shape == (8448,) and feature.region_map.shape == (23, 23)
        local = feature.local
        assert 3057 <= len(local) <= 3600 and local.descriptors.shape == (len(local), 128)
        assert local.positions.shape == (len(local), 2) and local.weights.shape == (len(local),)
        raster = local.positions[:, 1] * 1000 + local.positions[:, 0]
        assert (raster.diff() > 0).all(), "raster order"

    fol.PlaceMap.build(tmp_path / "city.fol", model, places[:4])
    place_map = fol.PlaceMap.open(tmp_path / "city.fol")
    assert len(place_map) == 4
    candidates = place_map.search(features[1].descriptor, 3)
    assert candidates.ids[0] == 1 and candidates.similarities[0] == pytest.approx(1, abs=1e-4) and len(candidates) == 3
    local_features = place_map.local_features(candidates.ids)
    assert len(local_features) == 3 and len(local_features[0]) == len(features[1].local)

    place_map.add(model, places[4:])
    assert len(place_map) == 6
    prediction = fol.Localizer(model, place_map).locate(places[5].image, top_k=5, candidates=100)
    assert prediction.place.name == places[5].name
    assert prediction.position.easting == 500500 and prediction.position.zone == "31N"
    assert [p.rank for p in prediction.ranking] == [1, 2, 3, 4, 5]
    assert prediction.score == prediction.ranking[0].num_matches > prediction.ranking[1].num_matches
    assert prediction.confidence is None and prediction.not_in_map is None, "six places are too few to calibrate"

    place_map.remove([5])
    prediction = fol.Localizer(model, place_map).locate(str(places[5].image))
    assert prediction.place.name != places[5].name and len(prediction.ranking) == 5

    ranking = fol.rerank(features[0].local, [f.local for f in features], None, "official", None, True)
    assert ranking.ids.tolist() == [0, 1] and ranking.matches[0].shape == (len(features[0].local), 2)
    ranking = fol.rerank(
        features[0].local.descriptors, local_features, global_similarity=candidates.similarities, method="fol", top=2
    )
    assert len(ranking) == 2 and ranking.ids[0] == int((candidates.ids == 0).argmax())


def test_a_file_and_a_name_load_the_same_way(official_tiny: Path):
    assert fol.load_model(str(official_tiny), heads=4).preset == "official"
    assert fol.load_model("fol_tiny_untrained").preset == "fol"
