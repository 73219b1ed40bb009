"""The synthetic city: camera, geometry, correspondences, light, and the folder it is written to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, radians, sin
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from fol.data import load_image, parse_at_name, read_dataset
from fol.data.synthetic import (
    Camera,
    City,
    CityParameters,
    cast,
    city_views,
    make_city,
    read_city,
    render,
    true_correspondences,
)
from fol.data.synthetic.facades import FacadeSpec
from fol.data.synthetic.conditions import LIGHTS
from fol.data.synthetic.scenery import PlainSpec
from fol.data.synthetic.street import PLACES_PER_STREET, Street
from fol.data.synthetic.surfaces import Frame, SurfaceBuilder
from fol.data.synthetic.textures import _cache, ripmap
from fol.errors import ConfigError, DataError

SIZE = 96


@pytest.fixture(scope="module")
def city() -> City:
    return City.build(4, seed=3)


@pytest.fixture(scope="module")
def cameras(city: City) -> list[tuple[Camera, Camera]]:
    """Per place the first database camera and the query camera that looks the same way."""
    views = city_views(city, CityParameters(places=4, seed=3))
    return [(a.camera, b.camera) for a, b in zip(views[0::4], views[1::4], strict=True)]


def one_street(builder: SurfaceBuilder) -> City:
    """A city of nothing but these surfaces, x east and y north, without houses that throw shadows."""
    no_shadow = np.full((2, 400), -1000.0)
    street = Street((0.0, 0.0), 0.0, 100.0, 3.0, 5.0, (0.0,), builder.build(), no_shadow, -100.0, 0.0)
    return City(0, (street,), ((0, 0.0),))


def wall(builder: SurfaceBuilder, spec: object, x: float, y: float, z: float, width: float, height: float) -> None:
    """A rectangle that faces south, its lower left corner (seen from the south) at (x, y, z)."""
    builder.panel(spec, Frame((x, y), (1.0, 0.0)), 0, z, width, height)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Chequers:
    """8 x 8 squares, black and white."""

    def paint(self) -> NDArray[np.uint8]:
        squares = np.indices((64, 64)).sum(axis=0) // 8 % 2 * 255
        return np.repeat(squares[..., None], 4, axis=2).astype(np.uint8) * np.array([1, 1, 1, 0], np.uint8)


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_city(tmp_path_factory.mktemp("synthetic") / "city", places=5, seed=2, size=64)


class TestMakeCity:
    def test_reads_as_a_data_set(self, folder: Path) -> None:
        dataset = read_dataset(folder)
        assert len(dataset.database) == 10 and len(dataset.queries) == 10
        assert dataset.positives is not None
        described = json.loads((folder / "city.json").read_text())["views"]
        place_of = {Path(name).name: view["place"] for name, view in described.items()}
        for query, positives in zip(dataset.queries, dataset.positives, strict=True):
            same = [i for i, p in enumerate(dataset.database) if place_of[p.image.name] == place_of[query.image.name]]
            assert positives.tolist() == same and len(same) == 2

    def test_names_and_pictures(self, folder: Path) -> None:
        city, size, views = read_city(folder)
        assert size == 64 and len(city.places) == 5 and len(views) == 20
        lights: dict[int, set[str]] = {}
        for name, view in views.items():
            label = parse_at_name(folder / name)
            assert label.position is not None and label.position.zone == "32T"
            east, north, _ = view.camera.position
            assert label.position.easting == pytest.approx(420_000 + east, abs=0.006)
            assert label.position.northing == pytest.approx(5_250_000 + north, abs=0.006)
            assert label.heading == pytest.approx(view.camera.yaw, abs=0.51)
            assert label.metadata["note"] == view.light
            assert view.light == ("dusk" if "queries1" in name else "day")
            assert load_image(folder / name).size == (64, 64)
            lights.setdefault(view.place, set()).add(view.light)
        assert all(seen == {"day", "dusk"} for seen in lights.values())
        on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        assert on_disk == {*views, "city.json"}

    def test_the_file_shows_the_described_view(self, folder: Path) -> None:
        city, size, views = read_city(folder)
        name, view = next(iter(views.items()))
        difference = np.asarray(Image.open(folder / name), float) - render(city, view.camera, view.light, size)
        assert np.abs(difference).mean() < 6  # JPEG

    def test_other_viewpoint_same_side_of_the_street(self) -> None:
        city = City.build(6, seed=5)
        views = city_views(city, CityParameters(places=6, seed=5, query_views=2))
        for database, query in zip(views[0::2], views[1::2], strict=True):
            assert database.place == query.place
            a, b = np.array(database.camera.position), np.array(query.camera.position)
            assert 0.5 < np.linalg.norm(a - b) < 12
            turned = (database.camera.yaw - query.camera.yaw + 180) % 360 - 180
            assert abs(turned) <= 20.1

    def test_a_complete_city_is_kept(self, folder: Path) -> None:
        before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
        make_city(folder, places=5, seed=2, size=64, progress=lambda done, total: pytest.fail("rendered again"))
        assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before

    def test_another_city_is_not_overwritten(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"another synthetic city \(places 5 instead of 6\): delete it or choose"):
            make_city(folder, places=6, seed=2, size=64)
        (tmp_path / "holiday.jpg").write_bytes(b"precious")
        with pytest.raises(DataError, match="is not a synthetic city: choose another folder"):
            make_city(tmp_path, places=1, size=32)
        assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]

    def test_continues_after_an_interruption(self, folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "cities" / "new"  # a parent that does not exist yet

        def stop(done: int, total: int) -> None:
            if done == 8:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_city(out, places=5, seed=2, size=64, progress=stop)
        assert not out.exists()
        left = sorted((out.parent / ".new.partial").rglob("@*.jpg"))
        assert len(left) == 8
        left[0].write_bytes(left[0].read_bytes()[:100])  # as a power cut would
        (left[1].parent / ".4711-half.tmp").write_bytes(b"half")
        kept = left[1].stat().st_mtime_ns
        make_city(out, places=5, seed=2, size=64)
        assert [p.name for p in out.parent.iterdir()] == ["new"]
        assert (out / left[1].relative_to(out.parent / ".new.partial")).stat().st_mtime_ns == kept
        files = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == files

    def test_what_another_city_left_is_thrown_away(self, tmp_path: Path) -> None:
        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_city(tmp_path / "c", places=1, seed=8, size=32, progress=stop)
        make_city(tmp_path / "c", places=1, seed=9, size=32)
        assert len(list((tmp_path / "c").rglob("*.jpg"))) == 4

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match=r"city cannot be written \(Not a directory\): choose another folder"):
            make_city(tmp_path / "file" / "city", places=1, size=32)
        with pytest.raises(DataError, match="file exists and is not a synthetic city"):
            make_city(tmp_path / "file", places=1, size=32)

    def test_an_empty_folder_is_filled(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert (make_city(tmp_path / "empty", places=1, size=32) / "city.json").exists()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"places": 0}, "places is 0, give a value from 1"),
            ({"size": 20}, "size is 20, give"),
            ({"database_views": 5}, "database_views is 5, give a value from 1 to 4"),
            ({"query_lights": ["day", "noon"]}, "no light 'noon', there are day, dusk"),
            ({"query_lights": []}, "query_lights is empty"),
            ({"seed": -1}, "seed is -1"),
        ],
    )
    def test_bad_options(self, options: dict[str, object], message: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=message):
            make_city(tmp_path / "city", **options)  # type: ignore[arg-type]
        assert not list(tmp_path.iterdir())

    def test_reading_what_is_no_city(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="does not exist: this is no folder that make_city wrote"):
            read_city(tmp_path)
        described = json.loads((folder / "city.json").read_text())
        for content, message in (
            ("{", "is damaged"),
            (json.dumps({**described, "views": {"a.jpg": {}}}), "is damaged"),
            (json.dumps({**described, "parameters": {"places": "many"}}), "is damaged"),
            (json.dumps({**described, "generator": 0}), "made by generator 0, this fol has"),
        ):
            (tmp_path / "city.json").write_text(content)
            with pytest.raises(DataError, match=message) as caught:
                read_city(tmp_path)
            assert str(tmp_path / "city.json") in str(caught.value) and "\n" not in str(caught.value)


def test_rate(record_property: Callable[[str, object], None], city: City, cameras: list[tuple[Camera, Camera]]) -> None:
    """Images of 224 px per CPU second, textures painted already: recorded, not asserted."""
    render(city, cameras[0][0], "day", 224)
    start = time.process_time()
    for light in LIGHTS:
        render(city, cameras[0][0], light, 224)
    record_property("images_per_cpu_second", round(len(LIGHTS) / (time.process_time() - start), 1))


@settings(max_examples=10, deadline=None)
@given(st.floats(-3, 3), st.floats(0.8, 4), st.floats(0, 360), st.floats(-20, 30), st.integers(16, 40))
def test_any_camera_in_the_street_renders(across: float, up: float, yaw: float, pitch: float, size: int) -> None:
    city = City.build(1, seed=3)
    east, north, height = city.streets[0].to_city(np.array([[across, 40.0, up]]))[0].tolist()
    picture = render(city, Camera((east, north, height), yaw, 0.6, pitch), "day", size)
    assert picture.shape == (size, size, 3) and picture.std() > 1
