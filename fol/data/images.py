"""Image files: listing them, their size, and their pixels as 8-bit RGB.

Whatever Pillow decodes itself is accepted. Left out on purpose: EPS (Pillow would start Ghostscript on it), and the
formats that it can only identify (MPEG, HDF5, GRIB, BUFR, WMF). Formats that other packages register with Pillow
(HEIC through ``pillow-heif``) work as soon as they are registered.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from fol.errors import DataError, ImageError

#: Shortest side in pixels: one patch of the backbones.
MIN_SIDE = 14
#: Most pixels in an image: where Pillow suspects a decompression bomb.
MAX_PIXELS = 178_956_970

_NOT_DECODED = frozenset({"EPS", "MPEG", "HDF5", "GRIB", "BUFR", "WMF"})


def load_image(path: str | os.PathLike[str]) -> Image.Image:
    """The first frame of an image file as RGB, upright, 8 bits per channel.

    * The EXIF orientation is applied, also in formats other than JPEG.
    * Transparency, whether a channel or a palette entry, is composited on white.
    * 16-bit grey is scaled by its full range (divided by 257; a TIFF that declares 9 to 15 bits per sample by those),
      never clipped. 32-bit integers are treated as 16-bit where they fit 0..65535, else stretched from their minimum
      to their maximum. Floating point within 0..1, 0..255 or 0..65535 (the first that fits) is scaled by that range,
      anything else stretched from minimum to maximum; NaN becomes black.
    * Colour profiles are not applied, as in the published evaluations. CMYK and the like are converted by Pillow's
      rules.

    Raises ``ImageError``, one line, for what is no readable image: missing, a folder, zero bytes, truncated, not an
    image, under ``MIN_SIDE`` pixels a side, over ``MAX_PIXELS`` pixels. The last two are seen before decoding.
    """
    path = Path(path)
    with open_header(path) as image:
        try:
            image.load()
            _turn_upright(image)
            return _to_rgb(image)
        except MemoryError as error:
            raise ImageError(f"{printable(path)}: not enough memory for {_shown_size(image)} pixels") from error
        except Exception as error:  # decoders raise nearly anything for damaged files
            raise ImageError(f"{printable(path)}: is damaged or truncated ({_reason(error)})") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """An image that is opened already, by the rules of ``load_image``; the given one stays as it is.

    Raises ``ImageError`` under ``MIN_SIDE`` pixels a side.
    """
    if min(image.size) < MIN_SIDE:
        raise ImageError(f"the image is {_shown_size(image)} pixels, but each side needs at least {MIN_SIDE}")
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = image.copy()
        _turn_upright(image)
    return _to_rgb(image)


def with_short_side(image: Image.Image, pixels: int) -> Image.Image:
    """Resized so that the shorter side has ``pixels``, aspect kept: torchvision's ``Resize`` of one number."""
    scale = pixels / min(image.size)
    size = tuple(pixels if side == min(image.size) else int(side * scale) for side in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.BILINEAR)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(width, height) of what ``load_image`` would return, from the header alone.

    Raises ``ImageError`` as ``load_image`` does, damage after the header aside. An orientation that a PNG file stores
    behind its pixels is not seen.
    """
    with open_header(Path(path)) as image:
        width, height = image.size
        try:
            swapped = header_exif(image).get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        except Exception:  # malformed EXIF costs the orientation, not the photo
            swapped = False
        if swapped and isinstance(image, TiffImagePlugin.TiffImageFile):  # some versions of Pillow swap here
            swapped = width == image.tag_v2.get(TiffImagePlugin.IMAGEWIDTH)
        return (height, width) if swapped else (width, height)


def header_exif(image: Image.Image) -> Image.Exif:
    """EXIF of an opened image without decoding it (Pillow decodes PNG files to look behind the pixels)."""
    return Image.Image.getexif(image)


def list_images(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """All image files below ``folder``, by extension in any case, sorted by their relative path with forward slashes.

    Links are followed, hidden files and folders skipped. A link to a file that is not there is listed: reading it says
    so. Raises ``DataError`` when ``folder`` is missing, is no folder, or holds one that may not be read.
    """
    root = Path(folder)
    if not root.exists():
        raise DataError(f"{printable(root)}: no such folder")
    if not root.is_dir():
        raise DataError(f"{printable(root)}: is a file, but a folder of images is needed")
    extensions = image_extensions()
    found = [path for path in _walk(root, ()) if path.suffix.lower() in extensions]
    return tuple(sorted(found, key=lambda path: path.relative_to(root).as_posix()))


def image_extensions() -> frozenset[str]:
    """Extensions of the files that ``list_images`` lists: lower case, with the dot."""
    return _readable()[1]


def printable(text: str | os.PathLike[str]) -> str:
    """``text`` on one line: line breaks, control characters and bytes that are not UTF-8 as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def _readable() -> tuple[list[str], frozenset[str]]:
    """Names of the formats that are accepted, and their file extensions."""
    Image.init()
    formats = [name for name in Image.OPEN if name not in _NOT_DECODED]
    known = {*formats, "MPO"}  # several JPEG images in one file, opened by the reader of JPEG
    return formats, frozenset(e for e, name in Image.registered_extensions().items() if name in known)


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    try:
        status = folder.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in above:  # a link to a folder that contains it
            return
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot be read ({error.strerror})") from error
    for entry in visible:
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file() or entry.is_symlink()
        except OSError:  # a link to itself
            is_folder, is_file = False, True
        if is_folder:
            yield from _walk(folder / entry.name, (*above, identity))
        elif is_file:
            yield folder / entry.name


def open_header(path: Path) -> Image.Image:
    """The opened image, nothing decoded yet, for a ``with`` statement; raises ``ImageError`` as ``load_image`` does."""
    shown = printable(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{shown}: is a folder, not an image")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise ImageError(f"{shown}: is not a regular file")
        if status.st_size == 0:
            raise ImageError(f"{shown}: is empty (0 bytes)")
        image = Image.open(path, formats=_readable()[0])
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{shown}: no such file") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+", str(error))
        raise ImageError(_too_large(shown, f"{pixels.group()} pixels" if pixels else "")) from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{shown}: is not an image that Pillow can read") from error
    except Exception as error:  # the readers of headers raise nearly anything for damaged files
        raise ImageError(f"{shown}: cannot be read as an image ({_reason(error)})") from error
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        image.close()
        raise ImageError(f"{shown}: is {width}x{height} pixels, but each side needs at least {MIN_SIDE}")
    if width * height > MAX_PIXELS:  # where the host program has switched Pillow's own limit off
        image.close()
        raise ImageError(_too_large(shown, _shown_size(image)))
    return image


def _too_large(shown: str, size: str) -> str:
    return f"{shown}: is too large ({size}; the limit is {MAX_PIXELS} pixels): make it smaller"


def _shown_size(image: Image.Image) -> str:
    return f"{image.size[0]}x{image.size[1]}"


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # malformed EXIF costs the orientation, not the photo
        return


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_grey_to_8_bit(image)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
        return converted if converted is not None else image.convert("RGB")
    return image.convert("RGB")


def _grey_to_8_bit(image: Image.Image) -> NDArray[np.uint8]:
    """``[H, W]``, by the rules that ``load_image`` states."""
    values = np.asarray(image).astype(np.float32)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    black, white = _black_and_white(image.mode, int(tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]), values)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (np.nan_to_num(values, nan=black, posinf=white, neginf=black) - black) * (255 / (white - black))
    grey: NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero; Pillow inverts 8-bit files only
        grey = 255 - grey
    transparent = image.info.get("transparency")  # of 16-bit PNG files: the value that is transparent
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return grey


def _black_and_white(mode: str, bits: int, values: NDArray[np.float32]) -> tuple[float, float]:
    """The values that become 0 and 255."""
    if mode.startswith("I;16"):
        return 0.0, float((1 << bits) - 1 if 8 < bits < 16 else 65535)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    for white in (1.0, 255.0, 65535.0) if mode == "F" else (65535.0,):
        if low >= 0 and high <= white:
            return 0.0, white
    return low, high if high > low else low + 1


def _reason(error: BaseException) -> str:
    text = printable(" ".join(str(error).split()))[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
