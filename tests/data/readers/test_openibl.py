"""OpenIBL's meta and splits: order, positions, and every way to get one wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from replicas.openibl import META, SPLITS, write_openibl

from fol.data.protocol import Protocol, apply_protocol
from fol.data.readers.openibl import read_openibl
from fol.errors import ConfigError, DataError


def test_the_test_split(tmp_path: Path) -> None:
    photos = read_openibl(write_openibl(tmp_path))
    assert [place.name for place in photos.database] == [
        "Pittsburgh/images/000/000300_pitch1_yaw1.jpg",
        "Pittsburgh/images/000/000829_pitch1_yaw1.jpg",
        "Pittsburgh/images/000/000829_pitch1_yaw2.jpg",
        "Pittsburgh/images/001/001000_pitch2_yaw12.jpg",
    ]
    assert [place.metadata["panorama"] for place in photos.database] == ["2", "1", "1", "3"]
    assert len(photos.queries) == 2
    position = photos.queries[0].position
    assert position is not None and (position.easting, position.northing, position.zone) == (584600.0, 4477100.0, "17T")
    assert all(place.image.is_file() for place in (*photos.database, *photos.queries))
    data = apply_protocol(photos, Protocol("pitts30k@test", ""))
    assert data.positives is not None and [row.tolist() for row in data.positives] == [[1, 2], [1, 2]]


def test_splits_and_scales(tmp_path: Path) -> None:
    write_openibl(tmp_path)
    assert [place.metadata["panorama"] for place in read_openibl(tmp_path, "val").database] == ["1", "1"]
    (tmp_path / "meta_250k.json").write_text(json.dumps({**META, "name": "elsewhere"}))
    (tmp_path / "splits_250k.json").write_text(json.dumps(SPLITS))
    with pytest.raises(DataError, match=r"has meta_250k\.json, meta_30k\.json: say which scale"):
        read_openibl(tmp_path)
    place = read_openibl(tmp_path, "train", "250k").queries[0]
    assert place.position is not None and place.position.zone is None
    with pytest.raises(ConfigError, match="split='all' of OpenIBL is none of train, val, test"):
        read_openibl(tmp_path, "all")


def test_tokyo_has_no_suffix_and_png_files(tmp_path: Path) -> None:
    meta = {
        "name": "Tokyo",
        "identities": [["Tokyo247/images/a/b.jpg"], ["Tokyo247/query/00001.jpg"]],
        "utm": [[382000.0, 3947000.0], [382010.0, 3947000.0]],
    }
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "splits.json").write_text(json.dumps({"q_test": [1], "db_test": [0]}))
    (tmp_path / "raw" / "Tokyo247" / "images" / "a").mkdir(parents=True)
    (tmp_path / "raw" / "Tokyo247" / "images" / "a" / "b.png").touch()
    place = read_openibl(tmp_path).database[0]
    assert place.image.name == "b.png" and place.name == "Tokyo247/images/a/b.jpg"
    assert place.position is not None and place.position.zone == "54S"


@pytest.mark.parametrize(
    ("file", "key", "value", "reason"),
    [
        ("meta", "identities", None, "key identities must be a list .keys that are there: name"),
        ("meta", "identities", [["a.jpg"]], "has 1 identities, but 4 utm positions"),
        ("meta", "identities", [["q.jpg"], "a.jpg", ["b.jpg"], ["c.jpg"]], "number 1 is no list of file names"),
        ("meta", "identities", [["q.jpg"], ["a.jpg"], ["a.jpg"], ["c.jpg"]], "key db_test: a.jpg is there twice"),
        ("meta", "identities", [["q.jpg"], ["a.jpg"], ["../b.jpg"], ["c.jpg"]], "is no path below"),
        ("meta", "utm", [[584600.0, 4477100.0]] * 3 + [["x", 1]], "key utm: number 3"),
        ("meta", "utm", [[584600.0, 4477100.0]] * 3 + [[1.0, 1.0]], "key utm: number 3"),
        ("splits", "db_test", None, "key db_test must be a list"),
        ("splits", "db_test", [4], "key db_test: '4' is no identity: meta_30k.json has 0 to 3"),
        ("splits", "db_test", [-1], "'-1' is no identity"),
        ("splits", "db_test", ["1"], "is no identity"),
        ("splits", "db_test", [1, 1], "is there twice"),
        ("splits", "q_test", [], "key q_test has no photos"),
    ],
)
def test_wrong_contents(tmp_path: Path, file: str, key: str, value: Any, reason: str) -> None:
    write_openibl(tmp_path)
    document: dict[str, Any] = dict(META if file == "meta" else SPLITS)
    if value is None:
        del document[key]
    else:
        document[key] = value
    (tmp_path / f"{file}_30k.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=reason):
        read_openibl(tmp_path)


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such folder"):
        read_openibl(tmp_path / "absent")
    with pytest.raises(DataError, match=r"has no meta\.json, meta_30k\.json"):
        read_openibl(tmp_path)
    write_openibl(tmp_path)
    (tmp_path / "meta_30k.json").write_text("[]")
    with pytest.raises(DataError, match="must hold an object with keys, not list"):
        read_openibl(tmp_path)
    (tmp_path / "meta_30k.json").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"meta_30k\.json: is not JSON"):
        read_openibl(tmp_path)
    (tmp_path / "splits_30k.json").unlink()
    (tmp_path / "meta_30k.json").write_text(json.dumps(META))
    with pytest.raises(DataError, match=r"splits_30k\.json: cannot be read"):
        read_openibl(tmp_path)
