"""GSV-Cities: file names as published, the order of photos, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fol.data.readers.gsv_cities import is_gsv_cities, read_gsv_cities
from fol.data.training import read_training_places
from fol.errors import ConfigError, DataError

HEADER = "place_id,year,month,northdeg,city_id,lat,lon,panoid"
# The second coordinate pairs are written with a zero that the file names do not have: they come from float64 values.
PARIS = [
    ("7,2015,3,9,PRS,48.8500,2.10,_a-B_c", "PRS_0000007_2015_03_009_48.85_2.1__a-B_c.jpg"),
    (
        "7,2019,11,180,PRS,48.85001234567891,2.1000001,pano2",
        "PRS_0000007_2019_11_180_48.85001234567891_2.1000001_pano2.jpg",
    ),
    ("7,2019,2,359,PRS,48.85,2.1,pano3", "PRS_0000007_2019_02_359_48.85_2.1_pano3.jpg"),
    ("7,2019,2,0,PRS,48.86,2.1,pano4", "PRS_0000007_2019_02_000_48.86_2.1_pano4.jpg"),
    ("12,2012,6,45,PRS,48.9,2.2,pano5", "PRS_0000012_2012_06_045_48.9_2.2_pano5.jpg"),
]
ROME = [
    ("7,2020,1,90,Rome,41.0,12.0,r1", "Rome_0000007_2020_01_090_41.0_12.0_r1.jpg"),
    ("7,2020,1,91,Rome,41.00,12.5,r2", "Rome_0000007_2020_01_091_41.0_12.5_r2.jpg"),
]


def write_city(root: Path, city: str, rows: Sequence[tuple[str, str]], skip: str = "") -> None:
    (root / "Dataframes").mkdir(parents=True, exist_ok=True)
    (root / "Images" / city).mkdir(parents=True, exist_ok=True)
    (root / "Dataframes" / f"{city}.csv").write_text("\n".join([HEADER, *(row for row, _ in rows)]) + "\n")
    for _, name in rows:
        if name != skip:
            (root / "Images" / city / name).write_bytes(b"")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_city(tmp_path, "PRS", PARIS)
    write_city(tmp_path, "Rome", ROME)
    return tmp_path


def test_names_are_built_from_the_rows(root: Path) -> None:
    records = read_gsv_cities(root, ["PRS"])
    assert [record.name for record in records] == ["0000007", "0000012"]
    assert {path.name for record in records for path in record.images} == {name for _, name in PARIS}
    assert all(path.is_file() for record in records for path in record.images)


def test_most_recent_first_by_year_month_and_latitude(root: Path) -> None:
    photos = read_gsv_cities(root, ["PRS"])[0].images
    panoramas = [path.stem.split("_", 7)[7] for path in photos]
    assert panoramas == ["pano2", "pano4", "pano3", "_a-B_c"]


def test_numbers_of_the_second_city_begin_at_100000(root: Path) -> None:
    records = read_gsv_cities(root, ["Rome", "PRS"])
    assert [(record.name, record.group) for record in records] == [
        ("0000007", "Rome"),
        ("0100007", "PRS"),
        ("0100012", "PRS"),
    ]
    assert [record.name for record in read_gsv_cities(root)] == ["0000007", "0000012", "0100007"]  # PRS before Rome


def test_extension_in_capitals_and_coordinates_as_written(tmp_path: Path) -> None:
    names = ["PRS_0000007_2015_03_009_48.85_2.1__a-B_c.JPG", "PRS_0000012_2012_06_045_48.90_2.20_p.jpg"]
    write_city(tmp_path, "PRS", [(PARIS[0][0], names[0]), ("12,2012,6,45,PRS,48.90,2.20,p", names[1])])
    assert [record.images[0].name for record in read_gsv_cities(tmp_path)] == names


def test_places_with_too_few_photos_are_left_out(root: Path) -> None:
    places = read_training_places(root, min_images=2)
    assert places.places == ("0000007", "0100007")
    assert (places.groups, len(places.images)) == (("PRS", "Rome"), 6)
    assert read_training_places(root, min_images=4).places == ("0000007",)
    with pytest.raises(DataError, match=r"none of its 3 places has 5 images \(the most are 4\)"):
        read_training_places(root, min_images=5)


def test_cities_far_apart_have_frames_of_their_own(tmp_path: Path) -> None:
    write_city(tmp_path, "Rome", ROME)
    write_city(
        tmp_path, "Boston", [("1,2020,1,90,Boston,42.36,-71.06,b", "Boston_0000001_2020_01_090_42.36_-71.06_b.jpg")]
    )
    places = read_training_places(tmp_path, min_images=1)
    assert places.frames is not None and places.positions is not None
    assert places.frames[0] != places.frames[1]
    # Boston's state house, from a map: zone 19T, 330 km E, 4692 km N
    assert places.positions[0] == pytest.approx([330_370, 4_691_840], abs=400)


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    write_city(tmp_path, "PRS", PARIS, skip=PARIS[3][1])
    with pytest.raises(DataError) as caught:
        read_gsv_cities(tmp_path)
    message = str(caught.value)
    assert "PRS.csv line 5" in message and PARIS[3][1] in message and "\n" not in message


def test_a_wrong_city_is_answered_with_near_names(root: Path) -> None:
    with pytest.raises(ConfigError, match="no city 'Roma'; did you mean Rome"):
        read_gsv_cities(root, ["Roma"])
    with pytest.raises(ConfigError, match="twice"):
        read_gsv_cities(root, ["Rome", "Rome"])


def test_a_value_that_is_no_number(tmp_path: Path) -> None:
    write_city(tmp_path, "PRS", [("7,2015,x,9,PRS,48.85,2.1,p", "a.jpg")])
    with pytest.raises(DataError, match=r"PRS.csv line 2, column month: 'x' is not a number"):
        read_gsv_cities(tmp_path)


def test_what_is_gsv_cities(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    assert is_gsv_cities(root) and not is_gsv_cities(other)
    with pytest.raises(DataError, match="Dataframes"):
        read_gsv_cities(other)
    with pytest.raises(ConfigError, match="GSV-Cities only"):
        read_training_places(other, cities=["Rome"])
