"""Pictures of the city: geometry, visibility, light, filtering."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import SIZE, Chequers, one_street, wall

from fol.data.synthetic import (
    Camera,
    City,
    CityParameters,
    cast,
    city_views,
    render,
)
from fol.data.synthetic.scenery import PlainSpec
from fol.data.synthetic.surfaces import Frame, SurfaceBuilder
from fol.data.synthetic.textures import _cache
from fol.errors import ConfigError


class TestRender:
    def test_a_rectangle_is_where_the_homography_puts_it(self) -> None:
        """A white wall 10 m ahead, seen by a camera turned 20 degrees: corners by trigonometry."""
        builder = SurfaceBuilder()
        wall(builder, PlainSpec((255, 255, 255)), -2.0, 10.0, 0.0, 3.0, 4.0)
        city, camera = one_street(builder), Camera((0.5, 0.0, 1.5), yaw=20.0, focal=0.5)
        size, turn = 200, radians(20)
        expected = []
        for x, z in ((-2.0, 4.0), (1.0, 4.0), (1.0, 0.0), (-2.0, 0.0)):
            east, north, up = x - 0.5, 10.0, z - 1.5
            right, ahead = east * cos(turn) - north * sin(turn), east * sin(turn) + north * cos(turn)
            expected.append((100 + 100 * right / ahead, 100 - 100 * up / ahead))
        # a far brighter picture inside than outside (sky is blue there), so threshold on red
        inside = render(city, camera, "day", size)[..., 0] > 235
        ys, xs = np.nonzero(inside)
        left, right = expected[0][0], expected[1][0]
        assert xs.min() == pytest.approx(left, abs=1) and xs.max() + 1 == pytest.approx(right, abs=1)
        # the upper edge is a straight line between the two upper corners
        for share in (0.1, 0.5, 0.9):
            column = int(left + share * (right - left))
            height = np.interp(column + 0.5, [left, right], [expected[0][1], expected[1][1]])
            foot = np.interp(column + 0.5, [left, right], [expected[3][1], expected[2][1]])
            rows = ys[xs == column]
            assert rows.min() == pytest.approx(height, abs=1) and rows.max() + 1 == pytest.approx(foot, abs=1)

    def test_the_nearer_surface_hides_the_farther(self) -> None:
        for order in ((5.0, 9.0), (9.0, 5.0)):
            builder = SurfaceBuilder()
            for y in order:
                wall(builder, PlainSpec((250, 0, 0) if y == 5.0 else (0, 0, 250)), -y / 2, y, -9, y, 20)
            red, _, blue = render(one_street(builder), Camera((0, 0, 1.5), 0.0), "day", 32)[16, 16]
            assert red > 200 and blue < 20

    def test_one_sided_from_behind_two_sided_from_both(self) -> None:
        for two_sided in (False, True):
            builder = SurfaceBuilder()
            frame = Frame((-3.0, 5.0), (1.0, 0.0))
            builder.panel(PlainSpec((255, 0, 0)), frame, 0, -5, 6, 12, two_sided=two_sided)
            behind = Camera((0, 10, 1), yaw=180.0)
            _, surface = cast(one_street(builder), behind, [[16, 16]], 32)
            assert (surface[0] == 0) == two_sided

    def test_the_near_plane_clips_what_passes_the_camera(
        self, city: City, cameras: list[tuple[Camera, Camera]]
    ) -> None:
        """Ground and houses reach behind the camera: no hole may show at the bottom, where there is no sky."""
        for pair in cameras:
            for camera in pair:
                y, x = np.mgrid[SIZE * 5 // 8 : SIZE : 3, 0:SIZE:3] + 0.5
                points, surface = cast(city, camera, np.stack([x.ravel(), y.ravel()], 1), SIZE)
                assert (surface >= 0).all() and np.isfinite(points).all()

    def test_same_arguments_same_pixels(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        camera = cameras[0][0]
        first = render(city, camera, "dusk", SIZE)
        _cache.kept.clear()
        np.testing.assert_array_equal(first, render(City.build(4, seed=3), camera, "dusk", SIZE))
        assert first.dtype == np.uint8 and first.shape == (SIZE, SIZE, 3)

    def test_more_places_do_not_change_the_first(self, cameras: list[tuple[Camera, Camera]], city: City) -> None:
        camera = cameras[1][1]
        larger = City.build(9, seed=3)
        assert larger.places[:4] == city.places and len(larger.places) == 9
        np.testing.assert_array_equal(render(city, camera, "day", 48), render(larger, camera, "day", 48))

    def test_seeds_and_places_differ(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        pictures = [render(city, a, "day", 48).astype(int) for a, _ in cameras]
        other = City.build(4, seed=4)
        views = city_views(other, CityParameters(places=4, seed=4))
        pictures.append(render(other, views[0].camera, "day", 48).astype(int))
        for i, a in enumerate(pictures):
            for b in pictures[:i]:
                assert np.abs(a - b).mean() > 15

    def test_light_changes_pixels_not_geometry(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        camera = cameras[2][0]
        day, dusk = (render(city, camera, light, SIZE).astype(float) for light in ("day", "dusk"))
        assert np.abs(day - dusk).mean() > 20
        y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
        _, surface = cast(city, camera, np.stack([x.ravel(), y.ravel()], 1), SIZE)
        sky = (surface < 0).reshape(SIZE, SIZE)
        assert sky.any() and day[sky].mean() > 1.5 * dusk[sky].mean()
        # windows and signs shine at dusk: some of the houses are brighter than by day, most are not
        brighter = (dusk > day + 20).all(axis=2)[~sky].mean()
        assert 0.002 < brighter < 0.5

    def test_unknown_light_is_refused(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        with pytest.raises(ConfigError, match="no light 'noon', there are day, dusk"):
            render(city, cameras[0][0], "noon", 32)

    def test_fine_patterns_far_away_turn_grey(self) -> None:
        """Squares of a fraction of a pixel must average out, head-on and at a grazing angle, not flicker."""
        for along, camera in (((1.0, 0.0), Camera((20, 0, 20), 0.0)), ((0.0, -1.0), Camera((-15, 30, 20), 5.0))):
            builder = SurfaceBuilder()
            frame = Frame((0.0, 60.0 if along[0] else 100.0), along)
            builder.panel(Chequers(), frame, 0, 0, 40, 40, repeats=(40, 40))
            picture = render(one_street(builder), camera, "day", 64)[..., 0].astype(float)
            y, x = np.mgrid[0:64, 0:64] + 0.5
            _, surface = cast(one_street(builder), camera, np.stack([x.ravel(), y.ravel()], 1), 64)
            shown = (surface == 0).reshape(64, 64)
            shown[1:-1, 1:-1] &= shown[:-2, 1:-1] & shown[2:, 1:-1] & shown[1:-1, :-2] & shown[1:-1, 2:]
            assert shown[1:-1, 1:-1].sum() > 40
            assert picture[1:-1, 1:-1][shown[1:-1, 1:-1]].std() < 8


@settings(max_examples=10, deadline=None)
@given(st.floats(-3, 3), st.floats(0.8, 4), st.floats(0, 360), st.floats(-20, 30), st.integers(16, 40))
def test_any_camera_in_the_street_renders(across: float, up: float, yaw: float, pitch: float, size: int) -> None:
    city = City.build(1, seed=3)
    east, north, height = city.streets[0].to_city(np.array([[across, 40.0, up]]))[0].tolist()
    picture = render(city, Camera((east, north, height), yaw, 0.6, pitch), "day", size)
    assert picture.shape == (size, size, 3) and picture.std() > 1
