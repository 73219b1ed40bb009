"""Folders of ``@`` names: SF-XL, SVOX, and what is refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from replicas.at_layout import SF_XL, SVOX, write_sf_xl, write_svox

from fol.data.coordinates import within_radius
from fol.data.readers.at_layout import read_at_layout
from fol.errors import DataError
from fol.types import Position


def test_sf_xl(tmp_path: Path) -> None:
    photos = read_at_layout(write_sf_xl(tmp_path), queries="queries_v1")
    assert [place.name for place in photos.database] == [
        f"0545981.19/{SF_XL['database'][0]}",
        f"0545981.19/{SF_XL['database'][1]}",
        f"0546500.00/{SF_XL['database'][2]}",
    ]
    first = photos.database[0]
    assert first.position == Position(545981.19, 4184971.70, "10S", 37.81098, -122.47762)
    assert first.heading == 174 and first.image.is_file()
    assert first.metadata == {"panorama": "rtCs5-P_9NGDzUbKyzStWA", "timestamp": "201409"}
    assert [place.name for place in photos.queries] == list(SF_XL["queries_v1"])
    assert photos.listed is None and photos.root == tmp_path


@pytest.mark.parametrize(("queries", "expected"), [("queries_v1", [0, 1]), ("queries_v2", [2]), ("queries_night", [2])])
def test_each_set_of_queries_has_the_same_database(tmp_path: Path, queries: str, expected: list[int]) -> None:
    # 5.0 m from the first panorama; 10 m and 14.1 m from the second one, which is 519 m away from the first
    photos = read_at_layout(write_sf_xl(tmp_path), queries=queries)
    query = [place.position for place in photos.queries]
    database = [place.position for place in photos.database]
    assert within_radius(query, database, 25.0)[0].tolist() == expected  # type: ignore[arg-type]


def test_svox_has_a_gallery_and_a_note(tmp_path: Path) -> None:
    photos = read_at_layout(write_svox(tmp_path), queries="queries_night")
    assert [place.name for place in photos.database] == list(SVOX["gallery"])
    assert photos.queries[0].metadata == {"timestamp": "20141216", "note": "night"}
    assert read_at_layout(tmp_path, "gallery", "queries").queries[0].metadata == {"timestamp": "20150213"}


def test_the_folder_of_a_split_may_be_given(tmp_path: Path) -> None:
    write_svox(tmp_path)
    assert len(read_at_layout(tmp_path / "images" / "test").database) == 1


def test_coordinates_without_a_zone_are_local(tmp_path: Path) -> None:
    for folder, name in (
        ("database", "@0@000238.0@@@@@100@@@@@@@@.jpg"),
        ("queries", "@0@000214.2@@@@@90@@@@@@@@.JPEG"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    photos = read_at_layout(tmp_path)
    assert photos.database[0].position == Position(0, 238.0)
    assert photos.queries[0].metadata == {"panorama": "90"}


def test_folders_with_an_at_sign_hidden_files_and_other_files(tmp_path: Path) -> None:
    root = tmp_path / "me@home@now"
    write_svox(root)
    gallery = root / "images" / "test" / "gallery"
    (gallery / ".DS_Store").touch()
    (gallery / "readme@old.txt").touch()
    inside = gallery / "@part 1@"
    inside.mkdir()
    (inside / "@1620000.00@5735000.00@.jpg").touch()
    photos = read_at_layout(root)
    assert [place.name for place in photos.database] == [*SVOX["gallery"], "@part 1@/@1620000.00@5735000.00@.jpg"]
    assert photos.queries[0].image == root / "images" / "test" / "queries" / SVOX["queries"][0]


@pytest.mark.skipif(sys.platform == "win32", reason="file names are Unicode there")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    write_svox(tmp_path)
    name = b"@0620000.00@5735000.00@30@U@@@caf\xe9@@@@@@@@.jpg"
    folder = os.fsencode(tmp_path / "images" / "test" / "queries")
    Path(os.fsdecode(folder + b"/" + name)).touch()
    query = next(place for place in read_at_layout(tmp_path).queries if "caf" in place.name)
    assert query.name == "@0620000.00@5735000.00@30@U@@@caf\\xe9@@@@@@@@.jpg"
    assert query.image.is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_to_folders_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    write_svox(tmp_path)
    gallery = tmp_path / "images" / "test" / "gallery"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "@0620001.00@5735000.00@30@U@.jpg").touch()
    (gallery / "more").symlink_to(tmp_path / "elsewhere")
    (gallery / "again").symlink_to(gallery)
    assert len(read_at_layout(tmp_path).database) == 2


def problem(root: Path, **options: str) -> str:
    with pytest.raises(DataError) as caught:
        read_at_layout(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_folders_name_those_that_are_there(tmp_path: Path) -> None:
    write_sf_xl(tmp_path)
    said = problem(tmp_path, queries="queries_v9")
    assert "queries_v9: no such folder" in said and "queries_night, queries_v1, queries_v2" in said
    assert "no folder gallery" in problem(tmp_path, database="gallery") and "test" in problem(
        tmp_path, database="gallery"
    )
    assert "no such folder" in problem(tmp_path / "gone")


def test_empty_database(tmp_path: Path) -> None:
    (tmp_path / "database").mkdir()
    (tmp_path / "queries").mkdir()
    assert "database: holds no images named @east@north@..." in problem(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"), [("photo.jpg", "photo.jpg: the name does not start with @"), ("@12a@3@.jpg", "field UTM_east")]
)
def test_an_image_without_a_label_is_refused(tmp_path: Path, name: str, words: str) -> None:
    write_svox(tmp_path)
    (tmp_path / "images" / "test" / "queries" / name).touch()
    said = problem(tmp_path)
    assert words in said and str(tmp_path / "images" / "test" / "queries" / name) in said
