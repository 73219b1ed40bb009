"""Every way in which an image file can be unusable."""

from __future__ import annotations

import os
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_files import one_line_error, png_chunk, png_header
from PIL import Image

from fol.data.images import MAX_PIXELS, image_size, list_images, load_image
from fol.errors import ImageError


def test_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "zero.jpg").touch()
    assert one_line_error(tmp_path / "zero.jpg") == f"{tmp_path}/zero.jpg: is empty (0 bytes)"


def test_missing(tmp_path: Path) -> None:
    assert one_line_error(tmp_path / "gone.jpg") == f"{tmp_path}/gone.jpg: no such file"


def test_folder(tmp_path: Path) -> None:
    assert one_line_error(tmp_path) == f"{tmp_path}: is a folder, not an image"


def test_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a regular file" in one_line_error(tmp_path / "pipe.jpg")
    assert list_images(tmp_path) == ()


def test_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    assert list_images(tmp_path) == (tmp_path / "loop.jpg",)
    assert "loop.jpg" in one_line_error(tmp_path / "loop.jpg")


@pytest.mark.parametrize("content", [b"hello", bytes(1000), b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0"])
def test_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.jpg").write_bytes(content)
    assert "no.jpg" in one_line_error(tmp_path / "no.jpg")


def test_no_postscript(tmp_path: Path) -> None:
    path = tmp_path / "program.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n")
    assert list_images(tmp_path) == ()
    assert "not an image that Pillow can read" in one_line_error(path)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif", "gif", "bmp", "jp2"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated(tmp_path: Path, extension: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"cut.{extension}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert str(path) in one_line_error(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what it skipped
@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp", "gif", "jp2", "bmp", "ico", "tga", "pcx"])
def test_damage_never_gives_another_error(tmp_path: Path, extension: str) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / f"damaged.{extension}"
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(30):
        damaged = whole.copy()
        damaged[rng.integers(0, min(len(whole), 400), 4)] = rng.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes())
        for read in (load_image, image_size):
            try:
                read(path)
            except ImageError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 13)])
def test_too_small(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "small.png")
    message = f"{tmp_path}/small.png: is {size[0]}x{size[1]} pixels, but each side needs at least 14"
    assert one_line_error(tmp_path / "small.png") == message
    with pytest.raises(ImageError):
        image_size(tmp_path / "small.png")


def test_just_large_enough(tmp_path: Path) -> None:
    Image.new("RGB", (14, 14)).save(tmp_path / "small.png")
    assert load_image(tmp_path / "small.png").size == (14, 14)


@pytest.mark.parametrize("limit", [Image.MAX_IMAGE_PIXELS, None])
def test_too_large_is_seen_in_the_header(tmp_path: Path, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    rows = zlib.compress(bytes(3 * 20_000 + 1) * 10)  # a real image would go on; nobody should look
    data = png_header(20_000, 20_000) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    (tmp_path / "huge.png").write_bytes(data)
    tracemalloc.start()
    started = time.perf_counter()
    message = one_line_error(tmp_path / "huge.png")
    seconds, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "is too large" in message and str(MAX_PIXELS) in message
    assert seconds < 1 and peak < 5_000_000


def test_the_error_says_what_was_wrong(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    assert one_line_error(tmp_path / "cut.png").startswith(f"{tmp_path}/cut.png: is damaged or truncated (")
