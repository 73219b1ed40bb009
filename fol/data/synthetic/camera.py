"""The pinhole camera of the synthetic city.

World frame of a city: x east, y north, z up, in metres. Camera frame: x right, y down, z forward. Pixels are
(x, y) from the image's top-left corner, so the centre of the first pixel is (0.5, 0.5). Images are square.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A pinhole without distortion or roll.

    ``position`` (east, north, up) metres; ``yaw`` degrees clockwise from north; ``focal`` in image widths, so that
    one camera serves every image size (0.6 is a field of view of 80 degrees); ``pitch`` degrees upward.
    """

    position: tuple[float, float, float]
    yaw: float
    focal: float = 0.6
    pitch: float = 0.0

    def rotation(self) -> Floats:
        """``[3, 3]``: the camera's right, down and forward directions as rows, in world axes."""
        yaw, pitch = radians(self.yaw), radians(self.pitch)
        forward = np.array([sin(yaw) * cos(pitch), cos(yaw) * cos(pitch), sin(pitch)])
        right = np.array([cos(yaw), -sin(yaw), 0.0])
        return np.stack([right, np.cross(forward, right), forward])

    def intrinsics(self, size: int) -> Floats:
        """``[3, 3]`` calibration matrix of a ``size`` x ``size`` image, in pixels."""
        focal, centre = self.focal * size, size / 2
        return np.array([[focal, 0.0, centre], [0.0, focal, centre], [0.0, 0.0, 1.0]])

    def project(self, points: ArrayLike, size: int) -> tuple[Floats, Floats]:
        """World points ``[N, 3]`` to pixels ``[N, 2]`` and depths ``[N]`` (metres along the optical axis).

        Pixels of points that are not in front of the camera (depth <= 0) are NaN.
        """
        local = (np.asarray(points, np.float64).reshape(-1, 3) - np.array(self.position)) @ self.rotation().T
        depth = local[:, 2]
        safe = np.where(depth > 0, depth, np.nan)
        return local[:, :2] / safe[:, None] * (self.focal * size) + size / 2, depth

    def rays(self, points: ArrayLike, size: int) -> Floats:
        """World directions ``[N, 3]`` of the pixels ``[N, 2]``, scaled so that a step of 1 is one metre of depth."""
        pixels = np.asarray(points, np.float64).reshape(-1, 2)
        local = np.concatenate([(pixels - size / 2) / (self.focal * size), np.ones((len(pixels), 1))], axis=1)
        return local @ self.rotation()
