"""Textures, and where houses and places stand."""

from __future__ import annotations

import numpy as np

from fol.data.synthetic import (
    City,
)
from fol.data.synthetic.facades import FacadeSpec
from fol.data.synthetic.street import PLACES_PER_STREET
from fol.data.synthetic.textures import ripmap


class TestTextures:
    def test_ripmap_levels_are_means(self) -> None:
        texels = np.zeros((16, 32, 4), np.uint8)
        texels[:, ::2] = 200  # stripes along u
        pattern = ripmap(texels)
        at, small, large = (np.array([v], np.float32) for v in (0.51, 1e-4, 1 / 8))
        assert pattern.sample(at, at, small, large).view(np.uint8)[0] in (0, 200)  # sharp along u whatever v does
        assert pattern.sample(at, at, large, small).view(np.uint8)[0] == 100

    def test_rounding_keeps_the_brightness(self) -> None:
        texels = np.random.default_rng(0).integers(0, 256, (64, 64, 4)).astype(np.uint8)
        pattern = ripmap(texels)
        at, all_of_it = np.array([0.1], np.float32), np.array([1 / 4], np.float32)
        quarter = texels[:16, :16].reshape(-1, 4).mean(axis=0)
        np.testing.assert_allclose(pattern.sample(at, at, all_of_it, all_of_it).view(np.uint8), quarter, atol=2)

    def test_coordinates_wrap(self) -> None:
        texels = np.arange(16 * 16 * 4, dtype=np.uint16).astype(np.uint8).reshape(16, 16, 4)
        pattern = ripmap(texels)
        u, tiny = np.array([0.3, 1.3, 7.3], np.float32), np.full(3, 1e-4, np.float32)
        assert len(set(pattern.sample(u, u, tiny, tiny).tolist())) == 1


class TestLayout:
    def test_places_are_sixty_metres_apart(self) -> None:
        city = City.build(3 * PLACES_PER_STREET, seed=1)
        points = np.array([city.streets[k].to_city(np.array([[0.0, y, 0.0]]))[0] for k, y in city.places])
        distances = np.linalg.norm(points[:, None] - points[None], axis=2)
        assert distances[~np.eye(len(points), dtype=bool)].min() >= 60
        for (k, _), point in zip(city.places, points, strict=True):
            assert city.street_at((point[0], point[1], 1.5)) is city.streets[k]

    def test_street_frame_and_back(self, city: City) -> None:
        points = np.random.default_rng(0).normal(0, 50, (20, 3))
        np.testing.assert_allclose(city.streets[0].to_street(city.streets[0].to_city(points)), points, atol=1e-9)

    def test_houses_repeat_on_purpose(self) -> None:
        city = City.build(8 * PLACES_PER_STREET, seed=0)
        houses = [
            street.surfaces.specs[i]
            for street in city.streets
            for i in street.surfaces.texture.tolist()
            if isinstance(street.surfaces.specs[i], FacadeSpec)
        ]
        repeated = len(houses) - len(set(houses))
        assert 0.1 < repeated / len(houses) < 0.5
