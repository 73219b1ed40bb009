"""Folders of images: which labels win, what may be mixed, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from fol.data.readers.folder import read_places
from fol.errors import DataError
from fol.types import Position

LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE = 1, 2, 3, 4
AT_NAME = "@0000001.00@0000002.00@@@@@@@@@@@@@.jpg"


def photo(path: Path, gps: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if gps:
        exif[0x8825] = {LATITUDE_REF: "N", LATITUDE: (48.0, 30.0, 0.0), LONGITUDE_REF: "E", LONGITUDE: (2.0, 0.0, 0.0)}
    Image.new("RGB", (20, 20)).save(path, exif=exif.tobytes())
    return path


def test_sorted_names_with_forward_slashes(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.png", "a-b.jpg", "Ünï cödé/c d.webp"):
        photo(tmp_path / name)
    places = read_places(tmp_path)
    assert [place.name for place in places] == ["a-b.jpg", "a/z.png", "b.jpg", "Ünï cödé/c d.webp"]
    assert [place.image for place in places] == [tmp_path / place.name for place in places]
    assert read_places(str(tmp_path)) == places
    assert all(place.position is None and place.metadata == {} for place in places)


def test_sidecar_before_names_before_exif(tmp_path: Path) -> None:
    photo(tmp_path / AT_NAME, gps=True)
    photo(tmp_path / "gps.jpg", gps=True)
    photo(tmp_path / "plain.jpg")
    at, gps, plain = read_places(tmp_path)
    assert at.position == Position(1, 2)
    assert gps.position is not None and gps.position.latitude == pytest.approx(48.5)
    assert plain.position is None  # labelled in part, which is allowed
    (tmp_path / "coordinates.csv").write_text(f"image,lat,lon,season\n{AT_NAME},1,1,dry\ngps.jpg,2,2,\nplain.jpg,,,\n")
    at, gps, plain = read_places(tmp_path)
    assert [place.position and place.position.latitude for place in (at, gps, plain)] == [1, 2, None]
    assert at.metadata == {"season": "dry"}


def test_sidecars_of_sub_folders(tmp_path: Path) -> None:
    photo(tmp_path / "walk 1" / "deep" / "a.jpg")
    photo(tmp_path / "walk 2" / "a.jpg")
    photo(tmp_path / "loose.jpg", gps=True)
    (tmp_path / "walk 1" / "gps.csv").write_text("image,utm_east,utm_north\ndeep/a.jpg,1,1\n")
    (tmp_path / "walk 2.csv").write_text("image,utm_east,utm_north\na.jpg,2,2\n")
    loose, first, second = read_places(tmp_path)
    assert (first.name, first.position) == ("walk 1/deep/a.jpg", Position(1, 1))
    assert (second.name, second.position) == ("walk 2/a.jpg", Position(2, 2))
    assert loose.position is not None and loose.position.zone == "31U"


def test_csv_of_something_else_is_left_alone(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.jpg")
    (tmp_path / "places.csv").write_text("image,place_id\na.jpg,p0\n")
    assert [place.name for place in read_places(tmp_path)] == ["images/a.jpg"]


def test_without_labels(tmp_path: Path) -> None:
    photo(tmp_path / "@broken@name@.jpg")
    with pytest.raises(DataError, match="field UTM_east"):
        read_places(tmp_path)
    (place,) = read_places(tmp_path, labels=False)
    assert place.position is None


def test_images_that_cannot_be_read_are_places_all_the_same(tmp_path: Path) -> None:
    photo(tmp_path / "good.jpg")
    (tmp_path / "zero.jpg").touch()
    (tmp_path / "text.png").write_text("no image")
    assert [place.name for place in read_places(tmp_path)] == ["good.jpg", "text.png", "zero.jpg"]


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    photo(tmp_path / "ok.jpg").rename(os.fsdecode(raw))
    (place,) = read_places(tmp_path)
    assert place.name.encode("utf-8") == b"caf\\xe9.jpg"
    assert os.fsencode(place.image) == raw
    (tmp_path / "places.csv").write_text("image,utm_east,utm_north\ncaf\\xe9.jpg,1,2\n")
    assert read_places(tmp_path)[0].position == Position(1, 2)
    (tmp_path / "places.csv").write_text("image,utm_east,utm_north\n")
    with pytest.raises(DataError) as caught:
        read_places(tmp_path)
    str(caught.value).encode("utf-8")


class TestRefused:
    def refusal(self, folder: Path) -> str:
        with pytest.raises(DataError) as caught:
            read_places(folder)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / ".hidden.jpg").touch()
        assert self.refusal(tmp_path) == f"{tmp_path}: holds no images"

    def test_other_files_only(self, tmp_path: Path) -> None:
        for name in ("a.HEIC", "sub/b.heic", "readme.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        expected = f"{tmp_path}: holds no images (2 files with .heic, which Pillow does not read here)"
        assert self.refusal(tmp_path) == expected

    def test_missing(self, tmp_path: Path) -> None:
        assert self.refusal(tmp_path / "gone") == f"{tmp_path}/gone: no such folder"

    def test_file(self, tmp_path: Path) -> None:
        path = photo(tmp_path / "a.jpg")
        assert self.refusal(path) == f"{path}: is a file, but a folder of images is needed"

    def test_at_name_out_of_range(self, tmp_path: Path) -> None:
        path = photo(tmp_path / "@500000@4000000@31@S@95.0@0.0@.jpg")
        assert self.refusal(tmp_path) == f"{path}: latitude 95.0 is out of range: -90 to 90 degrees"
