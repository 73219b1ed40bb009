"""Cars, people and other things that come and go."""

from __future__ import annotations

import numpy as np
import pytest

from fol.data.synthetic import Camera, City, render
from fol.data.synthetic.people import KINDS, PersonSpec
from fol.data.synthetic.surfaces import SurfaceBuilder, Surfaces
from fol.data.synthetic.traffic import TrafficAmounts, traffic
from fol.data.synthetic.vehicles import MODELS, SHAPES, CarSideSpec, add_vehicle, height_of

BUSY = TrafficAmounts(parked=0.7, moving=4, people=15, large=0.3, near=2)


def made(city: City, camera: Camera, seed: int, amounts: TrafficAmounts = BUSY) -> Surfaces:
    found = traffic(city.street_at(camera.position), camera, amounts, np.random.default_rng(seed))
    assert found is not None
    return found


def corners(surfaces: Surfaces, kind: type) -> list[np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """The four corners of every surface with a texture of that kind."""
    return [
        np.array([o, o + a, o + a + u, o + u])
        for o, a, u, t in zip(surfaces.origin, surfaces.across, surfaces.up, surfaces.texture.tolist(), strict=True)
        if isinstance(surfaces.specs[t], kind)
    ]


class TestTraffic:
    def test_decided_by_the_generator(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        camera = cameras[0][0]
        first, again, other = (made(city, camera, seed) for seed in (5, 5, 6))
        np.testing.assert_array_equal(first.origin, again.origin)
        assert first.specs == again.specs
        assert len(first) != len(other) or (first.origin != other.origin).any()

    def test_nothing_where_nothing_is_asked_for(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        camera = cameras[0][0]
        street = city.street_at(camera.position)
        assert traffic(street, camera, TrafficAmounts(), np.random.default_rng(0)) is None

    def test_cars_are_on_the_road(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        cars = 0
        for seed in range(6):
            camera = cameras[seed % len(cameras)][0]
            street = city.street_at(camera.position)
            for car in corners(made(city, camera, seed), CarSideSpec):
                assert np.abs(car[:, 0]).max() < street.road
                cars += 1
        assert cars > 60

    def test_no_car_around_the_camera(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        for seed in range(20):
            camera = cameras[seed % len(cameras)][1]
            eye = city.street_at(camera.position).to_street(np.array(camera.position))
            sides = corners(made(city, camera, seed), CarSideSpec)
            for left, right in zip(sides[0::2], sides[1::2], strict=True):
                both = np.concatenate([left, right])
                low, high = both.min(axis=0) - 0.25, both.max(axis=0) + 0.25
                assert ((eye[:2] < low[:2]) | (eye[:2] > high[:2])).any()

    def test_most_people_are_on_the_pavement_and_none_in_a_wall(
        self, city: City, cameras: list[tuple[Camera, Camera]]
    ) -> None:
        on_pavement = []
        for seed in range(8):
            camera = cameras[seed % len(cameras)][0]
            street = city.street_at(camera.position)
            for person in corners(made(city, camera, seed), PersonSpec):
                middle = abs(person[:, 0].mean())
                assert middle < street.half - 0.05
                on_pavement.append(middle > street.road)
        assert len(on_pavement) > 60 and np.mean(on_pavement) > 0.6

    def test_people_face_the_camera(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        camera = cameras[0][0]
        eye = city.street_at(camera.position).to_street(np.array(camera.position))
        people = corners(made(city, camera, 3, TrafficAmounts(people=12)), PersonSpec)
        assert people
        for person in people:
            across, away = (person[1] - person[0])[:2], (person.mean(axis=0) - eye)[:2]
            assert across @ away == pytest.approx(0, abs=1e-9)

    def test_they_are_seen(self, city: City, cameras: list[tuple[Camera, Camera]]) -> None:
        changed = []
        for k, (camera, _) in enumerate(cameras):
            empty, busy = (render(city, camera, "day", 64, things=t) for t in (None, made(city, camera, k)))
            changed.append((empty != busy).any(axis=2).mean())
        assert min(changed) > 0.02 and max(changed) < 1


class TestVehicles:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("forward", [1.0, -1.0])
    def test_has_its_size_and_stands_on_the_ground(self, model: str, forward: float) -> None:
        builder = SurfaceBuilder()
        add_vehicle(builder, model, 0, 2.0, 30.0, forward)  # type: ignore[arg-type]
        surfaces = builder.build()
        shape = SHAPES[model]  # type: ignore[index]
        points = np.concatenate(corners(surfaces, object))
        body = np.concatenate(corners(surfaces, CarSideSpec))
        assert points[:, 2].min() == 0 and points[:, 2].max() == pytest.approx(height_of(model))  # type: ignore[arg-type]
        np.testing.assert_allclose(np.ptp(body, axis=0)[:2], [shape.width, shape.length])
        np.testing.assert_allclose(body.mean(axis=0)[:2], [2.0, 30.0])

    @pytest.mark.parametrize("model", MODELS)
    def test_its_side_is_cut_out(self, model: str) -> None:
        opaque = CarSideSpec(model, 1).paint()[..., 3]  # type: ignore[arg-type]
        assert set(np.unique(opaque)) == {0, 255} and 0.4 < (opaque > 0).mean() < 0.97
        assert opaque[-1].mean() < 255 or model in ("bus", "van")


def test_people_differ() -> None:
    pictures = {PersonSpec(number).paint().tobytes() for number in range(KINDS)}
    assert len(pictures) == KINDS
    for umbrella in (False, True):
        opaque = PersonSpec(3, umbrella).paint()[..., 3] > 0
        assert opaque.any() and opaque.mean() < 0.5
