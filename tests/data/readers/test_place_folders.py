"""Training sets of one's own: folders, CSV, pairs that overlap; and the real training photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fol.data.training import read_training_places
from fol.errors import ConfigError, DataError


def photos(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")  # photos are not opened
    return root


def refused(root: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        read_training_places(root, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestFolders:
    def test_a_folder_is_a_place_and_the_one_above_its_group(self, tmp_path: Path) -> None:
        photos(
            tmp_path, "b/1.jpg", "b/2.PNG", "north/a/1.jpg", "north/a/2.jpg", "north/a/3.jpg", "lonely/1.jpg", "b/x.txt"
        )
        places = read_training_places(tmp_path)
        assert (places.places, places.groups) == (("b", "north/a"), ("", "north"))
        assert places.place_of_image.tolist() == [0, 0, 1, 1, 1]
        assert [path.name for path in places.images] == ["1.jpg", "2.PNG", "1.jpg", "2.jpg", "3.jpg"]
        assert places.positions is None and places.overlapping.shape == (0, 2)

    def test_pairs(self, tmp_path: Path) -> None:
        photos(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg")
        (tmp_path / "overlapping_places.csv").write_text("place_a,place_b\nb,a\na,b\na,c\n")
        assert read_training_places(tmp_path).overlapping.tolist() == [[0, 1]]  # c has too few photos
        assert read_training_places(tmp_path, min_images=1).overlapping.tolist() == [[0, 1], [0, 2]]

    def test_refused(self, tmp_path: Path) -> None:
        photos(tmp_path, "place_1/1.jpg", "place_1/2.jpg")
        (tmp_path / "overlapping_places.csv").write_text("place_a,place_b\nplace_1,plaice_1\n")
        assert "line 2, column place_b: there is no place 'plaice_1', did you mean place_1?" in refused(tmp_path)
        photos(tmp_path, "loose.jpg")
        assert "loose.jpg: lies in no place's folder" in refused(tmp_path)
        (tmp_path / "empty").mkdir()
        assert "holds no images" in refused(tmp_path / "empty")
        assert "no such folder" in refused(tmp_path / "nowhere")


class TestCsv:
    def write(self, root: Path, content: str, *names: str) -> Path:
        photos(root, *names)
        (root / "places.csv").write_text(content)
        return root

    def test_columns(self, tmp_path: Path) -> None:
        content = (
            "image,place_id,timestamp,floor,utm_east,utm_north\n"
            "old.jpg,p,20130502_071500,f1,,\nother.jpg,q,20100101_000000,f2,5,6.5\n"
            "new.jpg,p,20130508_182000,f1,1,2\nlast.jpg,q,20090101_000000,f2,,\n"
        )
        names = ("images/old.jpg", "images/new.jpg", "images/other.jpg", "images/last.jpg", "images/unused.jpg")
        places = read_training_places(self.write(tmp_path, content, *names))
        assert places.places == ("p", "q") and places.groups == ("f1", "f2")
        assert [path.name for path in places.images] == ["new.jpg", "old.jpg", "other.jpg", "last.jpg"]
        assert places.positions is not None
        np.testing.assert_array_equal(places.positions, [[1, 2], [5, 6.5]])

    def test_photos_beside_the_csv_and_a_group_by_name(self, tmp_path: Path) -> None:
        content = "image,place,season,clip\na.jpg,p,winter,c1\nb.jpg,p,winter,c2\n"
        root = self.write(tmp_path, content, "a.jpg", "b.jpg")
        assert read_training_places(root).groups == ("c1",)
        assert read_training_places(root / "places.csv", group="season").groups == ("winter",)
        assert "no column weather" in refused(root, group="weather")

    def test_the_first_known_column_groups(self, tmp_path: Path) -> None:
        content = "image,place_id,clip,street,weather\na.jpg,p,c,7,rain\nb.jpg,q,c,8,rain\n"
        root = self.write(tmp_path, content, "images/a.jpg", "images/b.jpg")
        assert read_training_places(root, min_images=1).groups == ("7", "8")  # the street before the clip

    def test_year_and_month_order_photos(self, tmp_path: Path) -> None:
        content = "image,place_id,year,month\na.jpg,p,2019,9\nb.jpg,p,2019,10\nc.jpg,p,2020,1\n"
        places = read_training_places(self.write(tmp_path, content, "images/a.jpg", "images/b.jpg", "images/c.jpg"))
        assert [path.stem for path in places.images] == ["c", "b", "a"]

    def test_a_place_without_a_position(self, tmp_path: Path) -> None:
        content = "image,place_id,lat,lon\na.jpg,p,48.8584,2.2945\nb.jpg,q,,\n"
        places = read_training_places(self.write(tmp_path, content, "a.jpg", "b.jpg"), min_images=1)
        assert places.positions is not None
        assert places.positions[0] == pytest.approx([448252.0, 5411955], abs=1.5)  # the Eiffel tower in zone 31U
        assert np.isnan(places.positions[1]).all()

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("image,place_id\ngone.jpg,p\n", "line 2, column image: 'gone.jpg' is not an image in"),
            ("image,place_id\na.jpg,p\na.jpg,q\n", "line 3, column image: 'a.jpg' is already in line 2"),
            ("image,place_id\na.jpg,\n", "line 2, column place_id: is empty"),
            ("image,spot\na.jpg,p\n", "has no column place_id"),
            (
                "image,place_id,city\na.jpg,p,Rome\nb.jpg,p,Oslo\n",
                "line 3, column city: place 'p' is in 'Rome' and in 'Oslo'",
            ),
            (
                "image,place_id,lat,lon\na.jpg,p,48.8584,2.2945\nb.jpg,p,148.8584,2.2945\n",
                "line 3, column lat, lon: latitude 148.8584",
            ),
            ("image,place_id,lat,lon\na.jpg,p,48.8584,2.2945\nb.jpg,p,48.8584,\n", "line 3, column lon: is empty"),
        ],
    )
    def test_refused(self, tmp_path: Path, content: str, expected: str) -> None:
        assert expected in refused(self.write(tmp_path, content, "a.jpg", "b.jpg"))

    def test_group_is_for_csv_only(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="read as folders"):
            read_training_places(photos(tmp_path, "p/a.jpg", "p/b.jpg"), group="city")


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format='cvs' is unknown; choose one of auto, folders, csv, gsv_cities"):
        read_training_places(photos(tmp_path, "p/a.jpg", "p/b.jpg"), format="cvs")  # type: ignore[arg-type]


def test_the_real_training_photos(shared_data: Path) -> None:
    places = read_training_places(shared_data / "ie_tower_train", min_images=1)
    assert (len(places.places), len(places.images), len(places.overlapping)) == (577, 1695, 791)
    assert len(set(places.groups)) == 19
    assert all(path.is_file() for path in places.images)
    # the file's first place: b0_basement_lift_c030, whose second photo has 61 inliers with the first
    assert [path.name for path in places.images[:2]] == [
        "basement0_b0_basement_lift_c030_frame_000001.jpg",
        "basement0_b0_basement_lift_c030_frame_000002.jpg",
    ]
    assert (places.places[0], places.groups[0]) == ("ie0000", "basement0")
    named = {tuple(places.places[p] for p in pair) for pair in places.overlapping}
    assert {("ie0000", "ie0003"), ("ie0000", "ie0011")} <= named
    assert len(read_training_places(shared_data / "ie_tower_train", min_images=2).places) == 577


def test_a_city_for_training_is_read_with_streets_positions_and_pairs(tmp_path: Path) -> None:
    from fol.data.synthetic import make_city_level

    root = make_city_level(tmp_path / "city", "easy", "train", 4, 0, 56, views=2)
    places = read_training_places(root)
    assert (len(places.places), len(places.images)) == (4, 8)
    assert all(places.groups) and places.positions is not None
    # two directions from each of two spots, which lie at least 62 m apart
    distances = np.hypot(*(places.positions[:, None] - places.positions[None]).transpose(2, 0, 1))
    assert distances[0, 1] < 25 and distances[2, 3] < 25 and distances[:2, 2:].min() > 35
