"""Lists of positives by number, and the conversion of pickled ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from replicas.npy_ground_truth import object_array

from fol.data.readers.positives_file import convert_npy, find_positives, read_index, read_names, read_positives
from fol.errors import DataError


def test_numeric_files_are_read_as_they_are(tmp_path: Path) -> None:
    column, rows, pairs = (tmp_path / f"{name}.npy" for name in ("column", "rows", "pairs"))
    np.save(column, np.array([[2], [0], [1]]))
    np.save(rows, np.array([[2, 1], [0, 0]], np.uint16))
    np.save(pairs, np.array([[0.0, 2.0], [1.0, 0.0]]))
    assert [row.tolist() for row in read_positives(column, 3, 3)] == [[2], [0], [1]]
    assert [row.tolist() for row in read_positives(rows, 2, 3)] == [[1, 2], [0]]
    found = read_positives(pairs, 2, 3, pairs=True)
    assert [row.tolist() for row in found] == [[2], [0]]
    assert all(row.dtype == np.int64 for row in found)


def test_pickles_wait_for_the_conversion(tmp_path: Path) -> None:
    path = tmp_path / "set_gt.npy"
    np.save(path, object_array([[1, 0], np.array([2]), []]), allow_pickle=True)
    with pytest.raises(DataError, match=rf"run once: fol data convert-npy {path}$"):
        read_positives(path, 3, 3)
    assert find_positives(tmp_path, ["set_gt"]) == path
    assert convert_npy(path) == tmp_path / "set_gt.json"
    assert json.loads((tmp_path / "set_gt.json").read_text()) == {
        "format": "fol.ground_truth/1",
        "positives": [[1, 0], [2], []],
    }
    assert find_positives(tmp_path, ["set_gt"]) == tmp_path / "set_gt.json"
    assert [row.tolist() for row in read_positives(tmp_path / "set_gt.json", 3, 3)] == [[0, 1], [2], []]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set_gt.json", "set_gt.npy"]
    assert convert_npy(path, tmp_path / "other.json").read_bytes() == (tmp_path / "set_gt.json").read_bytes()


@pytest.mark.parametrize("as_table", [True, False])
def test_rows_of_query_and_positives(tmp_path: Path, as_table: bool) -> None:
    rows = [[0, [0, 1]], [1, np.array([4])], [2, range(1, 3)]]
    array = np.empty((3, 2), object) if as_table else object_array(rows)
    for index, row in enumerate(rows):
        if as_table:
            array[index, 0], array[index, 1] = row
    path = tmp_path / "ground_truth_new.npy"
    np.save(path, array, allow_pickle=True)
    assert json.loads(convert_npy(path).read_text())["positives"] == [[0, 1], [4], [1, 2]]


def test_two_positives_each_are_no_pairs(tmp_path: Path) -> None:
    path = tmp_path / "set_gt.npy"
    np.save(path, np.array([[0, 1], [1, 2]], object), allow_pickle=True)
    assert json.loads(convert_npy(path).read_text())["positives"] == [[0, 1], [1, 2]]


def test_rows_out_of_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ground_truth_new.npy"
    np.save(path, object_array([[1, [0]], [0, [1]]]), allow_pickle=True)
    with pytest.raises(DataError, match="not in the order of the queries"):
        convert_npy(path)


def test_a_malicious_file_leaves_nothing_behind(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {tmp_path / 'victim'}",)

    path = tmp_path / "set_gt.npy"
    np.save(path, object_array([[0], Attack()]), allow_pickle=True)
    with pytest.raises(DataError, match=r"set_gt\.npy: asks for '(posix|nt)\.system'"):
        convert_npy(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("[[0]]", 'lacks "format": "fol.ground_truth/1"'),
        ('{"format": "other", "positives": [[0]]}', 'lacks "format"'),
        ('{"format": "fol.ground_truth/1"}', '"positives" must be a list'),
        ('{"format": "fol.ground_truth/1", "positives": [[0], [true]]}', "query 1: .* is no list of indices"),
        ('{"format": "fol.ground_truth/1", "positives": [[0], ["1"]]}', "query 1: .* is no list of indices"),
        ('{"format": "fol.ground_truth/1", "positives": [[0]]}', "has 1 rows, but there are 2 queries"),
        ('{"format": "fol.ground_truth/1", "positives": [[0], [1, 3]]}', "query 1: positive 3 is out of range"),
        ('{"format": "fol.ground_truth/1", "positives": [[-1], [1]]}', "query 0: positive -1 is out of range"),
        ('{"format"', "is not JSON"),
    ],
)
def test_bad_json(tmp_path: Path, document: str, reason: str) -> None:
    path = tmp_path / "set_gt.json"
    path.write_text(document)
    with pytest.raises(DataError, match=rf"set_gt\.json.*{reason}"):
        read_positives(path, 2, 3)


def test_bad_npy(tmp_path: Path) -> None:
    path = tmp_path / "set_gt.npy"
    with pytest.raises(DataError, match="cannot be read"):
        read_positives(path, 1, 1)
    path.write_bytes(b"no array")
    for read in (lambda: read_positives(path, 1, 1), lambda: convert_npy(path), lambda: read_names(path)):
        with pytest.raises(DataError, match=r"is no \.npy file, or damaged"):
            read()
    np.save(path, np.array([0.5]))
    with pytest.raises(DataError, match=r"query 0: '0\.5' is no index"):
        read_positives(path, 1, 1)
    np.save(path, np.array(["a"]))
    with pytest.raises(DataError, match="but rows of indices are needed"):
        read_positives(path, 1, 1)
    np.save(path, np.arange(8))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged"):
        read_positives(path, 8, 8)


def test_names_and_indices(tmp_path: Path) -> None:
    path = tmp_path / "list.npy"
    np.save(path, np.array([b"a.jpg", b"\xff.jpg"]))
    assert read_names(path) == ["a.jpg", "\udcff.jpg"]
    np.save(path, np.array([2, 0]))
    assert read_index(path, 3) == [2, 0]
    with pytest.raises(DataError, match="a list of file names is needed"):
        read_names(path)
    with pytest.raises(DataError, match="indices from 0 to 1"):
        read_index(path, 2)
