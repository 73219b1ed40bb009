"""Pickles of lists of numbers are read, of whatever age; a pickle that wants anything else is refused unrun."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from replicas.npy_ground_truth import object_array

from fol.data.readers import plain_pickle
from fol.data.readers.plain_pickle import load_plain
from fol.errors import DataError


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_lists_and_numbers_of_all_protocols(protocol: int) -> None:
    rows = object_array([[0, 1], np.array([258, 3], ">i4"), (np.int16(4),), range(5, 7), np.array([1.0])])
    rows[4] = np.array([[7, 8], [9, 10]], order="F")
    assert load_plain(pickle.dumps(rows, protocol=protocol), "gt.npy") == [
        [0, 1],
        [258, 3],
        [4],
        [5, 6],
        [[7, 8], [9, 10]],
    ]


def test_pickles_of_python_2() -> None:
    # What Python 2 wrote for numpy.array([1, 2], '<i4') in a list: numbers in a text of 8-bit characters.
    data = (
        b"(lp0\ncnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n(I0\ntp3\nS'b'\np4\ntp5\nRp6\n"
        b"(I1\n(I2\ntp7\ncnumpy\ndtype\np8\n(S'i4'\np9\nI0\nI1\ntp10\nRp11\n(I3\nS'<'\np12\nNNNI-1\nI-1\nI0\ntp13\n"
        b"bI00\nS'\\x01\\x00\\x00\\x00\\xe8\\x03\\x00\\x00'\np14\ntp15\nbac__builtin__\nxrange\n(I2\nI4\ntRa."
    )
    assert load_plain(data, "gt.npy") == [[1, 1000], [2, 3]]


class Calls:
    """Unpickling it makes a file, if it is let."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_something_is_refused_in_one_line(tmp_path: Path, protocol: int) -> None:
    victim = tmp_path / "victim"
    attacks = [
        Calls(os.system, f"touch {victim}"),
        Calls(eval, f"open({str(victim)!r}, 'w')"),
        Calls(os.mkdir, str(victim)),
        Calls(np.save, str(victim), [1]),
        Calls(getattr, "text", "__class__"),
    ]
    for attack in attacks:
        data = pickle.dumps(object_array([[0], attack]), protocol=protocol)
        with pytest.raises(DataError, match=r"^gt\.npy: asks for '.+' while it is loaded") as error:
            load_plain(data, "gt.npy")
        assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_attacks_would_work_unchecked(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Calls(os.mkdir, str(tmp_path / "victim"))))
    assert (tmp_path / "victim").is_dir()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is damaged"),
        (b"\x80\x04.", "is damaged"),
        (pickle.dumps([1, 2])[:-1], "is damaged"),
        (pickle.dumps({"positives": [1]}), "holds dict"),
        (pickle.dumps([None]), "holds NoneType"),
        (pickle.dumps(np.array(["1"])), "not of numbers"),
        (b"cnumpy\nload\n.", "asks for 'numpy.load'"),
        (b"cmultiarray\n_reconstruct\n.", "asks for 'multiarray._reconstruct'"),
        (b"cnumpy\ndtype\n(NN}tb.", "is damaged"),  # tries to change the class that stands for dtype
        (b"cbuiltins\nrange\n(I1000000000000\ntR.", "holds a list of 1000000000000 items"),
        (b"(lp0\ng0\na.", "is damaged"),  # a list that holds itself
    ],
)
def test_what_is_no_list_of_numbers(data: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        load_plain(data, "gt.npy")


def test_repetition_does_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_pickle, "MOST_ITEMS", 1000)
    long = list(range(100))
    with pytest.raises(DataError, match="more than 1000 items"):
        load_plain(pickle.dumps([long] * 100), "gt.npy")  # the list is in the file once
