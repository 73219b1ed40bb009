"""Conditions: what they change in a picture, and that they leave the geometry alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scenes import SIZE, one_street, wall

from fol.data.synthetic import LIGHTS, Camera, City, Light, cast, render
from fol.data.synthetic.conditions import varied
from fol.data.synthetic.precipitation import falling, mirrored
from fol.data.synthetic.scenery import PlainSpec, TreeSpec
from fol.data.synthetic.seasons import in_season
from fol.data.synthetic.surfaces import SurfaceBuilder
from fol.data.synthetic.textures import texture
from fol.errors import ConfigError

Picture = NDArray[np.float64]


def shot(city: City, camera: Camera, light: Light | str) -> Picture:
    return render(city, camera, light, SIZE).astype(float)


def ground_of(city: City, camera: Camera) -> NDArray[np.bool_]:
    """Pixels that show something flat on the ground."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    world, _ = cast(city, camera, np.stack([x.ravel(), y.ravel()], 1), SIZE)
    return (world[:, 2] < 0.15).reshape(SIZE, SIZE)


class TestEachCondition:
    @pytest.mark.parametrize("name", [name for name in LIGHTS if name != "day"])
    def test_changes_the_picture(self, name: str, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        differences = [np.abs(shot(city, a, name) - shot(city, a, "day")).mean() for a, _ in cameras]
        assert min(differences) > 2 and max(differences) > 8

    @pytest.mark.parametrize("name", sorted(LIGHTS))
    def test_leaves_edges_where_they_are(self, name: str) -> None:
        """A wall's outline against the sky is at the same pixels in every light and weather."""
        builder = SurfaceBuilder()
        wall(builder, PlainSpec((150, 90, 60)), -3.0, 10.0, 0.0, 4.0, 4.0)
        scene, camera = one_street(builder), Camera((0, 0, 1.5), 0.0, 0.6)
        # 57.6 px of focal length: the wall's corners by hand
        left, right = (SIZE / 2 + 0.6 * SIZE * x / 10 for x in (-3.0, 1.0))
        top = SIZE / 2 - 0.6 * SIZE * (4.0 - 1.5) / 10
        picture = shot(scene, camera, name).sum(axis=2)
        row = np.abs(np.diff(picture[SIZE // 2 - 4]))
        column = np.abs(np.diff(picture[:, int((left + right) / 2)]))[: SIZE // 2]
        strongest = sorted((np.argsort(row)[-2:] + 1).tolist())
        np.testing.assert_allclose(strongest, [left, right], atol=1.01)
        assert np.argmax(column) + 1 == pytest.approx(top, abs=1.01)

    @pytest.mark.parametrize("name", sorted(LIGHTS))
    def test_varies_by_seed_and_only_by_seed(self, name: str) -> None:
        first, again, other = (varied(name, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert first == again and first != other and first.name == name

    def test_every_variation_is_a_possible_light(self) -> None:
        for name in LIGHTS:
            for seed in range(40):
                light = varied(name, np.random.default_rng(seed))
                colours = np.array([light.sun, light.ambient, light.zenith, light.horizon, light.lamp_colour])
                assert (colours >= 0).all() and (colours < 2).all()
                assert 0 <= light.clouds <= 1 and 0 < light.haze < 0.03
                assert all(0 <= share <= 1 for share in (light.wet, light.snow, light.rainfall, light.snowfall))

    def test_unknown(self) -> None:
        with pytest.raises(ConfigError, match="no light 'fog', there are day, dusk"):
            varied("fog", np.random.default_rng(0))


class TestWeather:
    def test_snow_whitens_the_ground_and_rain_darkens_it(
        self, city: City, cameras: list[tuple[Camera, Camera]]
    ) -> None:
        for camera, _ in cameras:
            ground = ground_of(city, camera)
            overcast, snow, rain = (shot(city, camera, name)[ground].mean() for name in ("overcast", "snow", "rain"))
            assert rain < overcast < snow - 30

    def test_night_is_dark_but_for_lamps_and_windows(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        night = np.stack([shot(city, a, "night") for a, _ in cameras])
        assert np.median(night) < 60
        assert 0.001 < (night.max(axis=3) > 200).mean() < 0.2

    def test_windows_are_switched_on_and_off(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        camera = cameras[0][0]
        bright = []
        for windows in ((0.0,) * 4, (1.0, 0.0, 0.0, 0.0), (1.0,) * 4):
            light = replace(LIGHTS["night"], windows=windows, lamps=0.0)
            bright.append(shot(city, camera, light).sum())
        assert bright[0] < bright[1] < bright[2]

    def test_streaks_and_flakes_are_decided_by_the_generator(self) -> None:
        grey = np.full((64, 64, 3), 60, np.uint8)
        for name in ("rain", "snow"):
            a, b, c = (falling(grey, LIGHTS[name], np.random.default_rng(seed)) for seed in (0, 0, 1))
            np.testing.assert_array_equal(a, b)
            assert (a != c).any() and (a >= grey).all() and 0.01 < (a != grey).mean() < 0.9

    def test_wet_ground_mirrors_about_the_horizon(self) -> None:
        """Below a level horizon at row 50, row 70 shows what is at row 30; what is no ground stays as it is."""
        image = np.zeros((100, 100, 3), np.uint8)
        image[24:36] = 200
        ground = np.zeros((100, 100), np.float32)
        ground[50:, :50] = 1
        mixed = mirrored(image, ground, LIGHTS["rain"], Camera((0, 0, 1.5), 0.0))
        np.testing.assert_array_equal(mixed[:, 50:], image[:, 50:])
        assert mixed[50:, 0, 0].argmax() + 50 == pytest.approx(70, abs=4)
        assert mixed[95, 0, 0] == 0


class TestSeasons:
    def test_trees_change_and_nothing_else(self, city: City) -> None:
        surfaces = city.streets[0].surfaces
        assert in_season(surfaces, LIGHTS["day"]) is surfaces
        for name in ("autumn", "winter"):
            changed = in_season(surfaces, LIGHTS[name])
            np.testing.assert_array_equal(changed.origin, surfaces.origin)
            pairs = list(zip(surfaces.specs, changed.specs, strict=True))
            assert any(a != b for a, b in pairs)
            assert all(isinstance(a, TreeSpec) and a.crown != "conifer" for a, b in pairs if a != b)

    def test_a_bare_tree_hides_less(self) -> None:
        full, bare = (texture(TreeSpec((70, 104, 44), "round", 1, leafless)) for leafless in (False, True))
        opaque = [((t.texels[: 256 * 256] >> 24) > 110).mean() for t in (full, bare)]
        assert 0.02 < opaque[1] < 0.5 * opaque[0]
