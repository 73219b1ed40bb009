"""Nordland's three forms under one meaning of ``frame``; positives counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from replicas.nordland import write_unizar, write_vpr_bench_nordland, write_vpr_datasets_downloader

from fol.data.protocol import Protocol, apply_protocol
from fol.data.readers.nordland import NordlandForm, read_nordland
from fol.data.readers.positives_file import convert_npy
from fol.errors import ConfigError, DataError


def by_frames(root: Path, reach: int, form: NordlandForm | None = None) -> list[list[int]]:
    """Frames that are right for each query, through a protocol."""
    photos = read_nordland(root, form)
    data = apply_protocol(photos, Protocol("nordland@test", "", positives="frames", reach=reach))
    assert data.positives is not None
    return [sorted(int(data.database[i].metadata["frame"]) for i in row.tolist()) for row in data.positives]


def test_vpr_datasets_downloader(tmp_path: Path) -> None:
    root = write_vpr_datasets_downloader(tmp_path)
    photos = read_nordland(root)
    assert (len(photos.database), len(photos.queries)) == (30, 30)
    place = next(place for place in photos.queries if place.metadata["frame"] == "4")
    assert place.name == "@0@00009.5@@@@@4@@@@@@@@.jpg"
    assert place.position is not None and place.position.northing == 9.5
    frames = by_frames(root, 10)
    order = [int(place.metadata["frame"]) for place in photos.queries]
    assert frames[order.index(0)] == list(range(11))
    assert frames[order.index(15)] == list(range(5, 26))
    # The made-up coordinates say the same at 25 m, as they are meant to.
    data = apply_protocol(photos, Protocol("nordland@test", ""))
    assert data.positives is not None
    by_radius = [sorted(int(photos.database[i].metadata["frame"]) for i in row.tolist()) for row in data.positives]
    assert by_radius == frames


def test_vpr_bench_needs_its_truth_converted(tmp_path: Path) -> None:
    root = write_vpr_bench_nordland(tmp_path)
    with pytest.raises(DataError, match=r"Nordland_gt\.npy: holds a pickle.*fol data convert-npy"):
        read_nordland(root)
    convert_npy(root / "Nordland_gt.npy")
    photos = read_nordland(root)
    assert photos.listed is not None
    listed = [row.tolist() for row in photos.listed]
    assert listed == [[0, 1], [9, 10, 11], [19, 20, 21]] == by_frames(root, 1)


def test_vpr_bench_without_truth_has_frames(tmp_path: Path) -> None:
    root = write_vpr_bench_nordland(tmp_path)
    (root / "Nordland_gt.npy").unlink()
    assert read_nordland(root).listed is None
    assert by_frames(root, 1, "vpr_bench") == [[0, 1], [9, 10, 11], [19, 20, 21]]


@pytest.mark.parametrize("inside", ["", "Dataset_images", "Dataset_images/test"])
def test_unizar(tmp_path: Path, inside: str) -> None:
    write_unizar(tmp_path)
    photos = read_nordland(tmp_path / inside)
    assert [place.name for place in photos.database][3:6] == ["section1/3.png", "section2/4.png", "section2/5.png"]
    assert [place.metadata["frame"] for place in photos.queries] == [str(frame) for frame in range(12)]
    assert "winter_images_test" in str(photos.queries[0].image)
    frames = by_frames(tmp_path / inside, 2)
    assert frames[0] == [0, 1, 2] and frames[4] == [2, 3, 4, 5, 6] and frames[11] == [9, 10, 11]
    turned = read_nordland(tmp_path / inside, "unizar", database="winter", queries="summer")
    assert "summer_images_test" in str(turned.queries[0].image)


def test_refused(tmp_path: Path) -> None:
    root = write_unizar(tmp_path / "unizar")
    with pytest.raises(DataError, match="has no folder fall_images_test/"):
        read_nordland(root, "unizar", queries="fall")
    with pytest.raises(ConfigError, match="season 'autumn' of Nordland is none of spring, summer, fall, winter"):
        read_nordland(root, "unizar", queries="autumn")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="form='sunderhauf' of Nordland is none of"):
        read_nordland(root, "sunderhauf")  # type: ignore[arg-type]
    (root / "Dataset_images/test/winter_images_test/section2/5.png").unlink()
    with pytest.raises(DataError, match=r"photo 5 is missing between 4\.png and 6\.png"):
        read_nordland(root)
    with pytest.raises(DataError, match="has no folder database or gallery"):
        read_nordland(tmp_path)
    named = write_vpr_datasets_downloader(tmp_path / "named", frames=1)
    (named / "images/test/queries/@0@1.0@@@@@x1@@@@@@@@.jpg").touch()
    with pytest.raises(DataError, match="field pano_id is 'x1', but must be the frame's number"):
        read_nordland(named)
