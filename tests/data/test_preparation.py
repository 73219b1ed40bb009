"""Native downloads to the common layout: what is read back is what went in, and nothing is copied or overwritten."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from replicas.amstertime import write_amstertime
from replicas.at_layout import write_sf_xl
from replicas.eynsham import write_eynsham
from replicas.nordland import write_unizar
from replicas.npy_ground_truth import write_nordland_lists
from replicas.openibl import write_openibl

from fol.data import preparation
from fol.data.coordinates import within_radius
from fol.data.dataset import read_dataset
from fol.data.photo_set import PhotoSet
from fol.data.preparation import prepare
from fol.data.readers.amstertime import read_amstertime
from fol.data.readers.at_layout import read_at_layout
from fol.data.readers.eynsham import read_eynsham
from fol.data.readers.folder import read_places
from fol.data.readers.nordland import read_nordland
from fol.data.readers.npy_ground_truth import read_npy_ground_truth
from fol.data.readers.openibl import read_openibl
from fol.data.readers.positives_file import convert_npy
from fol.errors import ConfigError, DataError
from fol.types import Place


def near(database: tuple[Place, ...], queries: tuple[Place, ...]) -> dict[int, set[int]]:
    """Inodes of the database photos within 25 m of each query, by the query's: names change, files do not."""
    found = within_radius(
        [place.position for place in queries if place.position],
        [place.position for place in database if place.position],
        25,
    )
    return {inode(query): {inode(database[i]) for i in row.tolist()} for query, row in zip(queries, found, strict=True)}


def inode(place: Place) -> int:
    return place.image.stat().st_ino


def test_positions_and_metadata_come_back(tmp_path: Path) -> None:
    photos = read_eynsham(write_eynsham(tmp_path / "native@home"), first_lap=2)
    prepared = prepare(photos, tmp_path / "out")
    assert prepared.folder == tmp_path / "out" / "images" / "test"
    assert (prepared.database, prepared.queries, prepared.missing, prepared.made_up) == (10, 10, (), False)
    back = read_dataset(tmp_path / "out")
    for before, after in ((photos.database, back.database), (photos.queries, back.queries)):
        natives = {inode(place): place for place in before}
        assert len(after) == len(before) == 10
        for place in after:
            native = natives[inode(place)]
            assert place.position == native.position
            assert place.metadata == {**native.metadata, "original": native.name}
            assert place.image.parent.name in ("database", "queries")
    expected = near(photos.database, photos.queries)
    assert near(back.database, back.queries) == expected
    assert {len(row) for row in expected.values()} == {5}
    names = read_at_layout(tmp_path / "out")  # for programs that read the file names alone
    assert near(names.database, names.queries) == expected
    assert names.database[0].metadata["panorama"] == "0001" and names.database[0].metadata["tile_num"] == "0"


def test_headings_sequences_and_local_frames(tmp_path: Path) -> None:
    photos = read_openibl(write_openibl(tmp_path / "native"))
    assert photos.database[0].position is not None
    local = replace(photos.database[0].position, zone=None, latitude=None, longitude=None, easting=-1.23456789)
    database = tuple(
        replace(place, position=local, heading=12.75, sequence=f"drive {i}", metadata={"note": "day, late\n@café"})
        for i, place in enumerate(photos.database)
    )
    queries = tuple(replace(place, position=local) for place in photos.queries)
    prepare(PhotoSet(tmp_path, database, queries), tmp_path / "out", layout="val")
    back = read_places(tmp_path / "out" / "val" / "database")
    assert sorted(place.sequence or "" for place in back) == ["drive 0", "drive 1", "drive 2", "drive 3"]
    assert {place.heading for place in back} == {12.75} and {place.position for place in back} == {local}
    assert {place.metadata["note"] for place in back} == {"day, late\n@café"}
    assert all("day,-late--café" in place.name for place in back)


def test_one_to_one_gets_made_up_names_and_honest_tables(tmp_path: Path) -> None:
    photos = read_amstertime(write_amstertime(tmp_path / "native"))
    prepared = prepare(photos, tmp_path / "out")
    assert prepared.made_up
    assert sorted(path.name for path in (prepared.folder / "queries").iterdir()) == [
        "@0000000.00@0000000.00@@@@@2@@@@@@@@.jpg",
        "@0000000.00@0001000.00@@@@@10@@@@@@@@.jpg",
        "@0000000.00@0002000.00@@@@@100@@@@@@@@.jpg",
    ]
    back = read_dataset(tmp_path / "out")
    assert all(place.position is None for place in (*back.database, *back.queries))
    assert back.positives is not None and back.protocol == "ground_truth.csv"
    for query, row in zip(back.queries, back.positives, strict=True):
        assert [back.database[i].metadata["key"] for i in row.tolist()] == [query.metadata["key"]]
    names = read_at_layout(tmp_path / "out")
    assert [len(row) for row in near(names.database, names.queries).values()] == [1, 1, 1]


def test_frames_get_coordinates_of_the_reach_that_is_asked_for(tmp_path: Path) -> None:
    photos = read_nordland(write_unizar(tmp_path / "native"))
    prepare(photos, tmp_path / "out", frame_spacing=25 / 2.5)  # 2 frames to each side
    names = read_at_layout(tmp_path / "out")
    assert [len(row) for row in near(names.database, names.queries).values()] == [3, 4, 5, 5, 5, 5, 5, 5, 5, 5, 4, 3]
    back = read_places(tmp_path / "out" / "images" / "test" / "queries")
    assert sorted(int(place.metadata["frame"]) for place in back) == list(range(12))


def test_listed_positives_without_coordinates(tmp_path: Path) -> None:
    convert_npy(write_nordland_lists(tmp_path))
    for side, count in (("ref", 30), ("query", 3)):
        (tmp_path / side).mkdir()
        for i in range(count):
            (tmp_path / side / f"{i:07d}.jpg").write_bytes(b"photo")
    photos = read_npy_ground_truth(tmp_path, "Nordland")
    prepared = prepare(photos, tmp_path / "out")
    assert not prepared.made_up
    assert (prepared.folder / "queries" / "@@@@@@@0000002@@@@@@@@.jpg").is_file()
    back = read_dataset(tmp_path / "out")
    assert back.positives is not None
    found = {
        query.metadata["original"]: [back.database[i].metadata["original"] for i in row.tolist()]
        for query, row in zip(back.queries, back.positives, strict=True)
    }
    assert found["query/0000001.jpg"] == ["ref/0000009.jpg", "ref/0000010.jpg", "ref/0000011.jpg"]
    assert found["query/0000000.jpg"] == ["ref/0000000.jpg", "ref/0000001.jpg"]


def test_names_that_are_right_are_kept_and_twins_are_numbered(tmp_path: Path) -> None:
    root = write_sf_xl(tmp_path / "native")
    photos = read_at_layout(root, queries="queries_v1")
    twin = replace(photos.database[0], name="twin", image=tmp_path / "twin" / photos.database[0].image.name)
    twin.image.parent.mkdir()
    twin.image.write_bytes(b"another photo")
    photos = PhotoSet(root, (*photos.database, twin, replace(twin, name="third")), photos.queries)
    prepared = prepare(photos, tmp_path / "out")
    names = sorted(path.name for path in (prepared.folder / "database").iterdir())
    kept = {place.image.name for place in photos.database}
    assert len(names) == 5 and kept < set(names)
    numbered = sorted(set(names) - kept)
    assert [name.split("@")[14] for name in numbered] == ["2", "3"]
    assert {inode(place) for place in read_places(prepared.folder / "database")} == {
        inode(place) for place in photos.database
    }
    assert near(*(read_at_layout(tmp_path / "out").database,) * 2)  # all names can be read


KILLED = """
import os, signal, sys
from pathlib import Path
from fol.data import preparation
from fol.data.readers.eynsham import read_eynsham

preparation._EVERY = 1
photos = read_eynsham(Path(sys.argv[1]), first_lap=2)
kill = lambda done, _: done == 13 and os.kill(os.getpid(), signal.SIGKILL)
preparation.prepare(photos, Path(sys.argv[2]), progress=kill)
"""


def test_it_goes_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native, out = write_eynsham(tmp_path / "native"), tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(native), str(out)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    folder = out / "images" / "test"
    assert len(list((folder / "database").iterdir())) == 10 and len(list((folder / "queries").iterdir())) == 3
    assert not (folder / "database.csv").exists()
    monkeypatch.setattr(preparation, "_EVERY", 1)
    seen: list[tuple[int, int]] = []
    photos = read_eynsham(native, first_lap=2)
    prepared = prepare(photos, out, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 20) for done in range(1, 21)] and (prepared.database, prepared.queries) == (10, 10)
    again = {path: path.read_bytes() for path in folder.glob("*.csv")}
    assert prepare(photos, out) == prepared
    assert {path: path.read_bytes() for path in folder.glob("*.csv")} == again and len(again) == 2


def test_missing_photos_are_left_out_and_told(tmp_path: Path) -> None:
    photos = read_amstertime(write_amstertime(tmp_path / "native"))
    gone = photos.database[1].image
    content = gone.read_bytes()
    gone.unlink()
    prepared = prepare(photos, tmp_path / "out")
    assert prepared.missing == (gone,) and prepared.lost_positives == 1
    assert prepared.summary.endswith("2 database, 3 queries, 1 photos are missing, 1 positives with them, "
                                     "coordinates in file names are made up")  # fmt: skip
    back = read_dataset(tmp_path / "out")
    assert back.positives is not None and sorted(len(row) for row in back.positives) == [0, 1, 1]
    gone.write_bytes(content)
    assert prepare(photos, tmp_path / "out").missing == ()
    back = read_dataset(tmp_path / "out")
    assert back.positives is not None and [len(row) for row in back.positives] == [1, 1, 1]
    for place in photos.database:
        place.image.unlink()
    assert prepare(photos, tmp_path / "out").database == 3  # the links are the photos now
    with pytest.raises(DataError, match=r"none of its 3 photos is there .*2\.png"):
        prepare(photos, tmp_path / "other")


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    photos = read_amstertime(write_amstertime(tmp_path / "native"))
    folder = prepare(photos, tmp_path / "out").folder
    link = folder / "queries" / "@0000000.00@0001000.00@@@@@10@@@@@@@@.jpg"
    link.unlink()
    link.write_bytes(b"mine")
    with pytest.raises(DataError, match=r"is another file than .*10\.jpg: move it away, or choose another out"):
        prepare(photos, tmp_path / "out")
    assert link.read_bytes() == b"mine"
    link.unlink()
    (folder / "queries" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"holds 1 files of something else, the first is holiday\.jpg"):
        prepare(photos, tmp_path / "out")
    unlisted = read_nordland(write_unizar(tmp_path / "unizar"))
    folder = prepare(unlisted, tmp_path / "nordland").folder
    (folder / "ground_truth.csv").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"ground_truth\.csv: belongs to something else"):
        prepare(unlisted, tmp_path / "nordland")


def test_other_file_systems_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = read_amstertime(write_amstertime(tmp_path / "native"))

    def refuse(number: int) -> None:
        def link(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "link", link)

    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) in (str(tmp_path / "native"), str(tmp_path), "/"))
    refuse(errno.EXDEV)
    with pytest.raises(DataError) as error:
        prepare(photos, tmp_path / "out")
    native, other = tmp_path / "native", tmp_path / "out/images/test/database"
    assert f"2.png is on the file system {native}, but {other} on {tmp_path}:" in str(error.value)
    assert str(error.value).endswith(f"choose out= on {native}")
    refuse(errno.EPERM)
    with pytest.raises(DataError, match="no hard link .* can be made there .*choose out= where links are allowed"):
        prepare(photos, tmp_path / "out")
    assert list(other.iterdir()) == []


def test_a_real_second_file_system(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system that can be written to")
    photos = read_amstertime(write_amstertime(tmp_path / "native"))
    out = other / f"fol-test-{os.getpid()}"
    try:
        with pytest.raises(DataError, match="images/test/database on /dev/shm: hard links need one for both"):
            prepare(photos, out)
        assert not list(out.rglob("*.png"))
    finally:
        for path in sorted(out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        out.rmdir()


def test_links_and_odd_sources(tmp_path: Path) -> None:
    photos = read_amstertime(write_amstertime(tmp_path / "native"))
    query = photos.queries[0].image
    query.rename(tmp_path / "elsewhere.jpg")
    query.symlink_to("../../elsewhere.jpg")
    folder = prepare(photos, tmp_path / "out").folder
    target = folder / "queries" / "@0000000.00@0000000.00@@@@@2@@@@@@@@.jpg"
    assert not target.is_symlink() and target.samefile(tmp_path / "elsewhere.jpg")
    assert prepare(photos, tmp_path / "out").missing == ()
    (tmp_path / "elsewhere.jpg").unlink()
    query.unlink()
    query.mkdir()
    with pytest.raises(DataError, match=r"2\.jpg: is no file, but a photo is needed"):
        prepare(photos, tmp_path / "out")


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9 \n@1.jpg")
    odd.write_bytes(b"photo")
    place = Place("caf\\xe9 \\n@1.jpg", odd, metadata={"note": "x" * 300})
    photos = PhotoSet(tmp_path, (place,), (place,), (np.array([0]),))
    prepare(photos, tmp_path / "out")
    back = read_places(tmp_path / "out" / "images" / "test" / "queries")
    assert back[0].name == "@0000000.00@0000000.00@@@@@caf----1@@@@@@@" + "x" * 60 + "@.jpg"
    assert back[0].metadata == {"note": "x" * 300, "original": "caf\\xe9 \\n@1.jpg"}


@pytest.mark.parametrize("layout", ["/images", "../out", "images/../.."])
def test_a_layout_outside(tmp_path: Path, layout: str) -> None:
    photos = read_amstertime(write_amstertime(tmp_path / "native"))
    with pytest.raises(ConfigError, match="must be a folder below"):
        prepare(photos, tmp_path / "out", layout=layout)
    with pytest.raises(ConfigError, match="frame_spacing=0 must be"):
        prepare(photos, tmp_path / "out", frame_spacing=0)


def test_metadata_that_would_be_taken_for_coordinates(tmp_path: Path) -> None:
    photos = read_amstertime(write_amstertime(tmp_path / "native"))
    queries = tuple(replace(place, metadata={"Latitude": "52"}) for place in photos.queries)
    with pytest.raises(DataError, match="metadata 'Latitude' .* has the name of another column"):
        prepare(PhotoSet(photos.root, photos.database, queries, photos.listed), tmp_path / "out")
