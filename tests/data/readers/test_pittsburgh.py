"""Pitts30k and Pitts250k from their .mat files, and files that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from replicas.dbstruct import cells, fields, write_mat
from replicas.pittsburgh import DATABASE, QUERIES, write_pittsburgh

from fol.data.coordinates import within_radius
from fol.data.readers.pittsburgh import read_dbstruct
from fol.errors import DataError


def test_photos_in_the_order_of_the_list(tmp_path: Path) -> None:
    photos = read_dbstruct(write_pittsburgh(tmp_path), tmp_path)
    assert [place.name for place in photos.database] == [name for name, *_ in DATABASE]
    assert [place.name for place in photos.queries] == [name for name, *_ in QUERIES]
    assert all(place.image.is_file() for place in (*photos.database, *photos.queries))
    assert photos.queries[2].image == tmp_path / "queries_real" / "000" / "000546_pitch2_yaw12.jpg"
    assert photos.queries[2].metadata == {"panorama": "queries_real/000/000546", "note": "pitch2_yaw12"}
    assert {place.metadata["panorama"] for place in photos.database} == {"000/000829", "001/001400"}
    position = photos.database[0].position
    assert position is not None and photos.database[0].heading is None
    assert (position.easting, position.northing, position.zone) == (584582.31, 4477135.22, "17T")
    assert (position.latitude, position.longitude) == pytest.approx((40.44, -80.0), abs=0.01)


def test_positives_at_25_metres_inclusive(tmp_path: Path) -> None:
    photos = read_dbstruct(write_pittsburgh(tmp_path, pictures=False), tmp_path)
    queries = [place.position for place in photos.queries]
    found = within_radius(queries, [place.position for place in photos.database], 25.0)  # type: ignore[arg-type]
    assert [indices.tolist() for indices in found] == [list(range(25)), list(range(25)), list(range(24))]


def test_queries_in_a_folder_of_their_own(tmp_path: Path) -> None:
    """As OpenIBL arranges them."""
    mat = write_pittsburgh(tmp_path)
    (tmp_path / "queries_real").rename(tmp_path / "queries")
    assert read_dbstruct(mat, tmp_path, tmp_path / "queries").queries[0].image.is_file()


def test_extensions_of_another_case(tmp_path: Path) -> None:
    mat = write_pittsburgh(tmp_path)
    old = tmp_path / DATABASE[0][0]
    old.rename(old.with_suffix(".JPG"))
    assert read_dbstruct(mat, tmp_path).database[0].image == old.with_suffix(".JPG")


def test_a_folder_with_an_at_sign(tmp_path: Path) -> None:
    root = tmp_path / "pitts@cmu"
    assert read_dbstruct(write_pittsburgh(root), root).database[0].image.is_file()


def variant(tmp_path: Path, **changes: Any) -> Path:
    """A .mat file with other fields; None leaves one out."""
    struct = fields("test", DATABASE, QUERIES) | changes
    return write_mat(tmp_path / "other.mat", {name: value for name, value in struct.items() if value is not None})


def test_coordinates_one_photo_per_row(tmp_path: Path) -> None:
    rows = np.array([point for _, *point in DATABASE])
    assert rows.shape == (25, 2)
    photos = read_dbstruct(variant(tmp_path, utmDb=rows), tmp_path)
    assert photos.database == read_dbstruct(variant(tmp_path), tmp_path).database


def test_two_photos_have_a_coordinate_per_row(tmp_path: Path) -> None:
    two = np.array([[584582.31, 584607.31], [4477135.22, 4477140.0]])
    names = cells(["000/a_pitch1_yaw1.jpg", "000/b_pitch1_yaw1.jpg"])
    position = read_dbstruct(variant(tmp_path, qImageFns=names, utmQ=two), tmp_path).queries[1].position
    assert position is not None and (position.easting, position.northing) == (584607.31, 4477140.0)


def test_other_spellings_of_the_fields(tmp_path: Path) -> None:
    names = cells([name for name, *_ in QUERIES])
    photos = read_dbstruct(variant(tmp_path, qImageFns=None, qImage=names), tmp_path)
    assert [place.name for place in photos.queries] == [name for name, *_ in QUERIES]


def test_names_in_a_matrix_of_characters(tmp_path: Path) -> None:
    names = np.array([name for name, *_ in QUERIES])  # MATLAB pads the shorter ones with blanks
    photos = read_dbstruct(variant(tmp_path, qImageFns=names), tmp_path)
    assert [place.name for place in photos.queries] == [name for name, *_ in QUERIES]


def problem(mat: Path, root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_dbstruct(mat, root)
    assert "\n" not in str(caught.value) and str(mat) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"utmQ": None}, "dbStruct has no field utmQ (it has whichSet, dbImageFns, utmDb, qImageFns,"),
        ({"dbImageFns": None}, "dbStruct has no field dbImageFns"),
        ({"utmDb": np.zeros((2, 24))}, "field utmDb: is 2x24, but 25 photos are listed"),
        ({"utmDb": np.zeros((3, 25))}, "field utmDb: must be numbers, 2 for each photo"),
        ({"utmQ": np.full((2, 3), np.nan)}, "field utmQ: has values that are not finite"),
        ({"utmQ": np.ones((2, 3))}, "000/000097_pitch1_yaw1.jpg: easting 1.0 is out of range"),
        ({"qImageFns": cells(["a.jpg", "b.jpg", "a.jpg"])}, "field qImageFns: lists a.jpg twice"),
        ({"qImageFns": np.ones((3, 1))}, "field qImageFns: has a cell without a file name"),
        ({"qImageFns": cells(["a.jpg", "../b.jpg", "c.jpg"])}, "'../b.jpg' is no path below"),
    ],
)
def test_fields_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    assert words in problem(variant(tmp_path, **changes), tmp_path)


def test_files_without_the_structure(tmp_path: Path) -> None:
    mat = tmp_path / "dbfnames.mat"
    scipy.io.savemat(mat, {"dbfnames": cells(["a.jpg"])})
    assert "has no structure dbStruct (it holds dbfnames)" in problem(mat, tmp_path)
    scipy.io.savemat(mat, {"dbStruct": np.eye(3)})
    assert "has no structure dbStruct" in problem(mat, tmp_path)


def test_files_that_are_no_mat_files(tmp_path: Path) -> None:
    mat = tmp_path / "pitts30k_test.mat"
    assert "cannot be read" in problem(mat, tmp_path)
    mat.write_bytes(b"")
    assert "is not a whole .mat file" in problem(mat, tmp_path)
    mat.write_text("<html>404 Not Found</html>" * 20)
    assert "is not a whole .mat file" in problem(mat, tmp_path)
    whole = write_pittsburgh(tmp_path / "whole", pictures=False).read_bytes()
    mat.write_bytes(whole[: len(whole) // 2])
    assert "is not a whole .mat file" in problem(mat, tmp_path)


def test_matlab_7_3(tmp_path: Path) -> None:
    mat = tmp_path / "pitts30k_test.mat"
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124)
    mat.write_bytes(text + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" + bytes(500))
    said = problem(mat, tmp_path)
    assert "MATLAB 7.3" in said and "-v7" in said
