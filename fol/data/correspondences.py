"""Where a point of a query lies in a database image, for data sets that know: synthetic cities.

``true_geometry`` reads what a data set's folder says of it; evaluations see ``TrueGeometry`` alone, no file format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fol.data.dataset import PlaceDataset
from fol.types import Place

if TYPE_CHECKING:
    from fol.data.synthetic import City, View

Floats = NDArray[np.float64]
_GRID = 12  # points per side at which two views are compared


class TrueGeometry(Protocol):
    """True correspondences between the images of one data set, which are named by their indices in it."""

    def correspondences(self, query: int, database: int, points: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
        """Pixels ``[N, 2]`` of the database image that show what the query shows at ``points [N, 2]``, its pixels.

        With a mask ``[N]``: False where it is not to be seen there, and the pixel means nothing.
        """

    def closest_view(self, query: int, database: Sequence[int]) -> int | None:
        """Which of these database images shows most of what the query shows; None when none shows any of it."""


class CityGeometry:
    """The geometry of a synthetic city. What comes and goes, such as cars, corresponds to nothing."""

    def __init__(self, dataset: PlaceDataset, city: City, size: int, views: Mapping[str, View]) -> None:
        self._city, self._size = city, size
        self._queries = [_view(views, place, "queries") for place in dataset.queries]
        self._database = [_view(views, place, "database") for place in dataset.database]

    def correspondences(self, query: int, database: int, points: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
        """See ``TrueGeometry``."""
        from fol.data.synthetic import covered, true_correspondences

        pixels = np.asarray(points, np.float64).reshape(-1, 2)
        a, b = self._queries[query], self._database[database]
        found, visible = true_correspondences(self._city, a.camera, b.camera, pixels, size=self._size)
        some = np.flatnonzero(visible)
        if len(some):
            hidden = covered(self._city, a, pixels[some], size=self._size)
            hidden |= covered(self._city, b, found[some], size=self._size)
            visible[some[hidden]] = False
        return found, visible

    def closest_view(self, query: int, database: Sequence[int]) -> int | None:
        """See ``TrueGeometry``; of equal ones the first."""
        from fol.data.synthetic import true_correspondences

        axis = (np.arange(_GRID) + 0.5) * (self._size / _GRID)
        points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        camera = self._queries[query].camera
        shared = [
            int(true_correspondences(self._city, camera, self._database[i].camera, points, size=self._size)[1].sum())
            for i in database
        ]
        return database[int(np.argmax(shared))] if any(shared) else None


def true_geometry(dataset: PlaceDataset) -> TrueGeometry | None:
    """The true geometry of a data set; None where it is not known, which is everywhere but in synthetic cities.

    Raises ``DataError`` for a city whose description is damaged or of another version.
    """
    from fol.data.synthetic import read_city
    from fol.data.synthetic.folder import DESCRIPTION

    if not (dataset.root / DESCRIPTION).is_file():
        return None
    city, size, views = read_city(dataset.root)
    if not all(_named(views, place, "queries") for place in dataset.queries):
        return None  # a folder of other images that lies beside a city's description
    if not all(_named(views, place, "database") for place in dataset.database):
        return None
    return CityGeometry(dataset, city, size, views)


def geometry_digest(dataset: PlaceDataset) -> str | None:
    """SHA-256 of the file that ``true_geometry`` reads; None where there is none."""
    from fol.data.synthetic.folder import DESCRIPTION

    path = dataset.root / DESCRIPTION
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _named(views: Mapping[str, View], place: Place, folder: str) -> bool:
    return f"{folder}/{place.name}" in views


def _view(views: Mapping[str, View], place: Place, folder: str) -> View:
    return views[f"{folder}/{place.name}"]
