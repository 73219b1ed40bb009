"""VPR-Bench folders: ground truth by file, by number, or by frames alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from replicas.vpr_bench import write_sped, write_vpr_bench

from fol.data.photo_set import PhotoSet
from fol.data.readers.positives_file import convert_npy
from fol.data.readers.vpr_bench import read_vpr_bench
from fol.errors import DataError


def listed(photos: PhotoSet) -> list[list[int]]:
    assert photos.listed is not None
    return [row.tolist() for row in photos.listed]


def test_corridor(tmp_path: Path) -> None:
    root = write_vpr_bench(tmp_path / "datasets@home" / "corridor")
    with pytest.raises(DataError, match=r"ground_truth_new\.npy: holds a pickle.*fol data convert-npy"):
        read_vpr_bench(root)
    convert_npy(root / "ground_truth_new.npy")
    photos = read_vpr_bench(root)
    assert [place.name for place in photos.database] == [f"000000{i}.jpg" for i in range(5)]
    assert all(place.image.is_file() for place in (*photos.database, *photos.queries))
    assert listed(photos) == [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4]]
    assert photos.database[0].metadata == {}


def test_sped_by_file_and_by_number(tmp_path: Path) -> None:
    root = write_sped(tmp_path)
    assert listed(read_vpr_bench(root)) == [[0], [1], [2]]
    (root / "SPED_gt.npy").unlink()
    assert listed(read_vpr_bench(root, same_number=True)) == [[0], [1], [2]]
    with pytest.raises(DataError, match=r"has no ground_truth_new\.npy"):
        read_vpr_bench(root)


def test_ground_truth_elsewhere(tmp_path: Path) -> None:
    root = write_sped(tmp_path / "SPED")
    elsewhere = tmp_path / "SPED_gt.npy"
    np.save(elsewhere, np.array([[2], [1], [0]]))
    assert listed(read_vpr_bench(root, ground_truth=elsewhere)) == [[2], [1], [0]]
    with pytest.raises(DataError, match="no such file"):
        read_vpr_bench(root, ground_truth=tmp_path / "other.npy")
    np.save(root / "ESSEX_gt.npy", np.array([[0]]))
    with pytest.raises(DataError, match="has ground truth of ESSEX_gt, SPED_gt: say which"):
        read_vpr_bench(root)


def test_frames_of_the_queries_count_reference_photos(tmp_path: Path) -> None:
    root = write_vpr_bench(tmp_path, references=5, queries=3)
    (root / "ground_truth_new.npy").unlink()
    photos = read_vpr_bench(root, frames_per_query=2)
    assert [place.metadata["frame"] for place in photos.database] == ["0", "1", "2", "3", "4"]
    assert [place.metadata["frame"] for place in photos.queries] == ["0", "2", "4"]
    assert photos.listed is None
    with pytest.raises(DataError, match="3 queries, one in 3 frames, are more than 5 reference photos show"):
        read_vpr_bench(root, frames_per_query=3)


def test_pairs_of_a_numeric_file(tmp_path: Path) -> None:
    root = write_vpr_bench(tmp_path, queries=2)
    np.save(root / "ground_truth_new.npy", np.array([[0.0, 3.0], [1.0, 4.0]]))
    assert listed(read_vpr_bench(root)) == [[3], [4]]


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        ([[0], [1]], "has 2 rows, but there are 3 queries"),
        ([[0], [1], [3]], "query 2: positive 3 is out of range"),
    ],
)
def test_ground_truth_that_does_not_fit(tmp_path: Path, truth: list[list[int]], reason: str) -> None:
    root = write_sped(tmp_path)
    np.save(root / "SPED_gt.npy", np.array(truth))
    with pytest.raises(DataError, match=reason):
        read_vpr_bench(root)


def test_what_is_missing(tmp_path: Path) -> None:
    root = write_sped(tmp_path)
    (root / "ref" / "0000002.jpg").unlink()
    with pytest.raises(DataError, match=r"0000002\.jpg: there is no photo 2 in .*ref"):
        read_vpr_bench(root, same_number=True)
    (root / "ref").rename(root / "database")
    with pytest.raises(DataError, match="has no folder ref/"):
        read_vpr_bench(root)


def test_a_name_that_is_not_utf_8_is_shown(tmp_path: Path) -> None:
    root = write_sped(tmp_path)
    (root / "query" / os.fsdecode(b"\xff.jpg")).touch()
    with pytest.raises(DataError, match=r"\\udcff\.jpg: the name must be the photo's number"):
        read_vpr_bench(root)
