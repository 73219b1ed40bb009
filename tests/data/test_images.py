"""Pixels, sizes and lists of image files."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_files import one_line_error, png_chunk, png_header
from PIL import Image

from fol.data.images import image_size, list_images, load_image, upright_rgb
from fol.errors import DataError, ImageError

ORIENTATION = 0x0112
WIDTH, HEIGHT = 20, 16


def ramp(top: int) -> np.ndarray:
    """Grey 16 x 20 image that runs from 0 to ``top``."""
    return np.linspace(0, top, WIDTH * HEIGHT).round().astype(np.int64).reshape(HEIGHT, WIDTH)


def pixels(path: Path) -> np.ndarray:
    image = load_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def corner(path: Path) -> tuple[int, ...]:
    return tuple(int(v) for v in pixels(path)[0, 0])


@pytest.mark.parametrize(
    "extension", ["jpg", "JPEG", "png", "bmp", "tif", "webp", "gif", "ppm", "tga", "jp2", "ico", "pcx", "sgi", "qoi"]
)
def test_formats(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"photo.{extension}"
    try:
        Image.new("RGB", (32, 32), (200, 40, 90)).save(path)
    except (KeyError, OSError) as error:
        pytest.skip(f"this Pillow cannot write .{extension}: {error}")
    assert image_size(path) == load_image(path).size == (32, 32)
    assert np.abs(pixels(path).astype(int) - (200, 40, 90)).max() <= 8
    assert list_images(tmp_path) == (path,)


# Where the pixel that is stored first has to go, as (row, column) of the upright image: EXIF 2.3, tag 0x0112.
UPRIGHT = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])
def test_orientation(tmp_path: Path, orientation: int, extension: str) -> None:
    stored = np.zeros((HEIGHT * 2, WIDTH * 2, 3), np.uint8)
    stored[: HEIGHT // 2, : WIDTH // 2] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"photo.{extension}"
    Image.fromarray(stored).save(path, exif=exif, **({"lossless": True} if extension == "webp" else {}))
    upright = pixels(path)
    expected = (WIDTH * 2, HEIGHT * 2) if orientation < 5 else (HEIGHT * 2, WIDTH * 2)
    assert load_image(path).size == image_size(path) == expected
    for index in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert (upright[index].min() > 200) == (index == UPRIGHT[orientation])


def test_orientation_of_16_bit_grey(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = tmp_path / "grey.png"
    Image.fromarray(ramp(65535).astype(np.uint16)).save(path, exif=exif)
    assert image_size(path) == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(pixels(path)[..., 0], np.rot90(np.round(ramp(65535) / 257), -1))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what it skipped
def test_malformed_exif_costs_only_the_orientation(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (WIDTH, HEIGHT), "red").save(path, exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01\x12")
    assert load_image(path).size == image_size(path) == (WIDTH, HEIGHT)


class TestTransparency:
    def test_alpha_channel_is_composited_on_white(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 102)).save(path)  # alpha 0.4: 0.6 of white remains
        assert corner(path) == (153, 153, 153)

    def test_grey_with_alpha(self, tmp_path: Path) -> None:
        path = tmp_path / "la.png"
        Image.new("LA", (WIDTH, HEIGHT), (10, 0)).save(path)
        assert corner(path) == (255, 255, 255)

    def test_palette_with_transparent_entry(self, tmp_path: Path) -> None:
        image = Image.new("P", (WIDTH, HEIGHT), 1)
        image.putpalette([0, 0, 0, 10, 20, 30])
        image.putpixel((0, 0), 0)
        image.save(tmp_path / "p.png", transparency=0)
        assert corner(tmp_path / "p.png") == (255, 255, 255)
        assert tuple(pixels(tmp_path / "p.png")[5, 5]) == (10, 20, 30)

    def test_palette_with_partial_transparency(self, tmp_path: Path) -> None:
        image = Image.new("P", (WIDTH, HEIGHT), 0)
        image.putpalette([0, 0, 0])
        image.save(tmp_path / "p.png", transparency=bytes([102]))
        assert corner(tmp_path / "p.png") == (153, 153, 153)

    @pytest.mark.parametrize(("mode", "colour"), [("RGB", (1, 2, 3)), ("L", 7)])
    def test_transparent_colour(self, tmp_path: Path, mode: str, colour: int | tuple[int, ...]) -> None:
        Image.new(mode, (WIDTH, HEIGHT), colour).save(tmp_path / "t.png", transparency=colour)
        assert corner(tmp_path / "t.png") == (255, 255, 255)

    def test_transparent_16_bit_grey(self, tmp_path: Path) -> None:
        rows = b"".join(b"\0" + struct.pack(">H", 300) * WIDTH for _ in range(HEIGHT))
        data = png_header(WIDTH, HEIGHT, 16, 0) + png_chunk(b"tRNS", struct.pack(">H", 300))
        data += png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
        (tmp_path / "t.png").write_bytes(data)
        assert corner(tmp_path / "t.png") == (255, 255, 255)


class TestDeepGrey:
    @pytest.mark.parametrize("dtype", ["<u2", ">u2"])
    @pytest.mark.parametrize("extension", ["tif", "png"])
    def test_16_bit_is_scaled_by_257(self, tmp_path: Path, dtype: str, extension: str) -> None:
        path = tmp_path / f"grey.{extension}"
        Image.fromarray(ramp(65535).astype(dtype)).save(path)
        expected = np.round(ramp(65535) / 257)
        assert expected.max() == 255 and len(np.unique(expected)) > 200
        for channel in range(3):
            np.testing.assert_array_equal(pixels(path)[..., channel], expected)

    def test_dark_16_bit_keeps_its_darkness(self, tmp_path: Path) -> None:
        Image.fromarray(ramp(2570).astype(np.uint16)).save(tmp_path / "dark.tif")
        assert pixels(tmp_path / "dark.tif").max() == 10

    def test_declared_bits(self, tmp_path: Path) -> None:
        # 12 bits, packed: 0xFFF 0x000 0xFFF 0x000 ... in big-endian nibbles.
        row = b"\xff\xf0\x00" * (WIDTH // 2)
        strip = row * HEIGHT
        entries = [(256, WIDTH), (257, HEIGHT), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, HEIGHT)]
        entries.append((279, len(strip)))
        directory = struct.pack("<H", len(entries))
        directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries) + bytes(4)
        (tmp_path / "deep.tif").write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory)
        grey = pixels(tmp_path / "deep.tif")[..., 0]
        assert set(grey[:, 0::2].ravel()) == {255} and set(grey[:, 1::2].ravel()) == {0}

    def test_white_is_zero(self, tmp_path: Path) -> None:
        Image.fromarray(ramp(65535).astype(np.uint16)).save(tmp_path / "inverted.tif", tiffinfo={262: 0})
        if Image.open(tmp_path / "inverted.tif").tag_v2[262] != 0:  # type: ignore[attr-defined]
            pytest.skip("this Pillow does not write the tag")
        np.testing.assert_array_equal(pixels(tmp_path / "inverted.tif")[..., 0], 255 - np.round(ramp(65535) / 257))

    def test_32_bit_integers_are_stretched(self, tmp_path: Path) -> None:
        Image.fromarray((ramp(10**9) - 5 * 10**8).astype(np.int32)).save(tmp_path / "i.tif")
        grey = pixels(tmp_path / "i.tif")[..., 0]
        assert grey[0, 0] == 0 and grey[-1, -1] == 255
        assert abs(int(grey[HEIGHT // 2, 0]) - 127) <= 8

    def test_32_bit_integers_with_16_bit_values(self, tmp_path: Path) -> None:
        Image.fromarray(ramp(65535).astype(np.int32)).save(tmp_path / "i.tif")
        np.testing.assert_array_equal(pixels(tmp_path / "i.tif")[..., 0], np.round(ramp(65535) / 257))

    @pytest.mark.parametrize("white", [1, 255, 65535])
    def test_float_ranges(self, tmp_path: Path, white: int) -> None:
        values = (ramp(1000) / 1000 * white).astype(np.float32)
        Image.fromarray(values).save(tmp_path / "f.tif")
        np.testing.assert_allclose(pixels(tmp_path / "f.tif")[..., 0], values * (255 / white), atol=0.51)

    def test_float_outside_of_any_range_is_stretched(self, tmp_path: Path) -> None:
        Image.fromarray((ramp(1000) - 500).astype(np.float32)).save(tmp_path / "f.tif")
        grey = pixels(tmp_path / "f.tif")[..., 0]
        np.testing.assert_allclose(grey, ramp(1000) * 0.255, atol=0.51)

    def test_float_that_is_not_finite(self, tmp_path: Path) -> None:
        values = np.full((HEIGHT, WIDTH), 0.5, np.float32)
        values[0, :3] = np.nan, np.inf, -np.inf
        Image.fromarray(values).save(tmp_path / "f.tif")
        assert list(pixels(tmp_path / "f.tif")[0, :4, 0]) == [0, 255, 0, 128]

    @pytest.mark.parametrize("value", [np.nan, -3.0])
    def test_constant_float(self, tmp_path: Path, value: float) -> None:
        Image.fromarray(np.full((HEIGHT, WIDTH), value, np.float32)).save(tmp_path / "f.tif")
        assert pixels(tmp_path / "f.tif").max() == 0


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [("L", 77, (77, 77, 77)), ("1", 1, (255, 255, 255)), ("CMYK", (0, 255, 255, 0), (255, 0, 0))],
)
def test_other_modes(tmp_path: Path, mode: str, colour: int | tuple[int, ...], expected: tuple[int, ...]) -> None:
    Image.new(mode, (WIDTH, HEIGHT), colour).save(tmp_path / "m.tif")
    assert corner(tmp_path / "m.tif") == expected


def test_lab(tmp_path: Path) -> None:
    Image.new("LAB", (WIDTH, HEIGHT), (255, 128, 128)).save(tmp_path / "lab.tif")  # L* = 100, a* = b* = 0: white
    assert min(corner(tmp_path / "lab.tif")) >= 253


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (32, 32), (255, 0, 0, 0)).save(tmp_path / "cyan.jpg", quality=100)
    red, green, blue = corner(tmp_path / "cyan.jpg")
    assert red < 10 and green > 240 and blue > 240


@pytest.mark.parametrize("extension", ["gif", "webp", "png"])
def test_first_frame_of_animations(tmp_path: Path, extension: str) -> None:
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / f"a.{extension}", save_all=True, append_images=frames[1:])
    red, _, blue = corner(tmp_path / f"a.{extension}")
    assert red > 240 and blue < 15


@pytest.mark.parametrize("name", ["with spaces in it.jpg", "Café Straße 東京 ñ.jpg", "quote'\"#%.jpg"])
def test_awkward_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "Größe und Lage"
    folder.mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / name)
    assert load_image(folder / name).size == (WIDTH, HEIGHT)
    assert load_image(str(folder / name)).size == (WIDTH, HEIGHT)
    (folder / name).write_bytes(b"no image")
    assert name in one_line_error(folder / name)


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    assert load_image(path).size == (WIDTH, HEIGHT)
    path.write_bytes(b"")
    assert one_line_error(path).encode("utf-8").endswith(b"caf\\udce9.png: is empty (0 bytes)")


def test_names_with_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines.jpg"
    path.write_bytes(b"")
    assert "two\\nlines.jpg" in one_line_error(path)


def test_image_size_reads_the_header_only(tmp_path: Path) -> None:
    (tmp_path / "header.png").write_bytes(png_header(640, 480) + png_chunk(b"IDAT", b"no pixels here"))
    assert image_size(tmp_path / "header.png") == (640, 480)


class TestListImages:
    def test_order_and_selection(self, tmp_path: Path) -> None:
        for name in (
            "b.JPG",
            "a/2.png",
            "a-1.png",
            "a/10.Tiff",
            "é.webp",
            ".hidden.jpg",
            ".git/x.jpg",
            "notes.txt",
            "a.h5",
        ):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
        (tmp_path / "folder.jpg").mkdir()
        names = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
        assert names == ["a-1.png", "a/10.Tiff", "a/2.png", "b.JPG", "é.webp"]

    def test_links(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "x.jpg").touch()
        root = tmp_path / "set"
        root.mkdir()
        (root / "linked").symlink_to(tmp_path / "store")
        (root / "round").symlink_to(root)
        (root / "dangling.jpg").symlink_to(tmp_path / "gone.jpg")
        names = [path.relative_to(root).as_posix() for path in list_images(root)]
        assert names == ["dangling.jpg", "linked/x.jpg"]
        assert "no such file" in one_line_error(root / "dangling.jpg")

    def test_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(DataError, match="no such folder"):
            list_images(tmp_path / "gone")
        with pytest.raises(DataError, match="is a file"):
            list_images(tmp_path / "file")
        assert list_images(str(tmp_path)) == ()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "1", "CMYK"])
def test_an_opened_image_follows_the_rules_of_files(mode: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (20, 30), dtype=np.uint16)
    image = Image.fromarray(pixels) if mode == "I;16" else Image.fromarray((pixels >> 8).astype(np.uint8)).convert(mode)
    image.save(tmp_path / "image.tiff")
    before = image.tobytes()
    assert np.array_equal(np.asarray(upright_rgb(image)), np.asarray(load_image(tmp_path / "image.tiff")))
    assert image.tobytes() == before


def test_an_opened_image_is_turned_without_changing_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as opened:
        assert upright_rgb(opened).size == (20, 30) and opened.size == (30, 20)
    with pytest.raises(ImageError, match="the image is 5x40 pixels"):
        upright_rgb(Image.new("RGB", (5, 40)))
