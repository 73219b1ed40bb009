"""A small city and pairs of its views."""

from __future__ import annotations

from pathlib import Path

import pytest

from fol.data.synthetic import Camera, City, CityParameters, city_views, make_city


@pytest.fixture(scope="session")
def city() -> City:
    return City.build(4, seed=3)


@pytest.fixture(scope="session")
def cameras(city: City) -> list[tuple[Camera, Camera]]:
    """Per place the first database camera and the query camera that looks the same way."""
    views = city_views(city, CityParameters(places=4, seed=3))
    return [(a.camera, b.camera) for a, b in zip(views[0::4], views[1::4], strict=True)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_city(tmp_path_factory.mktemp("synthetic") / "city", places=5, seed=2, size=64)
