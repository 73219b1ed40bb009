"""Tokyo 24/7 and Tokyo Time Machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from replicas.dbstruct import fields, write_mat
from replicas.tokyo import (
    DATABASE,
    FIRST,
    QUERIES,
    SECOND,
    TM_DATABASE,
    TM_QUERIES,
    write_tokyo247,
    write_tokyo_tm,
)

from fol.data.coordinates import within_radius
from fol.data.photo_set import PhotoSet
from fol.data.protocol import Protocol, apply_protocol
from fol.data.readers.tokyo import read_tokyo247, read_tokyo_tm
from fol.errors import DataError


def positives(photos: PhotoSet) -> list[list[int]]:
    queries = [place.position for place in photos.queries]
    found = within_radius(queries, [place.position for place in photos.database], 25.0)  # type: ignore[arg-type]
    return [indices.tolist() for indices in found]


def test_database_is_listed_as_jpg_and_lies_as_png(tmp_path: Path) -> None:
    photos = read_tokyo247(*write_tokyo247(tmp_path))
    assert [place.name for place in photos.database] == [name for name, *_ in DATABASE]
    assert {place.image.suffix for place in photos.database} == {".png"}
    assert all(place.image.is_file() for place in (*photos.database, *photos.queries))
    panoramas = [place.metadata["panorama"] for place in photos.database]
    first, second = f"03814/381462.92_3946411.45/{FIRST}", f"03815/381502.92_3946411.45/{SECOND}"
    assert panoramas == [first] * 12 + [second] * 12
    assert [place.metadata["tile_num"] for place in photos.database[:12]] == [f"{tile:02d}" for tile in range(12)]
    position = photos.database[0].position
    assert position is not None and position.zone == "54S" and photos.database[0].heading is None


def test_files_that_are_not_there_yet_are_expected_as_png(tmp_path: Path) -> None:
    photos = read_tokyo247(*write_tokyo247(tmp_path, pictures=False))
    assert {place.image.suffix for place in photos.database} == {".png"}
    assert [place.image.name for place in photos.queries] == [name for name, *_ in QUERIES]


def test_files_converted_to_jpg_are_found(tmp_path: Path) -> None:
    mat, images, queries = write_tokyo247(tmp_path)
    old = images / DATABASE[3][0].replace(".jpg", ".png")
    old.rename(old.with_suffix(".jpg"))
    assert read_tokyo247(mat, images, queries).database[3].image == old.with_suffix(".jpg")


def test_queries_from_their_tables(tmp_path: Path) -> None:
    photos = read_tokyo247(*write_tokyo247(tmp_path))
    assert [place.name for place in photos.queries] == ["00001.jpg", "00002.jpg", "00003.jpg"]
    assert [place.metadata for place in photos.queries] == [{"note": "day"}, {"note": "sunset"}, {"note": "night"}]
    assert positives(photos) == [list(range(12, 24))] * 3  # 40 and 0 m
    position = photos.queries[0].position
    assert position is not None and (position.easting, position.northing) == pytest.approx(
        (381502.92, 3946411.45), abs=0.01
    )


def test_queries_from_the_list(tmp_path: Path) -> None:
    photos = read_tokyo247(*write_tokyo247(tmp_path, tables=False))
    assert [place.name for place in photos.queries] == [name for name, *_ in QUERIES]
    assert [place.metadata for place in photos.queries] == [{"note": "day"}, {"note": "sunset"}, {"note": "night"}]
    assert positives(photos) == [list(range(12))] * 3  # 10 and 30 m


def test_one_view_of_each_panorama_counts(tmp_path: Path) -> None:
    protocol = Protocol("tokyo247@test", "", one_per="panorama")
    dataset = apply_protocol(read_tokyo247(*write_tokyo247(tmp_path, tables=False)), protocol)
    assert dataset.rules.one_per is not None
    assert dataset.rules.one_per.tolist() == [0] * 12 + [1] * 12  # as MATLAB's floor((index - 1) / 12)


def test_names_of_another_form_go_by_their_folder(tmp_path: Path) -> None:
    listed = [("03814/place 1/view_1.jpg", *DATABASE[0][1:]), ("03814/place 2/view_1.jpg", *DATABASE[0][1:])]
    mat = write_mat(tmp_path / "tokyo247.mat", fields("test", listed, QUERIES))
    photos = read_tokyo247(mat, tmp_path / "images", tmp_path / "queries")
    assert [place.metadata for place in photos.database] == [
        {"panorama": "03814/place 1"},
        {"panorama": "03814/place 2"},
    ]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("00001.jpg,35.6\n", "line 1: has 2 cells"),
        ("name,lat,lon\n", "line 1: 'lat' is not a number"),
        ("00001.jpg,135.6,139.7\n", "line 1: latitude 135.6 is out of range"),
        ("00002.jpg,35.6,139.7\n", "line 1: 00002.jpg has coordinates already"),
        ("/etc/x.jpg,35.6,139.7\n", "'/etc/x.jpg' is no path below"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, table: str, words: str) -> None:
    mat, images, queries = write_tokyo247(tmp_path)
    name = "00009.csv" if "already" in words else "00001.csv"
    (queries / name).write_text(table)
    with pytest.raises(DataError) as caught:
        read_tokyo247(mat, images, queries)
    assert words in str(caught.value) and str(queries / name) in str(caught.value) and "\n" not in str(caught.value)


def test_tables_that_are_not_utf8(tmp_path: Path) -> None:
    mat, images, queries = write_tokyo247(tmp_path)
    (queries / "00001.csv").write_bytes(b"caf\xe9.jpg,35.6,139.7\n")
    with pytest.raises(DataError, match="is not a CSV file"):
        read_tokyo247(mat, images, queries)


def test_time_machine(tmp_path: Path) -> None:
    photos = read_tokyo_tm(*write_tokyo_tm(tmp_path))
    assert [place.name for place in photos.database] == [name for name, *_ in TM_DATABASE]
    assert [place.name for place in photos.queries] == [name for name, *_ in TM_QUERIES]
    assert [place.metadata["timestamp"] for place in photos.database] == ["200902", "201305"]
    assert photos.queries[0].metadata == {
        "panorama": f"00/p1/y201305/{SECOND}",
        "tile_num": "11",
        "timestamp": "201305",
    }
    assert all(place.image.is_file() for place in (*photos.database, *photos.queries))


def test_time_machine_needs_its_time_stamps(tmp_path: Path) -> None:
    mat, images, _ = write_tokyo247(tmp_path, pictures=False)
    with pytest.raises(DataError, match="has no field dbTimeStamp"):
        read_tokyo_tm(mat, images)
