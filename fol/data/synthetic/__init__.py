"""The synthetic city: procedural streets seen by a real pinhole camera, decided by a seed, without downloads.

For the rest of the library: ``make_city`` and ``make_city_level`` (data sets on disk, the latter a split of one of the
four ``LEVELS``) and ``read_city`` (their geometry and cameras again); ``City``, ``Camera``, ``render``, ``cast`` and
``true_correspondences`` for exact geometry, ``covered`` for pixels that show a car or a person instead.

The parts: ``camera`` (pinhole), ``surfaces`` (textured rectangles); ``textures``, ``materials``, ``facades``,
``scenery`` (what is painted on them); ``layout``, ``street`` (what stands where); ``vehicles``, ``people``, ``traffic``
(what comes and goes); ``conditions``, ``light``, ``seasons``, ``precipitation`` (how it looks); ``render``, ``photo``
(the picture and the camera's faults); ``levels``, ``views`` (where photos are taken); ``folder``, ``on_disk``.
"""

from fol.data.synthetic.camera import Camera
from fol.data.synthetic.conditions import LIGHTS, Light
from fol.data.synthetic.levels import DEFAULT_PLACES, LEVELS, SPLITS, Level, LevelParameters
from fol.data.synthetic.on_disk import CityParameters, city_views, level_views, make_city, make_city_level, read_city
from fol.data.synthetic.render import cast, render, true_correspondences
from fol.data.synthetic.street import City
from fol.data.synthetic.views import View, city_of, covered, picture

__all__ = [
    "DEFAULT_PLACES",
    "LEVELS",
    "LIGHTS",
    "SPLITS",
    "Camera",
    "City",
    "CityParameters",
    "Level",
    "LevelParameters",
    "Light",
    "View",
    "cast",
    "city_of",
    "city_views",
    "covered",
    "level_views",
    "make_city",
    "make_city_level",
    "picture",
    "read_city",
    "render",
    "true_correspondences",
]
