"""How fast the city is rendered: everything included, from streets to encoded photos."""

from __future__ import annotations

import time

from fol.data.synthetic.levels import LevelParameters
from fol.data.synthetic.on_disk import level_views
from fol.data.synthetic.views import city_of, picture


def images_per_second(level: str = "hard", places: int = 32, *, seed: int = 1, size: int = 224) -> tuple[int, float]:
    """Number of photos of a training split, and photos per second of one core's time.

    Counts the process's own CPU time, so that other work on the machine disturbs little: building the streets, painting
    every texture that was not painted before in this process, rendering, the camera, JPEG; only writing files is left
    out.
    """
    start = time.process_time()
    parameters = LevelParameters(level, "train", places, seed, size, 8)
    parameters.check()
    city = city_of(parameters)
    views = level_views(city, parameters)
    for view in views:
        picture(city, view, size)
    return len(views), len(views) / (time.process_time() - start)
