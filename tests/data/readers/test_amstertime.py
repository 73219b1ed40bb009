"""AmsterTime: pairs by id."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from replicas.amstertime import write_amstertime

from fol.data.readers.amstertime import read_amstertime
from fol.errors import DataError


def test_pairs(tmp_path: Path) -> None:
    photos = read_amstertime(write_amstertime(tmp_path))
    assert [place.name for place in photos.database] == ["2.png", "10.png", "100.png"]
    assert [place.name for place in photos.queries] == ["2.jpg", "10.jpg", "100.jpg"]
    assert [place.metadata["key"] for place in photos.queries] == ["2", "10", "100"]
    assert photos.listed is not None and [row.tolist() for row in photos.listed] == [[0], [1], [2]]
    assert all(place.image.is_file() for place in (*photos.database, *photos.queries))


def test_incomplete_downloads(tmp_path: Path) -> None:
    root = write_amstertime(tmp_path / "@ams")
    (root / "old" / "10.jpg").unlink()
    with pytest.raises(DataError, match=r"10\.png: has no partner 10 in old/"):
        read_amstertime(root)
    (root / "new" / "10.png").unlink()
    (root / "new" / "2.JPG").touch()
    with pytest.raises(DataError, match="has the same id as"):
        read_amstertime(root)
    (root / "new" / "2.JPG").unlink()
    (root / "old" / os.fsdecode(b"\xff.jpg")).touch()
    with pytest.raises(DataError, match=r"has no partner \\udcff in new/"):
        read_amstertime(root)
    (root / "old").rename(root / "archive")
    with pytest.raises(DataError, match="old: no such folder: AmsterTime has new/ and old/"):
        read_amstertime(root)
