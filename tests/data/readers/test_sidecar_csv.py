"""Sidecar CSV files: which file it is, what its rows mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fol.data.readers.label import Label
from fol.data.readers.sidecar_csv import find_sidecar, read_sidecar
from fol.errors import DataError
from fol.types import Position

NAMES = ("a.jpg", "b c.jpg", "sub/ü.png")


def read(folder: Path, content: str, names: tuple[str, ...] = NAMES) -> list[Label]:
    path = folder / "places.csv"
    path.write_text(content, encoding="utf-8")
    return read_sidecar(path, folder, names)


def refused(folder: Path, content: str) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestRows:
    def test_utm(self, tmp_path: Path) -> None:
        labels = read(
            tmp_path,
            "heading,note,utm_north,image,utm_zone,utm_east,sequence\n"
            "-90,sunny,4422323.5,sub/ü.png,18S,483550.5,walk 1\n,,1.5,a.jpg,,-2,\n,,,b c.jpg,,,\n",
        )
        assert labels[0] == Label(Position(-2, 1.5))
        assert labels[1] == Label()
        position = labels[2].position
        assert position is not None and (position.easting, position.zone) == (483550.5, "18S")
        assert position.latitude == pytest.approx(39.95088, abs=1e-4)
        assert (labels[2].heading, labels[2].sequence, labels[2].metadata) == (270, "walk 1", {"note": "sunny"})

    def test_degrees(self, tmp_path: Path) -> None:
        (label,) = read(tmp_path, "image,lat,lon\na.jpg,48.8584,2.2945\n", ("a.jpg",))
        assert label.position is not None and label.position.zone == "31U"
        assert label.position.easting == pytest.approx(448252.0, abs=0.1)

    def test_both(self, tmp_path: Path) -> None:
        labels = read(
            tmp_path,
            "image,utm_east,utm_north,utm_zone,lat,lon\na.jpg,448252,5411955,31U,48.8584,2.2945\nb.jpg,,,,48.8584,2.2945\n",
            ("a.jpg", "b.jpg"),
        )
        assert labels[0].position == Position(448252, 5411955, "31U", 48.8584, 2.2945)
        assert labels[1].position is not None and labels[1].position.easting == pytest.approx(448252.0, abs=0.1)

    def test_ways_to_write_a_name(self, tmp_path: Path) -> None:
        decomposed = "sub/u\u0308.png"  # as macOS has it in file names
        folder = tmp_path / "photos"
        folder.mkdir()
        text = "image,lat,lon\n./a.jpg,1,1\nphotos/b c.jpg,2,2\nsub\\ü.png,3,3\n"
        labels = read(folder, text, ("a.jpg", "b c.jpg", decomposed))
        assert [label.position and label.position.latitude for label in labels] == [1, 2, 3]


class TestErrors:
    def test_unknown_image(self, tmp_path: Path) -> None:
        text = refused(tmp_path, "image,lat,lon\na.jpg,1,1\ngone.jpg,1,1\n")
        assert text == f"{tmp_path}/places.csv line 3, column image: 'gone.jpg' is not an image in {tmp_path}"

    def test_image_named_twice(self, tmp_path: Path) -> None:
        text = refused(tmp_path, "image,lat,lon\na.jpg,1,1\n./a.jpg,1,1\n")
        assert "line 3, column image: './a.jpg' is already in line 2" in text

    def test_images_without_a_row(self, tmp_path: Path) -> None:
        text = refused(tmp_path, "image,lat,lon\na.jpg,1,1\n")
        assert "places.csv: has no row for 2 of 3 images, the first is b c.jpg: add rows" in text

    @pytest.mark.parametrize(
        ("header", "row", "words"),
        [
            ("lat,lon", "91,0", "line 2, column lat, lon: latitude 91.0 is out of range"),
            ("lat,lon", "85,0", "latitude 85.0 is outside of UTM"),
            ("lat,lon", "0,-180.1", "longitude -180.1 is out of range"),
            ("lat,lon", "north,0", "line 2, column lat: 'north' is not a number"),
            ("lat,lon", "0,", "line 2, column lon: is empty, but the other coordinate is not"),
            ("utm_east,utm_north", ",7", "line 2, column utm_east: is empty"),
            (
                "utm_east,utm_north,utm_zone",
                "5,7,31U",
                "column utm_east, utm_north, utm_zone: easting 5.0 is out of range",
            ),
            ("utm_east,utm_north,utm_zone", "500000,7,U31", "'U31' is not a UTM zone"),
            ("utm_east,utm_north,heading", "5,7,up", "line 2, column heading: 'up' is not a number"),
            ("utm_east", "5", "has no column utm_north: coordinates need both"),
            ("lon", "5", "has no column lat: coordinates need both"),
            ("utm_zone", "31U", "has no coordinates"),
            ("lat,lon,lat", "5,5,5", "names the column lat twice"),
        ],
    )
    def test_fields(self, tmp_path: Path, header: str, row: str, words: str) -> None:
        text = refused(tmp_path, f"image,{header}\na.jpg,{row}\n")
        assert text.startswith(f"{tmp_path}/places.csv") and words in text

    def test_no_image_column(self, tmp_path: Path) -> None:
        assert "places.csv: has no column image (it has filename, lat, lon)" in refused(tmp_path, "filename,lat,lon\n")


class TestFinding:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "photos" / "sub").mkdir(parents=True)
        return tmp_path / "photos"

    def test_none(self, folder: Path) -> None:
        assert find_sidecar(folder) is None

    @pytest.mark.parametrize("name", ["photos/coordinates.csv", "photos/Places.CSV", "photos.csv"])
    def test_inside_or_beside(self, folder: Path, name: str) -> None:
        path = folder.parent / name
        path.write_text("image,lat,lon\n")
        assert find_sidecar(folder) == path

    def test_relative_path(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder.parent / "photos.csv").write_text("image,lat,lon\n")
        monkeypatch.chdir(folder)
        assert find_sidecar(Path()) == folder.parent / "photos.csv"

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("places.csv", "image,place_id\n"),  # no coordinates: somebody else's
            ("ground_truth.csv", "query,positives,lat\n"),
            ("pseudo_utm.csv", "split,file,utm_east,utm_north\n"),
            ("sub.csv", "image,lat,lon\n"),  # the sub-folder's
            (".hidden.csv", "image,lat,lon\n"),
            ("places.txt", "image,lat,lon\n"),
            ("empty.csv", ""),
        ],
    )
    def test_other_files_are_left_alone(self, folder: Path, name: str, content: str) -> None:
        (folder / name).write_text(content)
        assert find_sidecar(folder) is None

    def test_two(self, folder: Path) -> None:
        for name in ("one.csv", "two.csv"):
            (folder / name).write_text("image,lat,lon\n")
        with pytest.raises(DataError, match=r"one.csv and .*two.csv: both have coordinates"):
            find_sidecar(folder)
