"""Sets given as ``.npy`` lists, under the names of gsv-cities and OpenVPRLab."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from replicas.npy_ground_truth import object_array, write_nordland_lists, write_npy_set

from fol.data.readers.npy_ground_truth import read_npy_ground_truth
from fol.data.readers.positives_file import convert_npy
from fol.errors import DataError


def test_nordland_after_conversion(tmp_path: Path) -> None:
    lists = tmp_path / "datasets" / "Nordland"
    truth = write_nordland_lists(lists)
    with pytest.raises(DataError, match="fol data convert-npy"):
        read_npy_ground_truth(tmp_path, "Nordland", lists)
    convert_npy(truth)
    photos = read_npy_ground_truth(tmp_path, "Nordland", lists)
    assert (len(photos.database), len(photos.queries)) == (30, 3)
    assert photos.queries[2].name == "query/0000002.jpg"
    assert photos.queries[2].image == tmp_path / "query" / "0000002.jpg"  # not downloaded, and not asked for
    assert photos.listed is not None
    assert [row.tolist() for row in photos.listed] == [[0, 1], [9, 10, 11], [19, 20, 21]]


def test_one_to_one_needs_no_conversion(tmp_path: Path) -> None:
    names = [f"{i:07d}.jpg" for i in range(4)]
    truth = np.arange(4).reshape(4, 1)
    write_npy_set(tmp_path, "SPED", [f"ref/{n}" for n in names], [f"query/{n}" for n in names], truth)
    listed = read_npy_ground_truth(tmp_path, "SPED").listed
    assert listed is not None and [row.tolist() for row in listed] == [[0], [1], [2], [3]]


def test_names_of_openvprlab_and_of_msls(tmp_path: Path) -> None:
    suffixes = ("ref_image_names", "query_image_names", "ground_truth_25m")
    write_npy_set(tmp_path, "lab", ["cph/a.jpg", "sf/b.jpg"], ["cph/q.jpg"], np.array([[1]]), suffixes)
    photos = read_npy_ground_truth(tmp_path, "lab")
    assert [place.name for place in photos.database] == ["cph/a.jpg", "sf/b.jpg"]
    assert photos.listed is not None and photos.listed[0].tolist() == [1]
    write_npy_set(
        tmp_path, "msls_val", ["a.jpg", "b.jpg"], ["q0.jpg", "q1.jpg", "q2.jpg"], np.array([[1], [0]]), (
            "dbImages", "qImages", "pIdx",
        )
    )  # fmt: skip
    np.save(tmp_path / "msls_val_qIdx.npy", np.array([2, 0]))
    photos = read_npy_ground_truth(tmp_path, "msls_val")
    assert [place.name for place in photos.queries] == ["q2.jpg", "q0.jpg"]


def test_files_whose_case_or_extension_differs(tmp_path: Path) -> None:
    (tmp_path / "ref@1").mkdir()
    for name in ("A.JPG", "b.png", "c.jpg", "c.png", "d.txt"):
        (tmp_path / "ref@1" / name).touch()
    listed = [f"ref@1/{name}" for name in ("a.jpg", "B.jpg", "c.jpg", "C.PNG", "d.jpg", "e.jpg")]
    write_npy_set(tmp_path, "set", listed, ["q.jpg"], np.array([[0]]))
    photos = read_npy_ground_truth(tmp_path, "set")
    assert [place.image.name for place in photos.database] == ["A.JPG", "b.png", "c.jpg", "c.png", "d.jpg", "e.jpg"]
    assert [place.name for place in photos.database] == listed


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    write_npy_set(tmp_path, "set", ["a.jpg"], ["q.jpg"], np.array([[0]]))
    np.save(tmp_path / "set_dbImages.npy", np.array([b"caf\xe9.jpg"]))
    place = read_npy_ground_truth(tmp_path, "set").database[0]
    assert place.name == "caf\\xe9.jpg" and place.image.is_file()


@pytest.mark.parametrize(
    ("database", "truth", "reason"),
    [
        (["a.jpg", "b.jpg"], [[0], [1]], "has 2 rows, but there are 1 queries"),
        (["a.jpg", "b.jpg"], [[2]], "positive 2 is out of range"),
        (["a.jpg", "a.jpg"], [[0]], "lists 'a.jpg' twice"),
        (["../a.jpg"], [[0]], r"'\.\./a\.jpg' is no path below"),
        (["/etc/hostname"], [[0]], "is no path below"),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, database: list[str], truth: list[list[int]], reason: str) -> None:
    write_npy_set(tmp_path, "set", database, ["q.jpg"], np.array(truth))
    with pytest.raises(DataError, match=reason):
        read_npy_ground_truth(tmp_path, "set")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: no such folder; it should hold set_dbImages\.npy or set_ref"):
        read_npy_ground_truth(tmp_path / "absent", "set")
    truth = write_npy_set(tmp_path, "SPED", ["a.jpg"], ["q.jpg"], np.array([[0]]))
    with pytest.raises(DataError, match=r"has no Sped_dbImages\.npy.*it has files of SPED"):
        read_npy_ground_truth(tmp_path, "Sped")
    truth.unlink()
    with pytest.raises(DataError, match=r"has no SPED_gt\.npy or SPED_gt_25m\.npy"):
        read_npy_ground_truth(tmp_path, "SPED")
    np.save(tmp_path / "SPED_dbImages.npy", object_array(["a.jpg"]), allow_pickle=True)
    with pytest.raises(DataError, match=r"SPED_dbImages\.npy: holds a pickle"):
        read_npy_ground_truth(tmp_path, "SPED")
