"""Region maps over photos."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from fol.visualization import draw_regions
from fol.visualization.regions import region_values


def drawn(figure: object) -> np.ndarray:
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png")  # type: ignore[attr-defined]
    return np.asarray(Image.open(encoded).convert("RGB")).astype(float)


def area(figure: object, axes: object) -> np.ndarray:
    """The rendered pixels of one axes."""
    picture = drawn(figure)
    box = axes.get_window_extent()  # type: ignore[attr-defined]
    height = len(picture)
    return picture[round(height - box.y1) : round(height - box.y0), round(box.x0) : round(box.x1)]


@pytest.mark.parametrize("size", [(400, 300), (97, 53), (2000, 200), (100, 1000)])
def test_photo_and_map_lie_in_the_photos_pixels(size: tuple[int, int]) -> None:
    region_map = torch.linspace(0, 1, 6).reshape(2, 3)
    photo, overlay, *_ = (figure := draw_regions(Image.new("RGB", size, (40, 90, 200)), region_map)).axes
    assert photo.get_xlim() == overlay.get_xlim() == (0, size[0])
    assert photo.get_ylim() == overlay.get_ylim() == (size[1], 0)
    grey, upsampled = overlay.images
    assert upsampled.get_array().shape == (2, 3) and tuple(upsampled.get_extent()) == (0, size[0], size[1], 0)
    inner = area(figure, photo)
    np.testing.assert_allclose(inner[3:-3, 3:-3].mean(axis=(0, 1)), (40, 90, 200), atol=2)
    assert np.ptp(grey.get_array().reshape(-1, 3).astype(int), axis=1).max() == 0  # the photo below the map is grey


def test_bright_where_the_map_is_high() -> None:
    region_map = torch.zeros(4, 4)
    region_map[0, 3] = 1.0  # upper right
    figure = draw_regions(Image.new("RGB", (200, 200), (128, 128, 128)), region_map)
    overlay = area(figure, figure.axes[1]).mean(axis=2)
    height, width = overlay.shape
    assert overlay[height // 16, -width // 16] > overlay[-height // 16, width // 16] + 80


def test_scale_shows_the_values() -> None:
    figure = draw_regions(Image.new("RGB", (200, 200)), np.array([[0.125, 0.5]]))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"0.125", "0.5"} <= set(texts)


def test_odd_maps() -> None:
    constant = draw_regions(Image.new("RGB", (100, 100)), torch.full((3, 3), 0.4, dtype=torch.bfloat16))
    assert np.isfinite(drawn(constant)).all()
    values = region_values(torch.tensor([[float("nan"), 0.25], [1.0, float("inf")]]))
    assert values.tolist() == [[0.25, 0.25], [1.0, 0.25]]
    with pytest.raises(ValueError, match=r"is \[h, w\], this one is \[4\]"):
        draw_regions(Image.new("RGB", (100, 100)), torch.zeros(4))
