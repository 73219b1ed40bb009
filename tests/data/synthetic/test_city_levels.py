"""The four levels: disjoint splits, comparable difficulty, what covers the view, what places have in common."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
from PIL import Image
from scenes import one_street, wall

from fol.data.synthetic import (
    LEVELS,
    LIGHTS,
    SPLITS,
    Camera,
    City,
    CityParameters,
    LevelParameters,
    View,
    city_of,
    city_views,
    covered,
    level_views,
    picture,
    render,
    true_correspondences,
)
from fol.data.synthetic.facades import FacadeSpec
from fol.data.synthetic.scenery import PlainSpec
from fol.data.synthetic.surfaces import SurfaceBuilder
from fol.data.synthetic.views import _scenery, overlapping
from fol.errors import ConfigError


def views_of(level: str, split: str = "test", places: int = 8, views: int = 1) -> tuple[City, tuple[View, ...]]:
    parameters = LevelParameters(level, split, places, 0, 224, views)  # type: ignore[arg-type]
    city = city_of(parameters)
    return city, level_views(city, parameters)


def houses(city: City) -> set[FacadeSpec]:
    return {spec for street in city.streets for spec in street.surfaces.specs if isinstance(spec, FacadeSpec)}


class TestSplits:
    def test_no_street_and_no_house_is_shared(self) -> None:
        cities = {
            (seed, split): city_of(LevelParameters("hard", split, 32, seed, 224, 2))
            for seed in (0, 1)
            for split in SPLITS
        }
        for a, b in combinations(cities.values(), 2):
            assert not houses(a) & houses(b)
            assert not {s.heading for s in a.streets} & {s.heading for s in b.streets}
        demo = City.build(32, 0)
        assert not any(houses(demo) & houses(city) for city in cities.values())

    def test_seeds_never_meet(self) -> None:
        seeds = [LevelParameters("easy", split, 1, seed, 224, 2).city_seed for seed in range(50) for split in SPLITS]
        assert len(set(seeds)) == len(seeds)

    def test_more_places_and_views_keep_the_first(self) -> None:
        _, few = views_of("hard", "train", places=4, views=3)
        _, more = views_of("hard", "train", places=12, views=5)
        kept = {view.name: view for view in more}
        assert all(kept[view.name].camera == view.camera for view in few)

    def test_headings_are_photos_of_one_panorama(self) -> None:
        _, plain = views_of("easy", "val", places=3)
        parameters = LevelParameters("easy", "val", 3, 0, 224, 1, headings=12)
        found = level_views(city_of(parameters), parameters)
        assert len(found) == 12 * len(plain) == len({view.name for view in found})
        for first, own in zip(plain, zip(*[iter(found)] * 12, strict=True), strict=True):
            assert own[0] == first
            assert {view.name.split("@")[7] for view in own} == {first.name.split("@")[7]}  # one capture
            turns = [(view.camera.yaw - first.camera.yaw) % 360 for view in own]
            assert turns == pytest.approx([30.0 * k for k in range(12)])
            assert {view.camera.position for view in own} == {first.camera.position}
        with pytest.raises(ConfigError, match="headings is 12, give a value from 1 to 1"):
            LevelParameters("easy", "train", 3, 0, 224, 2, headings=12).check()

    def test_conditions_are_the_levels(self) -> None:
        for name, level in LEVELS.items():
            assert {*level.database, *level.queries, *level.train} <= set(LIGHTS)
            _, views = views_of(name, places=20)
            assert {v.light for v in views if v.name.startswith("database")} == set(level.database)
            assert {v.light for v in views if v.name.startswith("queries")} == set(level.queries)
            _, views = views_of(name, "train", places=12, views=8)
            assert {v.light for v in views} == set(level.train)


class TestViews:
    @pytest.mark.parametrize("name", LEVELS)
    def test_all_views_of_a_place_see_its_target(self, name: str) -> None:
        """The point in the middle of the first view, or one near it, is in the picture of the others."""
        city, views = views_of(name, "train", places=12, views=6)
        shared = []
        for place in range(12):
            first, *others = [v.camera for v in views if v.place == place]
            y, x = np.mgrid[56:168:8, 56:168:8] + 0.5
            points = np.stack([x.ravel(), y.ravel()], 1)
            shared += [true_correspondences(city, first, other, points)[1].mean() for other in others]
        assert np.mean(np.array(shared) > 0.05) > 0.9

    @pytest.mark.parametrize("name", LEVELS)
    def test_queries_are_near_their_database_view(self, name: str) -> None:
        _, views = views_of(name, places=16)
        for database, query in zip(views[0::2], views[1::2], strict=True):
            assert database.place == query.place
            apart = np.linalg.norm(np.array(database.camera.position) - np.array(query.camera.position))
            assert 0.1 < apart < 22
        sites = np.array([v.camera.position for v in views[0::4]])
        distances = np.linalg.norm(sites[:, None] - sites[None], axis=2)
        assert distances[~np.eye(len(sites), dtype=bool)].min() > 47

    def test_same_view_same_bytes_in_every_order(self) -> None:
        city, views = views_of("extreme", places=3)
        first = [picture(city, view, 64) for view in views]
        assert [picture(city, view, 64) for view in reversed(views)] == first[::-1]


def test_levels_are_ordered_by_difficulty() -> None:
    """Query and database photo, aligned by true correspondences: less and less alike, less and less in common."""
    size = 64
    y, x = np.mgrid[1:size:3, 1:size:3] + 0.5
    points = np.stack([x.ravel(), y.ravel()], 1)
    unlike, seen, hidden = [], [], []
    for name in LEVELS:
        city, views = views_of(name, places=16)
        differences, shares, covers = [], [], []
        for a, b in zip(views[0::2], views[1::2], strict=True):
            there, visible = true_correspondences(city, a.camera, b.camera, points, size=size)
            one, two = (np.asarray(Image.open(BytesIO(picture(city, v, size)))).astype(float) for v in (a, b))
            at, to = points[visible].astype(int), there[visible].astype(int)
            differences.append(np.abs(one[at[:, 1], at[:, 0]] - two[to[:, 1], to[:, 0]]).mean())
            shares.append(visible.mean())
            covers.append(covered(city, b, points, size=size).mean())
        unlike.append(np.mean(differences))
        seen.append(-np.mean(shares))
        hidden.append(np.mean(covers))
    for measured in (unlike, seen, hidden):
        assert measured == sorted(measured)


class TestCovered:
    def test_where_a_picture_without_things_differs(self) -> None:
        """Covered pixels are those that change when cars and people are taken away, up to their edges."""
        city, views = views_of("hard", places=8)
        y, x = np.mgrid[0:96, 0:96] + 0.5
        points = np.stack([x.ravel(), y.ravel()], 1)
        found = 0.0
        for view in views[0::2]:
            light, things = _scenery(city, view, LEVELS["hard"])
            assert light.season == "summer"
            with_things = render(city, view.camera, light, 96, things=things)
            without = render(city, view.camera, light, 96)
            changed = np.abs(with_things.astype(int) - without).max(axis=2) > 0
            hidden = covered(city, view, points, size=96).reshape(96, 96)
            assert (changed[hidden].mean() > 0.9) if hidden.any() else True
            inner = changed[1:-1, 1:-1] & ~hidden[1:-1, 1:-1]
            near = hidden[:-2, 1:-1] | hidden[2:, 1:-1] | hidden[1:-1, :-2] | hidden[1:-1, 2:]
            assert (inner & ~near).mean() < 0.01
            found += hidden.mean()
        assert found > 0.2

    def test_plain_views_have_nothing_that_covers(self) -> None:
        city = City.build(1, 3)
        view = city_views(city, CityParameters(places=1, seed=3))[0]
        assert not covered(city, view, [[10, 10], [100, 200]]).any()

    def test_correspondences_hold_where_nothing_covers(self) -> None:
        """Two views in one light, full of cars: corresponding pixels look alike unless one of them is covered."""
        city, views = views_of("extreme", places=12)
        y, x = np.mgrid[2:112:4, 2:112:4] + 0.5
        points = np.stack([x.ravel(), y.ravel()], 1)
        free, blocked = [], []
        for a, b in zip(views[0::2], views[1::2], strict=True):
            a, b = (replace(v, light="day") for v in (a, b))
            there, visible = true_correspondences(city, a.camera, b.camera, points, size=112)
            here, there = points[visible], there[visible]
            pictures = []
            for view in (a, b):
                things = _scenery(city, view, LEVELS["extreme"])[1]
                pictures.append(render(city, view.camera, "day", 112, things=things).astype(float).mean(axis=2))
            one, two = (
                p[q.astype(int)[:, 1], q.astype(int)[:, 0]] for p, q in zip(pictures, (here, there), strict=True)
            )
            hidden = covered(city, a, here, size=112) | covered(city, b, there, size=112)
            free.append(np.abs(one - two)[~hidden])
            blocked.append(np.abs(one - two)[hidden])
        assert len(np.concatenate(blocked)) > 100
        assert np.median(np.concatenate(free)) < 0.3 * np.median(np.concatenate(blocked))


class TestOverlapping:
    def test_by_hand(self) -> None:
        """Two cameras at one wall overlap; a third looks the other way at nothing they see."""
        builder = SurfaceBuilder()
        wall(builder, PlainSpec((200, 90, 40)), -30.0, 10.0, -20.0, 60.0, 60.0)
        scene = one_street(builder)
        scene = replace(scene, places=((0, 0.0),) * 2)
        cameras = [Camera((0, 0, 1.5), 0.0), Camera((4, 0, 1.5), 10.0), Camera((0, 0, 1.5), 180.0)]
        assert overlapping(scene, cameras).tolist() == [[0, 1]]

    def test_only_within_a_street(self) -> None:
        city, views = views_of("hard", "train", places=24, views=2)
        pairs = overlapping(city, [v.camera for v in views[0::2]])
        street_of = [city.places[place // 2][0] for place in range(24)]
        assert all(a < b and street_of[a] == street_of[b] for a, b in pairs.tolist())
        assert len(pairs) < 24
