"""The small real image sets, where they are."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from fol.data import image_size, load_image, read_dataset, read_places

# Counts from the sets' own README.
SETS = {
    "ie_tower_eval": (221, 537, "ground_truth.csv"),
    "sped_small": (606, 606, "ground_truth.csv"),
    "gardens_point_small": (200, 200, "ground_truth.csv"),
    "corridor_vprbench": (111, 111, "ground_truth.csv"),
    "webcam_tilde": (200, 50, "ground_truth.csv"),
    "penn_campus_gps": (27, 54, "utm<=25m"),
}


@pytest.mark.parametrize(("name", "expected"), SETS.items(), ids=SETS)
def test_data_sets(shared_data: Path, name: str, expected: tuple[int, int, str]) -> None:
    dataset = read_dataset(shared_data / name)
    assert (len(dataset.queries), len(dataset.database), dataset.protocol) == expected
    assert dataset.positives is not None
    assert name in dataset.summary


@pytest.mark.parametrize("name", [name for name in SETS if name != "penn_campus_gps"])
def test_ground_truth_is_what_the_csv_says(shared_data: Path, name: str) -> None:
    dataset = read_dataset(shared_data / name)
    assert dataset.positives is not None
    with (shared_data / name / "ground_truth.csv").open() as file:
        rows = {row["query"]: row for row in csv.DictReader(file)}
    assert set(rows) == {query.name for query in dataset.queries}
    for query, found, ignored in zip(dataset.queries, dataset.positives, dataset.ignored, strict=True):
        assert {dataset.database[i].name for i in found} == set(rows[query.name]["positives"].split())
        assert {dataset.database[i].name for i in ignored} == set((rows[query.name].get("ignore") or "").split())


@pytest.mark.parametrize("name", ["sped_small", "gardens_point_small", "corridor_vprbench", "webcam_tilde"])
def test_pseudo_coordinates_give_the_same_ground_truth(shared_data: Path, tmp_path: Path, name: str) -> None:
    for part in ("database", "queries", "pseudo_utm.csv"):
        (tmp_path / part).symlink_to(shared_data / name / part)
    listed, measured = read_dataset(shared_data / name), read_dataset(tmp_path)
    assert measured.protocol == "pseudo_utm.csv<=25m"
    assert listed.positives is not None and measured.positives is not None
    for one, other in zip(listed.positives, measured.positives, strict=True):
        assert one.tolist() == other.tolist()


def test_penn_campus_positions(shared_data: Path) -> None:
    places = read_places(shared_data / "penn_campus_gps")
    assert len(places) == 81
    for place in places:
        position = place.position
        assert position is not None and position.zone == "18S"
        assert (position.latitude, position.longitude) == pytest.approx((39.952, -75.191), abs=0.01)
        assert place.metadata["pano_id"].startswith("img_")


@pytest.mark.parametrize(
    ("name", "number"), [("ie_tower_train", 1695), ("webcam_tilde_crops", 1160), ("match_demo", 13 + 10 + 11 + 30)]
)
def test_unlabelled_folders(shared_data: Path, name: str, number: int) -> None:
    places = read_places(shared_data / name)
    assert len(places) == number
    assert all(place.position is None for place in places)


def test_sizes_without_decoding_agree_with_pixels(shared_data: Path) -> None:
    images = [place.image for name in ("match_demo", "penn_campus_gps") for place in read_places(shared_data / name)]
    for path in images[::5]:
        image = load_image(path)
        assert isinstance(image, Image.Image) and image.mode == "RGB"
        assert image.size == image_size(path)
