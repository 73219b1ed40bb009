"""The synthetic city: procedural streets seen by a real pinhole camera, decided by a seed, without downloads.

For the rest of the library: ``make_city`` (a data set on disk) and ``read_city`` (its geometry and cameras again);
``City``, ``Camera``, ``render``, ``cast`` and ``true_correspondences`` for exact geometry.

The parts: ``camera`` (pinhole), ``surfaces`` (textured rectangles); ``textures``, ``materials``, ``facades``,
``scenery`` (what is painted on them); ``layout``, ``street`` (what stands where); ``light``, ``render``; ``on_disk``.
"""

from fol.data.synthetic.camera import Camera
from fol.data.synthetic.light import LIGHTS, Light
from fol.data.synthetic.on_disk import CityParameters, View, city_views, make_city, read_city
from fol.data.synthetic.render import cast, render, true_correspondences
from fol.data.synthetic.street import City

__all__ = [
    "LIGHTS",
    "Camera",
    "City",
    "CityParameters",
    "Light",
    "View",
    "cast",
    "city_views",
    "make_city",
    "read_city",
    "render",
    "true_correspondences",
]
