"""Audits of photo sets: what is missing, broken, misnamed, there twice; and decoders that crash."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image
from replicas.at_layout import write_svox
from replicas.msls import write_msls
from replicas.pictures import write_picture

from fol.data import verification
from fol.data.images import load_image
from fol.data.photo_set import PhotoSet
from fol.data.readers.at_layout import read_at_layout
from fol.data.readers.msls import read_msls
from fol.data.verification import verify_photos
from fol.errors import ConfigError
from fol.types import Place


def photo_set(root: Path, database: list[str], queries: list[str]) -> PhotoSet:
    def places(names: list[str]) -> tuple[Place, ...]:
        return tuple(Place(name, root / name) for name in names)

    return PhotoSet(root, places(database), places(queries))


@pytest.fixture
def whole(tmp_path: Path) -> PhotoSet:
    """Five photos on either side, all different."""
    database, queries = [f"db/{i}.jpg" for i in range(5)], [f"q/{i + 5}.png" for i in range(5)]
    for name in (*database, *queries):
        write_picture(tmp_path / name)
    return photo_set(tmp_path, database, queries)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_whole_set(whole: PhotoSet, workers: int) -> None:
    seen: list[tuple[int, int]] = []
    audit = verify_photos(whole, (5, 5), workers=workers, progress=lambda done, total: seen.append((done, total)))
    assert audit.complete and (audit.database, audit.queries) == (5, 5)
    assert (audit.missing, audit.broken, audit.misnamed, audit.duplicates, audit.overlap) == ((), (), (), (), ())
    assert audit.bytes_on_disk == sum(path.stat().st_size for path in whole.root.glob("*/*"))
    assert seen == [(i, 10) for i in range(1, 11)]
    assert "5 database, 5 queries (as published)" in audit.summary and "\n" not in audit.summary


def test_counts_that_are_not_the_published_ones(whole: PhotoSet) -> None:
    audit = verify_photos(whole, (5, 6))
    assert not audit.complete and "5 queries (published: 5 and 6)" in audit.summary
    assert verify_photos(whole).complete


@pytest.mark.parametrize("workers", [0, 2])
def test_damage(whole: PhotoSet, workers: int) -> None:
    root = whole.root
    (root / "db/0.jpg").unlink()
    (root / "db/1.jpg").write_bytes(b"")
    data = (root / "db/3.jpg").read_bytes()
    (root / "db/3.jpg").write_bytes(data[:-60])
    (root / "q/6.png").write_text("<html>404</html>")
    (root / "q/7.png").unlink()
    (root / "q/7.png").mkdir()
    audit = verify_photos(whole, (5, 5), workers=workers)
    assert not audit.complete and audit.missing == (root / "db/0.jpg",)
    assert [photo.path for photo in audit.broken] == [
        root / name for name in ("db/1.jpg", "db/3.jpg", "q/6.png", "q/7.png")
    ]
    reasons = [photo.reason for photo in audit.broken]
    for reason, words in zip(
        reasons, ("is empty (0 bytes)", "damaged or truncated", "not an image", "is a folder"), strict=True
    ):
        assert words in reason and "\n" not in reason
    assert "patch" not in reasons[0]


def test_empty_photos_of_msls_name_the_patch(tmp_path: Path) -> None:
    photos = read_msls(write_msls(tmp_path), ["cph"])
    photos.queries[1].image.write_bytes(b"")
    (broken,) = verify_photos(photos).broken
    assert broken.path == photos.queries[1].image and "patch_v1.1.zip" in broken.reason and "\n" not in broken.reason


def test_formats_that_the_name_does_not_tell(whole: PhotoSet) -> None:
    Image.new("RGB", (32, 32), "red").save(whole.root / "db/2.jpg", format="PNG")
    audit = verify_photos(whole, (5, 5))
    assert audit.misnamed == (whole.root / "db/2.jpg",) and audit.complete


@pytest.mark.parametrize("workers", [0, 2])
def test_equal_files(whole: PhotoSet, workers: int) -> None:
    root = whole.root
    shutil.copy(root / "db/0.jpg", root / "db/4.jpg")
    shutil.copy(root / "q/5.png", root / "q/9.png")
    shutil.copy(root / "db/2.jpg", root / "q/6.png")  # a JPEG file by its content
    audit = verify_photos(whole, workers=workers)
    assert audit.duplicates == (
        (root / "db/0.jpg", root / "db/4.jpg"),
        (root / "db/2.jpg", root / "q/6.png"),
        (root / "q/5.png", root / "q/9.png"),
    )
    assert audit.overlap == ("q/6.png",) and audit.misnamed == (root / "q/6.png",)


def test_equal_sizes_are_not_enough(tmp_path: Path) -> None:
    for name, colour in (("a.bmp", "red"), ("b.bmp", "blue")):
        Image.new("RGB", (16, 16), colour).save(tmp_path / name)
    assert (tmp_path / "a.bmp").stat().st_size == (tmp_path / "b.bmp").stat().st_size
    audit = verify_photos(photo_set(tmp_path, ["a.bmp"], ["b.bmp"]))
    assert audit.duplicates == () and audit.overlap == ()


def test_one_file_on_both_sides_is_read_once(whole: PhotoSet) -> None:
    seen: list[int] = []
    photos = photo_set(whole.root, ["db/0.jpg", "db/1.jpg"], ["db/1.jpg"])
    audit = verify_photos(photos, progress=lambda done, total: seen.append(total))
    assert audit.overlap == ("db/1.jpg",) and audit.duplicates == () and seen == [2, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="the patched decoder gets into other processes by fork alone")
def test_a_crash_costs_one_photo(whole: PhotoSet, monkeypatch: pytest.MonkeyPatch) -> None:
    def crashing(path: Path) -> Image.Image:
        if path.name in ("3.jpg", "8.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        return load_image(path)

    monkeypatch.setattr(verification, "load_image", crashing)
    monkeypatch.setattr(verification, "_CHUNK", 2)
    seen: list[int] = []
    audit = verify_photos(whole, (5, 5), workers=2, progress=lambda done, total: seen.append(done))
    assert [photo.path.name for photo in audit.broken] == ["3.jpg", "8.png"]
    assert "the decoder crashed or ran out of memory" in audit.broken[0].reason
    assert seen == list(range(1, 11)) and audit.missing == ()


def test_names_of_any_kind(tmp_path: Path) -> None:
    root = write_svox(tmp_path / "a@b")
    queries = os.fsencode(root / "images" / "test" / "queries")
    source = next((root / "images" / "test" / "gallery").iterdir())
    shutil.copy(source, os.fsdecode(queries + b"/@0620030.00@5735000.00@30@U@@@\xe9@.jpg"))
    audit = verify_photos(read_at_layout(root), workers=1)
    assert audit.complete and audit.overlap == ("@0620030.00@5735000.00@30@U@@@\\xe9@.jpg",)


def test_workers_must_make_sense(whole: PhotoSet) -> None:
    with pytest.raises(ConfigError, match="workers=-1"):
        verify_photos(whole, workers=-1)
