"""Text that fits, photos on axes, and files that are whole."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fol.errors import ConfigError, DataError
from fol.visualization import page as pages
from fol.visualization import save_png
from fol.visualization.page import Page, characters, fits, photo_box, show_photo


def pixels(figure: object) -> np.ndarray:
    encoded = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning of matplotlib
        figure.savefig(encoded, format="png")  # type: ignore[attr-defined]
    return np.asarray(Image.open(encoded).convert("RGB"))


@given(st.text(max_size=90), st.integers(4, 40), st.integers(1, 3))
def test_text_fits_its_lines(words: str, columns: int, rows: int) -> None:
    lines = fits(words, columns, rows).split("\n")
    assert len(lines) <= rows and max(map(len, lines)) <= columns
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("short.jpg", "short.jpg"),
        ("abcdefghijklmnopqrstuvwxyz", "abcdef…vwxyz"),
        ("東京.jpg", "□□.jpg"),
        ("Bärenstraße $x_1$", "Bärens…$x_1$"),
        ("a\nb", "a\\nb"),
        ("", ""),
    ],
)
def test_text_by_hand(words: str, expected: str) -> None:
    assert fits(words, 12) == expected


def test_monospaced_lines_stay_inside_their_width() -> None:
    """Measured on the rendered page: the estimate of the characters that fit must hold."""
    page = Page(4.0, 1.0)
    page.text(0.5, 0.3, "@" * characters(3.0, 7), size=7, mono=True)
    inked = np.nonzero((pixels(page.figure) < 250).any(axis=(0, 2)))[0]
    assert inked.min() >= 0.5 * pages.DPI - 1 and inked.max() <= 3.5 * pages.DPI + 1


@pytest.mark.parametrize("words", ["$x_1$ \\frac{1", "a_b^c", "früh é", "100 % @ #"])
def test_names_are_never_markup(words: str) -> None:
    page = Page(4.0, 1.0)
    page.text(0.1, 0.1, fits(words, 30))
    assert page.figure.texts[0].get_text() == words
    assert (pixels(page.figure) < 128).any()


@pytest.mark.parametrize(
    ("size", "box"), [((300, 200), (3.0, 2.0)), ((1000, 100), (4.0, 0.4)), ((100, 1000), (0.2, 2.0))]
)
def test_photo_box_keeps_the_aspect(size: tuple[int, int], box: tuple[float, float]) -> None:
    assert photo_box(size, 4.0, 2.0) == pytest.approx(box)


@pytest.mark.parametrize("size", [(97, 53), (3000, 300), (40, 400), (224, 224), (14, 14)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_photo_is_drawn_where_it_belongs(size: tuple[int, int], mode: str) -> None:
    """Left half dark, right half bright; data coordinates are the photo's own pixels."""
    width, height = size
    values = np.where(np.arange(width) < width / 2, 20, 230).astype(np.uint8)
    photo = Image.fromarray(np.repeat(values[None], height, axis=0)).convert(mode)
    page = Page(5.0, 5.0)
    box = photo_box(size, 4.0, 4.0)
    axes = page.axes(0.5, 0.5, *box)
    show_photo(axes, photo)
    assert axes.get_xlim() == (0, width) and axes.get_ylim() == (height, 0)
    drawn, dpi = pixels(page.figure), pages.DPI
    middle = round((0.5 + box[1] / 2) * dpi)
    for share, value in ((0.25, 20), (0.75, 230)):
        assert np.abs(drawn[middle, round((0.5 + share * box[0]) * dpi)].astype(int) - value).max() <= 3
    assert (drawn[:, : round(0.4 * dpi)] == 255).all()


def test_saving_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "Übersicht 1.png"
    path.write_bytes(b"old")
    save_png(Page(2.0, 1.0).figure, path)
    assert Image.open(path).size == (2 * pages.DPI, pages.DPI)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"a\.png: cannot be written \(No space left on device\)"):
        save_png(Page(2.0, 1.0).figure, path)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_unusable_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.jpg: pictures are PNG files"):
        save_png(Page(2.0, 1.0).figure, tmp_path / "a.jpg")
    with pytest.raises(DataError, match="cannot be written"):
        save_png(Page(2.0, 1.0).figure, tmp_path / "no such folder" / "a.png")
    assert not list(tmp_path.iterdir())


def test_matplotlib_global_state_is_left_alone(tmp_path: Path) -> None:
    program = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy()\n"
        "from fol.visualization import draw_recall\n"
        "draw_recall(sys.argv[1], {'global': {1: 0.5}})\n"
        "assert 'matplotlib.pyplot' not in sys.modules and matplotlib.rcParams.copy() == before\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "r.png")], check=True)
