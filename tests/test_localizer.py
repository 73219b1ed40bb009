from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fol
from fol.errors import ConfigError, ImageError, MapError
from fol.localizer import Localizer
from fol.models import PlaceModel
from fol.models.architecture import initialise
from fol.retrieval import PlaceMap
from fol.types import Place, Position

COUNT = 24


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model() -> PlaceModel:
    return fol.load_model("fol_tiny_untrained", image_size=(126, 126))


def _texture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fotos ü")
    for i in range(COUNT):
        _texture(i).save(folder / f"{i:02d}.png")
    return folder


def _places(folder: Path) -> list[Place]:
    """200 m apart; the first has no position."""
    return [
        Place(f"{i:02d}.png", folder / f"{i:02d}.png", Position(200.0 * i, 0.0) if i else None) for i in range(COUNT)
    ]


@pytest.fixture(scope="module")
def place_map(model: PlaceModel, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> PlaceMap:
    path = tmp_path_factory.mktemp("maps") / "city ß.fol"
    return PlaceMap.build(path, model, _places(photos), batch_size=5).place_map


def test_a_photo_of_the_map_is_found_with_both_stages(model: PlaceModel, place_map: PlaceMap, photos: Path) -> None:
    opened = fol.PlaceMap.open(place_map.path, model)
    prediction = fol.Localizer(model, opened).locate(photos / "07.png", top_k=5, candidates=10)
    assert prediction.place == _places(photos)[7]
    assert prediction.position == Position(1400.0, 0.0)
    assert [place.rank for place in prediction.ranking] == [1, 2, 3, 4, 5]
    best = prediction.ranking[0]
    assert (best.place_id, best.place, best.score) == (7, prediction.place, prediction.score)
    assert best.global_similarity == pytest.approx(1, abs=1e-4)
    assert best.num_matches is not None and best.num_matches > 50
    scores = [place.score for place in prediction.ranking]
    assert scores == sorted(scores, reverse=True)
    assert set(prediction.seconds) == {"extract", "retrieve", "read", "rerank"}
    assert prediction.confidence == pytest.approx(23 / 24)  # better than all 23 trials
    assert prediction.not_in_map is False


def test_a_photo_of_elsewhere_is_flagged(model: PlaceModel, place_map: PlaceMap) -> None:
    localizer = Localizer(model, place_map)
    predictions = [localizer.locate(_texture(1000 + i)) for i in range(20)]
    assert all(p.confidence is not None and 0 <= p.confidence < 1 for p in predictions)
    assert sum(p.not_in_map is True for p in predictions) >= 17  # one in 24 may pass
    assert all(p.not_in_map == (p.confidence < 0.95) for p in predictions if p.confidence is not None)
    strict = Localizer(model, place_map, in_map_confidence=0.99)  # more than 23 trials can give
    assert strict.locate(_texture(7)).not_in_map is True


def test_rank_gives_what_locate_reports(model: PlaceModel, place_map: PlaceMap, photos: Path) -> None:
    localizer = Localizer(model, place_map)
    stages = localizer.rank(localizer.extract(photos / "03.png"), candidates=6)
    assert len(stages.candidates) == 6
    assert stages.ranking is not None and sorted(stages.ranking.ids.tolist()) == sorted(stages.candidates.ids.tolist())
    prediction = localizer.locate(str(photos / "03.png"), top_k=100, candidates=6)
    assert [p.place_id for p in prediction.ranking] == stages.ranking.ids.tolist()
    assert [p.score for p in prediction.ranking] == pytest.approx(stages.ranking.scores.tolist())
    similarity = dict(zip(stages.candidates.ids.tolist(), stages.candidates.similarities.tolist(), strict=True))
    assert all(p.global_similarity == pytest.approx(similarity[p.place_id], abs=1e-5) for p in prediction.ranking)
    assert [p.num_matches for p in prediction.ranking] == stages.ranking.num_matches.tolist()


def test_the_official_method_counts_matches_and_is_not_calibrated_by_the_other(
    model: PlaceModel, place_map: PlaceMap, photos: Path
) -> None:
    prediction = Localizer(model, place_map, method="official").locate(photos / "05.png")
    assert prediction.place.name == "05.png"
    assert all(p.score == p.num_matches for p in prediction.ranking)
    assert (prediction.confidence, prediction.not_in_map) == (None, None)


def test_opened_images_are_read_as_files_are(
    model: PlaceModel, place_map: PlaceMap, photos: Path, tmp_path: Path
) -> None:
    localizer = Localizer(model, place_map)
    expected = localizer.extract(photos / "09.png").descriptor
    upright = Image.open(photos / "09.png")
    torch.testing.assert_close(localizer.extract(upright).descriptor, expected)
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    lying.save(tmp_path / "lying.png", exif=exif)
    for image in (tmp_path / "lying.png", Image.open(tmp_path / "lying.png")):
        torch.testing.assert_close(localizer.extract(image).descriptor, expected)
    clear = upright.convert("RGBA")
    clear.putalpha(Image.fromarray(np.arange(120 * 160, dtype=np.uint8).reshape(120, 160)))
    clear.save(tmp_path / "clear.png")
    torch.testing.assert_close(
        localizer.extract(clear).descriptor, localizer.extract(tmp_path / "clear.png").descriptor
    )


def test_maps_without_local_features_answer_by_retrieval(model: PlaceModel, photos: Path, tmp_path: Path) -> None:
    place_map = PlaceMap.build(tmp_path / "a.fol", model, _places(photos), store_local=False).place_map
    localizer = Localizer(model, place_map)
    assert localizer.rank(localizer.extract(photos / "03.png")).ranking is None
    prediction = localizer.locate(photos / "03.png", candidates=7)
    assert prediction.place.name == "03.png"
    assert len(prediction.ranking) == 5
    assert all(p.num_matches is None and p.score == p.global_similarity for p in prediction.ranking)
    assert prediction.confidence == pytest.approx(23 / 24)  # calibrated as such
    assert set(prediction.seconds) == {"extract", "retrieve"}


def test_single_stage_models(model: PlaceModel, tmp_path: Path, photos: Path) -> None:
    fol_architecture = model.card.architecture
    aggregation = replace(fol_architecture.aggregation, learned_dustbin=True)
    architecture = replace(fol_architecture, kind="salad", aggregation=aggregation)
    network = architecture.build()
    initialise(network, 0)
    single = PlaceModel(replace(model.card, name="single", architecture=architecture), network)
    place_map = PlaceMap.build(tmp_path / "a.fol", single, _places(photos)).place_map
    assert not place_map.has_local_features and not (place_map.path / "local-1.bin").exists()
    prediction = Localizer(single, place_map).locate(photos / "01.png")
    assert prediction.place.name == "01.png"
    assert prediction.confidence == pytest.approx(23 / 24)


def test_places_without_coordinates_give_no_confidence(model: PlaceModel, photos: Path, tmp_path: Path) -> None:
    places = [Place(p.name, p.image) for p in _places(photos)[:4]]
    place_map = PlaceMap.build(tmp_path / "a.fol", model, places).place_map
    prediction = Localizer(model, place_map).locate(photos / "02.png")
    assert prediction.place.name == "02.png"
    assert (prediction.position, prediction.confidence, prediction.not_in_map) == (None, None, None)


def test_building_from_photos_goes_on_after_an_interruption_and_reports_bad_ones(
    model: PlaceModel, place_map: PlaceMap, photos: Path, tmp_path: Path
) -> None:
    places = _places(photos)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    places.insert(2, Place("broken.jpg", tmp_path / "broken.jpg"))

    def stop(done: int, total: int) -> None:
        assert total == COUNT + 1
        if done == 10:
            raise KeyboardInterrupt

    path = tmp_path / "a.fol"
    with pytest.raises(KeyboardInterrupt):
        PlaceMap.build(path, model, places, batch_size=5, progress=stop)
    report = PlaceMap.build(path, model, places, batch_size=7, workers=2, calibrate=False)
    assert report.resumed_from == 10
    assert [skipped.name for skipped in report.skipped] == ["broken.jpg"]
    assert "broken.jpg" in report.skipped[0].reason
    assert report.place_map.ids.tolist() == [i for i in range(COUNT + 1) if i != 2]
    assert [p.name for p in report.place_map.places(report.place_map.ids)] == [f"{i:02d}.png" for i in range(COUNT)]
    torch.testing.assert_close(
        report.place_map.descriptors(report.place_map.ids), place_map.descriptors(place_map.ids), atol=1e-5, rtol=0
    )
    added = report.place_map.add(model, [Place("again.png", photos / "00.png"), places[2]], calibrate=False)
    assert [skipped.name for skipped in added.skipped] == ["broken.jpg"]
    assert added.place_map.search(report.place_map.descriptors([0])[0], 2).ids.tolist() == [0, COUNT + 1]
    with pytest.raises(MapError, match=r"none of the 1 photos for .*b.fol could be used \(broken.jpg: "):
        PlaceMap.build(tmp_path / "b.fol", model, [places[2]])
    assert not list(tmp_path.glob("b.fol*"))


def test_what_cannot_be_answered_is_said_in_one_line(
    model: PlaceModel, place_map: PlaceMap, photos: Path, tmp_path: Path
) -> None:
    localizer = Localizer(model, place_map)
    other = fol.load_model("fol_tiny_untrained", image_size=(140, 140))
    for refuse in (lambda: Localizer(other, place_map), lambda: PlaceMap.open(place_map.path, other)):
        with pytest.raises(MapError, match=r"was built with fol_tiny_untrained \(\w{8}\), this model is fol_tiny"):
            refuse()
    with pytest.raises(MapError, match="was built with"):
        place_map.add(other, _places(photos))
    with pytest.raises(ConfigError, match="method='superglue': choose one of"):
        Localizer(model, place_map, method="superglue")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="top_k=0"):
        localizer.locate(photos / "00.png", top_k=0)
    with pytest.raises(ConfigError, match="candidates=0"):
        localizer.locate(photos / "00.png", candidates=0)
    with pytest.raises(ImageError, match="missing.png"):
        localizer.locate(photos / "missing.png")
    with pytest.raises(ImageError, match="image is 9x200 pixels"):
        localizer.locate(Image.new("RGB", (9, 200)))
    empty = PlaceMap.build(tmp_path / "empty.fol", model, _places(photos)[:1]).place_map
    empty.remove([0])
    with pytest.raises(MapError, match="empty.fol has no places"):
        Localizer(model, empty).locate(photos / "00.png")


def test_matches_are_kept_on_request(model: PlaceModel, place_map: PlaceMap, photos: Path) -> None:
    localizer = Localizer(model, place_map)
    features = localizer.extract(photos / "03.png")
    plain, kept = localizer.rank(features, 6).ranking, localizer.rank(features, 6, return_matches=True).ranking
    assert plain is not None and kept is not None and plain.matches is None and kept.matches is not None
    assert plain.ids.tolist() == kept.ids.tolist() and plain.scores.tolist() == kept.scores.tolist()
    assert [len(pairs) for pairs in kept.matches] == kept.num_matches.tolist()
    # the photo is in the map: each of its features matches itself
    assert kept.ids[0] == 3 and (kept.matches[0][:, 0] == kept.matches[0][:, 1]).float().mean() > 0.99
