"""Discriminative regions drawn over the photo."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fol.visualization.page import FAINT, MARGIN, SANS, Page, photo_box, show_photo

COLOURS = "inferno"
OPACITY = 0.55
SCALE_HEIGHT = 0.42  # inches below the photo for the scale


def region_values(region_map: Tensor | NDArray[np.floating]) -> NDArray[np.float64]:
    """The map ``[h, w]`` as numpy; values that are not finite become the lowest finite one."""
    if isinstance(region_map, Tensor):
        region_map = region_map.detach().cpu().double().numpy()
    values = np.asarray(region_map, np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"a region map is [h, w], this one is {list(values.shape)}")
    finite = np.isfinite(values)
    return np.where(finite, values, values[finite].min() if finite.any() else 0.0)


def overlay_regions(axes: Axes, image: Image.Image, region_map: Tensor | NDArray[np.floating]) -> None:
    """Draw the photo in grey and the map over it, from its lowest (dark) to its highest value (bright), smoothly
    upsampled to the photo's size. A map of one value everywhere is drawn dark."""
    values = region_values(region_map)
    low, high = float(values.min()), float(values.max())
    width, height = image.size
    show_photo(axes, image.convert("L"))
    axes.imshow(
        values,
        extent=(0, width, height, 0),
        cmap=COLOURS,
        vmin=low,
        vmax=high if high > low else low + 1,
        alpha=OPACITY,
        interpolation="bilinear",
        aspect="auto",
    )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)


def add_scale(page: Page, region_map: Tensor | NDArray[np.floating], left: float, top: float, width: float) -> None:
    """A colour scale with the map's lowest and highest value, ``SCALE_HEIGHT`` inches high and at least 2.2 wide."""
    values, width = region_values(region_map), max(width, 2.2)
    axes = page.axes(left, top + 0.08, width, 0.11)
    axes.imshow(np.linspace(0, 1, 256)[None], cmap=COLOURS, aspect="auto", extent=(0, 1, 0, 1))
    for x, value, side in ((0.0, values.min(), "left"), (1.0, values.max(), "right")):
        axes.text(x, -0.35, f"{value:.3g}", ha=side, va="top", fontsize=7.5, color=FAINT, family=SANS)
    axes.text(0.5, -0.35, "region confidence", ha="center", va="top", fontsize=7.5, color=FAINT, family=SANS)


def draw_regions(image: Image.Image, region_map: Tensor | NDArray[np.floating]) -> Figure:
    """Photo and region map ``[h, w]`` side by side (one above the other when they are wide).

    Raises ``ValueError`` for a map of another shape.
    """
    width, height = image.size
    stacked = width > 2 * height
    box = photo_box(image.size, 8.0 if stacked else 5.0, 5.0)
    gap = 0.15
    page = Page(
        2 * MARGIN + (box[0] if stacked else box[0] + gap + max(box[0], 2.2)),
        2 * MARGIN + (2 * box[1] + gap if stacked else box[1]) + SCALE_HEIGHT,
    )
    left, top = (MARGIN, MARGIN + box[1] + gap) if stacked else (MARGIN + box[0] + gap, MARGIN)
    show_photo(page.axes(MARGIN, MARGIN, *box), image)
    overlay_regions(page.axes(left, top, *box), image, region_map)
    add_scale(page, region_map, left, top + box[1], box[0])
    return page.figure
