"""Numbered photos: order by number, and gaps that would shift the ground truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from fol.data.readers.numbered_images import numbered_images
from fol.errors import DataError


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["10.jpg", "9.JPG", "8.png"], [8, 9, 10]),
        (["0000000.jpg", "0000010.jpg", "0000020.jpg"], [0, 10, 20]),
        (["b/3.png", "a/4.png"], [3, 4]),
        (["7.jpg", "Readme.txt", ".hidden.jpg"], [7]),
    ],
)
def test_order(tmp_path: Path, names: list[str], numbers: list[int]) -> None:
    found = numbered_images(folder_of(tmp_path, *names))
    assert list(found) == numbers
    assert [int(path.stem) for path in found.values()] == numbers


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["0.jpg", "1.jpg", "3.jpg"], "photo 2 is missing between 1.jpg and 3.jpg"),
        (["0.jpg", "10.jpg", "15.jpg"], "photo 5 is missing between 0.jpg and 10.jpg"),
        (["1.jpg", "01.jpg"], "has the same number as"),
        (["1.jpg", "1.png"], "has the same number as"),
        (["1.jpg", "@2.jpg"], "the name must be the photo's number"),
        (["1.jpg", "².jpg"], "the name must be the photo's number"),
        (["Readme.txt"], "holds no images"),
    ],
)
def test_refused(tmp_path: Path, names: list[str], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        numbered_images(folder_of(tmp_path, *names))
