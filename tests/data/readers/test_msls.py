"""MSLS as published: what each file says, the two kinds of test sets, and files that do not fit together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from replicas.msls import CPH, write_city, write_msls

from fol.data.coordinates import within_radius
from fol.data.photo_set import PhotoSet
from fol.data.protocol import Protocol, apply_protocol
from fol.data.readers.msls import TEST_CITIES, TRAIN_CITIES, VAL_CITIES, read_msls
from fol.errors import DataError
from fol.types import Position


def test_the_published_parts() -> None:
    assert (len(TRAIN_CITIES), len(VAL_CITIES), len(TEST_CITIES)) == (22, 2, 6)
    assert len({*TRAIN_CITIES, *VAL_CITIES, *TEST_CITIES}) == 30


def test_a_photo_has_all_that_the_files_say(tmp_path: Path) -> None:
    photos = read_msls(write_msls(tmp_path), ["cph"])
    query = photos.queries[0]
    assert query.name == "cph/query/images/q_near-eeeeeeeeeeeeeeee.jpg"
    assert query.image == tmp_path / "train_val" / query.name and query.image.is_file()
    assert query.sequence == "other" and query.heading is None
    assert query.metadata == {
        "city": "cph",
        "key": "q_near-eeeeeeeeeeeeeeee",
        "frame": "1",
        "subtasks": "all s2w o2n",
        "pano": "False",
        "timestamp": "20190103",
        "night": "False",
        "view_direction": "Forward",
        "note": "day_forward_cph",
    }
    assert [place.metadata["note"] for place in photos.database] == [
        "day_forward_cph",
        "day_sideways_cph",
        "day_forward_cph",
        "night_backward_cph",
    ]
    assert [place.metadata["pano"] for place in photos.database] == ["False", "False", "True", "False"]
    assert photos.queries[3].metadata["subtasks"] == ""
    assert photos.listed is None and photos.root == tmp_path


def positives(photos: PhotoSet) -> list[list[int]]:
    queries = [place.position for place in photos.queries]
    found = within_radius(queries, [place.position for place in photos.database], 25.0)  # type: ignore[arg-type]
    return [indices.tolist() for indices in found]


def test_positions_are_the_published_metres(tmp_path: Path) -> None:
    photos = read_msls(write_msls(tmp_path), ["cph"])
    position = photos.queries[0].position
    assert position is not None
    assert (position.easting, position.northing, position.zone) == (347010.0, 6172500.0, "33U")
    # by hand: 10, 25 (inclusive), 0 and 574 m; 25.01 m to the last and far from the others; 0, 35, 10 m; the same
    assert positives(photos) == [[0, 1, 2], [], [0, 2], [0, 2]]


def test_cities_come_in_the_order_given(tmp_path: Path) -> None:
    photos = read_msls(write_msls(tmp_path), ("sf", "cph"))
    assert [place.metadata["city"] for place in photos.queries] == ["sf", "sf", *["cph"] * 4]
    assert [place.position.zone for place in photos.database if place.position] == ["10S", "10S", *["33U"] * 4]


def test_test_cities_with_and_without_ground_truth(tmp_path: Path) -> None:
    with_truth = read_msls(write_msls(tmp_path / "2026"), ["miami"], "test")
    assert positives(with_truth) == [[1]]
    without = read_msls(write_msls(tmp_path / "2020", test_positions=False), ["miami"], "test")
    assert [place.name for place in without.database] == [place.name for place in with_truth.database]
    assert without.queries[0].position is None
    assert without.queries[0].metadata == {
        "city": "miami",
        "key": "mi_q_55-oooooooooooooo",
        "frame": "1",
        "subtasks": "all w2s",
    }


def test_without_degrees_there_is_no_zone(tmp_path: Path) -> None:
    write_msls(tmp_path)
    for side in ("database", "query"):
        (tmp_path / "test" / "miami" / side / "raw.csv").unlink()
    photos = read_msls(tmp_path, ["miami"], "test")
    assert photos.queries[0].position == Position(580055.0, 2850000.0)
    assert "pano" not in photos.queries[0].metadata and positives(photos) == [[1]]


def test_test_cities_may_lack_columns(tmp_path: Path) -> None:
    write_msls(tmp_path)
    for side in ("database", "query"):
        edit(tmp_path / "test" / "miami" / side / "postprocessed.csv", "view_direction", "direction")
        edit(tmp_path / "test" / "miami" / side / "raw.csv", "lat", "latitude")
    photos = read_msls(tmp_path, ["miami"], "test")
    assert photos.queries[0].metadata.keys() == {"city", "key", "frame", "subtasks", "pano", "timestamp"}
    assert positives(photos) == [[1]]


def test_degrees_of_another_zone_than_the_metres_tell_none(tmp_path: Path) -> None:
    write_msls(tmp_path)
    edit(tmp_path / "train_val" / "cph" / "query" / "postprocessed.csv", "347010.0", "347012.0")
    photos = read_msls(tmp_path, ["sf", "cph"])
    assert {place.position.zone for place in photos.queries if place.position} == {None}
    assert photos.queries[0].position is not None and photos.queries[0].position.latitude == pytest.approx(
        37.77, abs=0.02
    )
    assert positives(read_msls(tmp_path, ["cph"]))[0] == [0, 1, 2]  # 12, 23 and 2 m


def test_the_validation_protocol(tmp_path: Path) -> None:
    """Subtask all, no panoramas, each city by itself: q_near has db_0 and db_25, q_far has nothing within 25 m."""
    protocol = Protocol("msls_val@test", "", subtask="all", panoramas=False, search_within="city")
    dataset = apply_protocol(read_msls(write_msls(tmp_path), VAL_CITIES), protocol)
    assert [place.metadata["key"][:6] for place in dataset.queries] == ["q_near", "q_far-", "sf_q_0", "sf_q_1"]
    assert len(dataset.database) == 5 and dataset.positives is not None
    assert [indices.tolist() for indices in dataset.positives] == [[0, 1], [], [3], [4]]


def test_rows_belong_together_by_key_not_by_line(tmp_path: Path) -> None:
    expected = read_msls(write_msls(tmp_path), ["cph"])
    for path in (tmp_path / "train_val" / "cph").glob("*/*.csv"):
        if path.name != "seq_info.csv":
            header, *rows = path.read_text().splitlines()
            path.write_text("\n".join([header, *rows[::-1]]) + "\n")
    photos = read_msls(tmp_path, ["cph"])
    assert photos.queries == expected.queries and photos.database == expected.database


def test_images_need_not_be_there(tmp_path: Path) -> None:
    assert len(read_msls(write_msls(tmp_path, pictures=False), ["cph"]).database) == 4


def test_a_folder_with_an_at_sign(tmp_path: Path) -> None:
    photos = read_msls(write_msls(tmp_path / "msls@2020"), ["sf"])
    assert photos.queries[0].image.is_file()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def problem(root: Path, cities: Sequence[str], split: Literal["train_val", "test"] = "train_val") -> str:
    with pytest.raises(DataError) as caught:
        read_msls(root, cities, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_cities_and_folders(tmp_path: Path) -> None:
    write_msls(tmp_path)
    said = problem(tmp_path, ["cph", "tokyo"])
    assert str(tmp_path / "train_val" / "tokyo") in said and "cph, sf" in said
    assert "has no folder train_val" in problem(tmp_path / "train_val", ["cph"])
    assert "cities=none" in problem(tmp_path, []) and "cities=sf, sf" in problem(tmp_path, ["sf", "sf"])


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("postprocessed.csv", "easting", "east", "has no column easting"),
        ("raw.csv", "pano", "panorama", "has no column pano"),
        ("seq_info.csv", "frame_number", "frame", "has no column frame_number"),
        ("subtask_index.csv", "n2d", "night", "has no column n2d"),
        ("postprocessed.csv", "347010.0", "here", "line 2, column easting"),
        ("postprocessed.csv", "347010.0", "", "line 2, column easting: is empty"),
        ("postprocessed.csv", "347010.0", "1e9", "line 2, column easting, northing: easting 1000000000.0"),
        ("subtask_index.csv", "True", "yes", "line 2, column all: 'yes'"),
        ("seq_info.csv", "other,2", "other,2.5", "line 3, column frame_number: 2.5 is not a whole number"),
        (
            "raw.csv",
            "q_far-f",
            "q_far-x",
            "lacks the photo q_far-fffffffffffffffff of seq_info.csv (1 lacking, 1 too many)",
        ),
        ("seq_info.csv", "q_far-fffffffffffffffff", "q_near-eeeeeeeeeeeeeeee", "is in line 2 already"),
        ("seq_info.csv", "q_far-f", "../q_far-f", "is no key of a photo"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, file: str, old: str, new: str, words: str) -> None:
    write_msls(tmp_path)
    path = tmp_path / "train_val" / "cph" / "query" / file
    edit(path, old, new)
    said = problem(tmp_path, ["cph"])
    assert words in said and str(path) in said


@pytest.mark.parametrize("file", ["postprocessed.csv", "raw.csv", "seq_info.csv", "subtask_index.csv"])
def test_missing_files(tmp_path: Path, file: str) -> None:
    write_city(tmp_path / "train_val" / "cph", CPH)
    path = tmp_path / "train_val" / "cph" / "database" / file
    path.unlink()
    said = problem(tmp_path, ["cph"])
    assert str(path) in said and "metadata.zip" in said


def test_rows_too_many_are_named(tmp_path: Path) -> None:
    write_msls(tmp_path)
    path = tmp_path / "train_val" / "sf" / "database" / "subtask_index.csv"
    path.write_text(path.read_text() + "2,extra,True,False,False,False,False,False,False\n")
    assert "has extra, not in seq_info.csv (0 lacking, 1 too many)" in problem(tmp_path, ["sf"])
