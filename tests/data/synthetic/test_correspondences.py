"""True correspondences of two views."""

from __future__ import annotations

import numpy as np
from scenes import one_street, wall

from fol.data.synthetic import (
    Camera,
    City,
    cast,
    render,
    true_correspondences,
)
from fol.data.synthetic.scenery import PlainSpec
from fol.data.synthetic.surfaces import SurfaceBuilder


class TestCorrespondences:
    def test_round_trip(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        rng = np.random.default_rng(1)
        found = 0
        for a, b in cameras:
            points = rng.uniform(0, 224, (400, 2))
            there, visible = true_correspondences(city, a, b, points)
            back, again = true_correspondences(city, b, a, there[visible])
            assert again.mean() > 0.97  # a ray that meets the very edge of a leaf may slip past it
            np.testing.assert_allclose(back[again], points[visible][again], atol=1e-3)
            found += int(visible.sum())
        assert found > 300

    def test_to_itself_is_the_identity(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        points = np.random.default_rng(2).uniform(0, 224, (300, 2))
        there, visible = true_correspondences(city, cameras[0][0], cameras[0][0], points)
        _, surface = cast(city, cameras[0][0], points, 224)
        np.testing.assert_allclose(there[surface >= 0], points[surface >= 0], atol=1e-6)
        assert visible[surface >= 0].mean() > 0.97 and not visible[surface < 0].any()
        assert np.isnan(there[surface < 0]).all()

    def test_one_plane_follows_its_homography(self) -> None:
        """Plane y = 10 seen by two cameras at the origin's height: K (R + t n'/d) K^-1 by hand."""
        builder = SurfaceBuilder()
        wall(builder, PlainSpec((200, 90, 40)), -30.0, 10.0, -20.0, 60.0, 60.0)
        city, size = one_street(builder), 100
        a, b = Camera((0, 0, 1.5), 0.0, 0.6), Camera((1.0, 2.0, 1.7), -8.0, 0.7, 3.0)
        relative = b.rotation() @ a.rotation().T
        translation = b.rotation() @ (np.array(a.position) - np.array(b.position))
        normal, distance = a.rotation() @ np.array([0.0, 1.0, 0.0]), 10.0
        homography = (
            b.intrinsics(size)
            @ (relative + np.outer(translation, normal) / distance)
            @ np.linalg.inv(a.intrinsics(size))
        )
        points = np.random.default_rng(0).uniform(20, 80, (50, 2))
        mapped = np.concatenate([points, np.ones((50, 1))], axis=1) @ homography.T
        there, visible = true_correspondences(city, a, b, points, size=size)
        np.testing.assert_allclose(there, mapped[:, :2] / mapped[:, 2:], atol=1e-6)
        np.testing.assert_array_equal(visible, ((there >= 0) & (there < size)).all(axis=1))

    def test_what_is_hidden_is_not_visible(self) -> None:
        builder = SurfaceBuilder()
        wall(builder, PlainSpec((200, 90, 40)), -30.0, 20.0, -20.0, 60.0, 60.0)
        wall(builder, PlainSpec((20, 90, 40)), 1.0, 10.0, -5.0, 2.0, 20.0)  # a post, in the way of b alone
        city = one_street(builder)
        a, b = Camera((-4.0, 0, 1.5), 0.0), Camera((4.0, 0, 1.5), 0.0)
        # b's ray to the wall's point (0, 20) passes x = 2 at y = 10, that to (-4, 20) passes x = 0
        pixels, _ = a.project([[0, 20, 1.5], [-4, 20, 1.5]], 100)
        there, visible = true_correspondences(city, a, b, pixels, size=100)
        assert visible.tolist() == [False, True]
        np.testing.assert_allclose(there, [[50 - 60 * 4 / 20, 50], [50 - 60 * 8 / 20, 50]], atol=1e-6)

    def test_rendered_pixels_agree(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        """Two pictures in the same light show the same colours at corresponding points, far better than by chance."""
        y, x = np.mgrid[4:220:4, 4:220:4] + 0.5
        points = np.stack([x.ravel(), y.ravel()], 1)
        errors, chance = [], []
        for a, b in cameras:
            there, visible = true_correspondences(city, a, b, points)
            pictures = [render(city, camera, "day", 224).astype(float).mean(axis=2) for camera in (a, b)]
            first = pictures[0][tuple(points[visible].astype(int).T[::-1])]
            second = pictures[1][tuple(there[visible].astype(int).T[::-1])]
            errors.append(np.abs(first - second))
            chance.append(np.abs(first - np.random.default_rng(0).permutation(second)))
        assert np.median(np.concatenate(errors)) < 0.3 * np.median(np.concatenate(chance))
