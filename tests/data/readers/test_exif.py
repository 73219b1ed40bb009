"""EXIF GPS as cameras write it, and as broken ones do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from fol.data.readers.exif import read_exif
from fol.data.readers.label import Label

LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, DIRECTION_REF, DIRECTION = 1, 2, 3, 4, 16, 17
PARIS = {LATITUDE_REF: "N", LATITUDE: (48.0, 51.0, 30.24), LONGITUDE_REF: "E", LONGITUDE: (2.0, 17.0, 40.2)}


def photo(folder: Path, gps: dict[int, Any], extension: str = "jpg") -> Path:
    exif = Image.Exif()
    exif[0x8825] = gps
    path = folder / f"photo.{extension}"
    Image.new("RGB", (32, 32)).save(path, exif=exif.tobytes())
    return path


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_position(tmp_path: Path, extension: str) -> None:
    label = read_exif(photo(tmp_path, PARIS, extension))
    assert label.position is not None and label.position.zone == "31U"
    assert (label.position.latitude, label.position.longitude) == pytest.approx((48.8584, 2.2945), abs=1e-7)
    assert label.heading is None and label.metadata == {}


@pytest.mark.parametrize(("north", "east"), [("N", "E"), ("N", "W"), ("S", "E"), ("S", "W")])
def test_hemispheres(tmp_path: Path, north: str, east: str) -> None:
    position = read_exif(photo(tmp_path, PARIS | {LATITUDE_REF: north, LONGITUDE_REF: east})).position
    assert position is not None
    assert position.latitude == pytest.approx(48.8584 if north == "N" else -48.8584, abs=1e-7)
    assert position.longitude == pytest.approx(2.2945 if east == "E" else -2.2945, abs=1e-7)


def test_decimal_minutes_and_rationals(tmp_path: Path) -> None:
    gps = PARIS | {LATITUDE: (IFDRational(48, 1), IFDRational(51504, 1000), IFDRational(0, 1))}
    position = read_exif(photo(tmp_path, gps)).position
    assert position is not None and position.latitude == pytest.approx(48 + 51.504 / 60, abs=1e-7)


def test_heading(tmp_path: Path) -> None:
    assert read_exif(photo(tmp_path, PARIS | {DIRECTION_REF: "T", DIRECTION: 123.5})).heading == 123.5
    magnetic = read_exif(photo(tmp_path, {DIRECTION_REF: "M", DIRECTION: 361.0}))
    assert magnetic == Label(None, 1.0, metadata={"heading_reference": "magnetic"})
    assert read_exif(photo(tmp_path, PARIS | {DIRECTION: IFDRational(0, 0)})).heading is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({LATITUDE: (91.0, 0.0, 0.0)}, "latitude 91.0 is out of range"),
        ({LATITUDE: (85.0, 0.0, 0.0)}, "outside of UTM"),
        ({LONGITUDE: (181.0, 0.0, 0.0)}, "is not degrees"),
        ({LATITUDE: (IFDRational(0, 0),) * 3}, "GPSLatitude"),
        ({LATITUDE: (48.0, 75.0, 0.0)}, "is not degrees, minutes and seconds"),
        ({LATITUDE_REF: "X"}, "GPSLatitudeRef is 'X', not N or S"),
        ({LONGITUDE_REF: ""}, "GPSLongitudeRef"),
        ({LATITUDE: (0.0, 0.0, 0.0), LONGITUDE: (0.0, 0.0, 0.0)}, "both 0"),
    ],
)
def test_nonsense_is_absent_with_the_reason(tmp_path: Path, change: dict[int, Any], words: str) -> None:
    label = read_exif(photo(tmp_path, PARIS | change))
    assert label.position is None
    assert words in label.metadata["gps_problem"] and "\n" not in label.metadata["gps_problem"]


@pytest.mark.parametrize("tag", [LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE])
def test_half_a_position(tmp_path: Path, tag: int) -> None:
    label = read_exif(photo(tmp_path, {key: value for key, value in PARIS.items() if key != tag}))
    assert label.position is None and "gps_problem" in label.metadata


def test_no_exif_and_no_image(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "plain.jpg")
    (tmp_path / "zero.jpg").touch()
    (tmp_path / "text.jpg").write_text("no image")
    for name in ("plain.jpg", "zero.jpg", "text.jpg", "gone.jpg"):
        assert read_exif(tmp_path / name) == Label()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what it skipped
def test_malformed_exif(tmp_path: Path) -> None:
    path = photo(tmp_path, PARIS)
    whole = path.read_bytes()
    start = whole.index(b"Exif\0\0")
    for offset in range(start + 6, start + 120, 3):
        path.write_bytes(whole[:offset] + b"\xff\xfe" + whole[offset + 2 :])
        assert isinstance(read_exif(path), Label)


def test_pixels_are_not_decoded(tmp_path: Path) -> None:
    path = photo(tmp_path, PARIS, "png")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"IDAT") + 4])
    assert read_exif(path).position is not None
