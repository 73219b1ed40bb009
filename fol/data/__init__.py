"""Files to places: the one room that knows file formats.

* Images: ``load_image`` (any format Pillow decodes, to upright RGB), ``upright_rgb`` (the same for an
  opened image), ``with_short_side``, ``image_size`` (header only), ``list_images``.
* Places: ``read_places`` reads a folder with whatever labels it has (sidecar CSV, ``@`` names, EXIF GPS, none),
  ``read_dataset`` a database with queries and ground truth, as a ``PlaceDataset``.
* Coordinates: ``position_from_latlon``, ``position_from_utm``, ``planar_coordinates``, ``distances``,
  ``within_radius``.
* Names: ``format_at_name`` and ``parse_at_name`` for ``@east@north@...`` file names.
* ``make_city`` writes a procedural city to try things on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fol.data.coordinates import (
    distances,
    planar_coordinates,
    position_from_latlon,
    position_from_utm,
    within_radius,
)
from fol.data.dataset import PlaceDataset, SearchRules, WithoutPositives, read_dataset
from fol.data.images import (
    MAX_PIXELS,
    MIN_SIDE,
    image_size,
    list_images,
    load_image,
    printable,
    upright_rgb,
    with_short_side,
)
from fol.data.readers.at_names import format_at_name, parse_at_name
from fol.data.readers.folder import read_places
from fol.data.readers.label import Label

if TYPE_CHECKING:
    from fol.data.synthetic import make_city

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "Label",
    "PlaceDataset",
    "SearchRules",
    "WithoutPositives",
    "distances",
    "format_at_name",
    "image_size",
    "list_images",
    "load_image",
    "make_city",
    "parse_at_name",
    "planar_coordinates",
    "position_from_latlon",
    "position_from_utm",
    "printable",
    "read_dataset",
    "read_places",
    "upright_rgb",
    "with_short_side",
    "within_radius",
]


def __getattr__(name: str) -> Any:
    if name == "make_city":  # looked up when used: the renderer is not needed to read files
        from fol.data.synthetic import make_city

        return make_city
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
