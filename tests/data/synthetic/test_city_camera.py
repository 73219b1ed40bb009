"""The pinhole camera."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fol.data.synthetic import (
    Camera,
)


class TestCamera:
    def test_projects_by_hand(self) -> None:
        camera = Camera((100.0, 200.0, 2.0), yaw=0.0, focal=0.5)  # 100 px of focal length at 200 px
        pixels, depth = camera.project([[100, 210, 2], [101, 210, 2], [100, 210, 4], [100, 190, 2]], 200)
        np.testing.assert_allclose(depth, [10, 10, 10, -10])
        np.testing.assert_allclose(pixels[:3], [[100, 100], [110, 100], [100, 80]])
        assert np.isnan(pixels[3]).all()

    @pytest.mark.parametrize(("yaw", "ahead"), [(0, (0, 1)), (90, (1, 0)), (180, (0, -1)), (270, (-1, 0))])
    def test_yaw_turns_clockwise_from_north(self, yaw: float, ahead: tuple[int, int]) -> None:
        np.testing.assert_allclose(Camera((0, 0, 0), yaw).rotation()[2], (*ahead, 0), atol=1e-12)

    def test_pitch_looks_up(self) -> None:
        pixels, _ = Camera((0, 0, 0), 0.0, pitch=45.0).project([[0, 5, 5]], 100)
        np.testing.assert_allclose(pixels, [[50, 50]])

    @given(
        st.floats(-180, 540),
        st.floats(-60, 60),
        st.floats(0.3, 2),
        st.lists(st.tuples(st.floats(0, 64), st.floats(0, 64)), min_size=1, max_size=5),
    )
    def test_rays_and_projection_are_inverse(
        self, yaw: float, pitch: float, focal: float, points: list[tuple[float, float]]
    ) -> None:
        camera = Camera((431.0, -77.5, 1.7), yaw, focal, pitch)
        rays = camera.rays(points, 64)
        pixels, depth = camera.project(np.array(camera.position) + 7.5 * rays, 64)
        np.testing.assert_allclose(pixels, points, atol=1e-8)
        np.testing.assert_allclose(depth, 7.5)
