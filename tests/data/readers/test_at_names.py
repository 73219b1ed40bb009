"""``@`` names: parsing what others wrote, and the round trip through our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fol.data.readers.at_names import format_at_name, is_at_name, parse_at_name
from fol.errors import DataError
from fol.types import Position

FULL = "@0584582.31@4477135.22@17@T@040.44076@-079.99000@pano-1_x@03@270@010@@@20190102_030405@day_forward@.jpg"


def test_all_fields() -> None:
    label = parse_at_name(FULL)
    assert label.position == Position(584582.31, 4477135.22, "17T", 40.44076, -79.99)
    assert label.heading == 270 and label.sequence is None
    assert label.metadata == {
        "pano_id": "pano-1_x",
        "tile_num": "03",
        "pitch": "010",
        "timestamp": "20190102_030405",
        "note": "day_forward",
    }


def test_only_the_basename_counts() -> None:
    assert parse_at_name(Path("/data/me@home@now") / FULL) == parse_at_name(FULL)
    assert is_at_name(f"a/{FULL}") and not is_at_name("@a/photo.jpg") and not is_at_name("logo@2x.png")


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("@1@2@.jpg", Position(1, 2)),
        ("@1.5@-2.25.png", Position(1.5, -2.25)),
        ("@0@12000@@@@@12@@@@@@@@.jpg", Position(0, 12000)),  # AmsterTime: made-up coordinates
        ("@0@23.8@@@@@10@@@@@@@@.JPEG", Position(0, 23.8)),  # Nordland
        ("@-000123.45@0000000.00@@@@@@@@@@@@@.jpg", Position(-123.45, 0)),
        ("@0500000.00@4000000.00@31@.webp", Position(500000, 4000000, "31")),
        ("@1@2", Position(1, 2)),
    ],
)
def test_fewer_fields(name: str, position: Position) -> None:
    assert parse_at_name(name).position == position


def test_degrees_come_from_the_zone_where_the_name_has_none() -> None:
    position = parse_at_name("@0483550.51@4422323.52@18@S@.jpg").position
    assert position is not None
    assert (position.latitude, position.longitude) == pytest.approx((39.950883, -75.19257), abs=1e-5)


def test_further_fields_belong_to_the_note() -> None:
    assert parse_at_name("@1@2@@@@@@@@@@@@a@b@.jpg").metadata == {"note": "a@b"}


@pytest.mark.parametrize(("written", "heading"), [("000", 0), ("360", 0), ("-90", 270), ("725.5", 5.5)])
def test_heading_is_normalised(written: str, heading: float) -> None:
    assert parse_at_name(f"@1@2@@@@@@@{written}@@@@@@.jpg").heading == heading


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("@home.jpg", "field UTM_east: 'home' is not a number"),
        ("@1.jpg", "field UTM_north is empty"),  # the dot and what follows is the extension
        ("@@2@.jpg", "field UTM_east is empty"),
        ("@1@@.jpg", "field UTM_north is empty"),
        ("@1@nan@.jpg", "field UTM_north: 'nan' is not a number"),
        ("@1_000@2@.jpg", "field UTM_east: '1_000' is not a number"),
        ("@1@2@77@T@.jpg", "'77T' is not a UTM zone"),
        ("@1@2@@T@.jpg", "field UTM_zone_number is empty"),
        ("@500000@4000000@31@Q@91@0@.jpg", "latitude 91.0 is out of range"),
        ("@500000@4000000@31@Q@40@x@.jpg", "field longitude: 'x' is not a number"),
        ("@500000@4000000@31@Q@40@@.jpg", "must be given together"),
        ("@5@4000000@31@Q@.jpg", "easting 5.0 is out of range"),
        ("@1@2@@@@@@@north@@@@@@.jpg", "field heading: 'north' is not a number"),
        ("photo.jpg", "does not start with @"),
    ],
)
def test_errors_name_file_and_field(name: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_at_name(Path("folder") / name)
    text = str(caught.value)
    assert text.startswith(f"folder/{name}: ") and words in text and "\n" not in text


def test_format_by_hand() -> None:
    written = format_at_name(
        easting=584582.314,
        northing=4477135.22,
        zone="17T",
        latitude=40.440761,
        longitude=-79.99,
        pano_id="p-1",
        heading=7.4,
        timestamp="20190102_030405",
        note="day_forward",
    )
    expected = "@0584582.31@4477135.22@17@T@040.44076@-079.99000@p-1@@007@@@@20190102_030405@day_forward@.jpg"
    assert written == expected and written.count("@") == 15


def test_format_of_little() -> None:
    assert (
        format_at_name(easting=-12.3, northing=-0.001, extension=".png")
        == "@-000012.30@0000000.00" + "@" * 12 + "@.png"
    )
    assert format_at_name(easting=0, northing=0, heading=359.8).split("@")[9] == "000"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"note": "a@b"}, "note 'a@b' cannot be part of a file name"),
        ({"pano_id": "a/b"}, "pano_id 'a/b'"),
        ({"timestamp": "a\nb"}, "timestamp 'a\\nb'"),
        ({"note": "x" * 250}, "longer than 255 bytes"),
        ({"easting": float("nan")}, "easting nan is out of range"),
        ({"zone": "99T"}, "is not a UTM zone"),
        ({"latitude": 4.0}, "must be given together"),
    ],
)
def test_format_refuses(options: dict[str, object], words: str) -> None:
    with pytest.raises(DataError) as caught:
        format_at_name(**({"easting": 1.0, "northing": 2.0} | options))  # type: ignore[arg-type]
    assert words in str(caught.value) and "\n" not in str(caught.value)


free_text = st.text(st.characters(exclude_characters="@/\\", exclude_categories=["C", "Z"]), max_size=20)
band = {"C": -76.0, "H": -36.0, "M": -4.0, "N": 4.0, "S": 36.0, "T": 44.0, "X": 80.0}


@given(
    easting=st.floats(100_000, 999_999),
    northing=st.floats(0, 9_999_999),
    zone=st.none() | st.builds(lambda n, letter: f"{n}{letter}", st.integers(1, 60), st.sampled_from(list(band))),
    degrees=st.none() | st.tuples(st.floats(-80, 84), st.floats(-180, 180)),
    heading=st.none() | st.floats(-1000, 1000),
    texts=st.tuples(free_text, free_text, free_text),
    extension=st.sampled_from([".jpg", ".PNG", ".tiff"]),
)
def test_round_trip(
    easting: float,
    northing: float,
    zone: str | None,
    degrees: tuple[float, float] | None,
    heading: float | None,
    texts: tuple[str, str, str],
    extension: str,
) -> None:
    if zone is not None and degrees is None:
        degrees = (band[zone[-1]], 0.0)  # degrees of its own let any northing go with any letter
    latitude, longitude = degrees or (None, None)
    pano_id, timestamp, note = texts
    name = format_at_name(
        easting=easting,
        northing=northing,
        zone=zone,
        latitude=latitude,
        longitude=longitude,
        pano_id=pano_id,
        heading=heading,
        timestamp=timestamp,
        note=note,
        extension=extension,
    )
    assert len(name.split("@")) == 16
    label = parse_at_name(name)
    position = label.position
    assert position is not None
    assert (position.easting, position.northing) == pytest.approx((easting, northing), abs=0.0051)
    assert position.zone == zone
    if degrees is None:
        assert position.latitude is None and position.longitude is None
    else:
        assert (position.latitude, position.longitude) == pytest.approx(degrees, abs=0.0000051)
    if heading is None:
        assert label.heading is None
    else:
        assert label.heading is not None
        assert abs((label.heading - heading + 180) % 360 - 180) <= 0.5 + 1e-9
    given_texts = {"pano_id": pano_id, "timestamp": timestamp, "note": note}
    assert label.metadata == {key: value for key, value in given_texts.items() if value}
