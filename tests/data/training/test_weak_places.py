"""Positives and exclusion by positions against brute force, over data sets, cities, zones and captures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replicas.dbstruct import fields, write_mat
from replicas.tokyo import write_tokyo_tm

from fol.data.catalogue import read_protocol
from fol.data.coordinates import position_from_latlon, position_from_utm
from fol.data.dataset import PlaceDataset, SearchRules
from fol.data.training.weak_places import RadiusOptions, WeakPlaces
from fol.errors import ConfigError, DataError
from fol.types import Place, Position


def place(name: str, position: Position | tuple[float, float] | None, **metadata: str) -> Place:
    if isinstance(position, tuple):
        position = position_from_utm(*position)
    return Place(name, Path("/photos") / name, position, metadata=metadata)


def dataset(database: list[Place], queries: list[Place], name: str = "set", rules: SearchRules | None = None):
    return PlaceDataset(
        name, Path("/photos"), tuple(database), tuple(queries), None, (), "none", rules=rules or SearchRules()
    )


def names(places: WeakPlaces, found: list[np.ndarray]) -> dict[str, list[str]]:
    """By name of the query."""
    shown = [image.name for image in places.images]
    return {shown[q]: [shown[i] for i in own] for q, own in zip(places.queries.tolist(), found, strict=True)}


SPOT = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (float(p[0]), float(p[1])))
TIME = st.sampled_from(["", "201301", "201302", "20130105"])
PHOTO = st.tuples(SPOT, st.sampled_from("abcd"), TIME, st.sampled_from("XY"))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(PHOTO, min_size=1, max_size=14),
    st.lists(PHOTO, min_size=1, max_size=8),
    st.sampled_from(["auto", "always", "never"]),
    st.sampled_from([0.0, 4.0]),
)
def test_like_brute_force(database, queries, times, least):
    def photos(side, rows):
        return [
            place(f"{side}{i}", spot, panorama=panorama, timestamp=time, city=city)
            for i, (spot, panorama, time, city) in enumerate(rows)
        ]

    expected_positives, expected_excluded = {}, {}
    for i, (spot, panorama, time, city) in enumerate(queries):
        positives, excluded = [], []
        for j, (other, other_panorama, other_time, other_city) in enumerate(database):
            metres = math.dist(spot, other)
            same_time = time == other_time and time != ""
            forbidden = same_time and (times == "always" or (times == "auto" and len(time) == 6))
            if city == other_city and metres <= 25:
                excluded.append(f"d{j}")
                if metres <= 10 and metres > (least or -1) and panorama != other_panorama and not forbidden:
                    positives.append(f"d{j}")
        if positives:
            expected_positives[f"q{i}"], expected_excluded[f"q{i}"] = positives, excluded
    radii = RadiusOptions(different_times=times, least_distance=least)
    sets = [dataset(photos("d", database), photos("q", queries))]
    if not expected_positives:
        with pytest.raises(DataError, match=r"positive_radius=10"):
            WeakPlaces.of(sets, radii)
        return
    places = WeakPlaces.of(sets, radii)
    assert places.database == len(database)
    assert places.dropped == len(queries) - len(expected_positives)
    assert names(places, places.positives(places.queries)) == expected_positives
    assert names(places, places.excluded(places.queries)) == expected_excluded
    assert all(own.dtype == np.int64 for own in places.positives(places.queries))


def test_radii_are_inclusive_in_decimals():
    low, high = 4500000.1, 4500010.2
    assert high - low > 10.1  # as float64 has them
    far = [place("in", (500000.1, high)), place("out", (500000.1, high + 0.001))]
    places = WeakPlaces.of([dataset(far, [place("q", (500000.1, low))])], RadiusOptions(positive_radius=10.1))
    assert names(places, places.positives(places.queries)) == {"q": ["in"]}


def test_several_sets_are_numbered_database_first_and_never_compared():
    sets = [
        dataset([place(f"{name}-d", (0.0, 0.0))], [place(f"{name}-q", (1.0, 0.0)), place(f"{name}-far", (99.0, 0.0))])
        for name in ("one", "two")
    ]
    places = WeakPlaces.of(sets)
    assert [image.name for image in places.images] == ["one-d", "two-d", "one-q", "two-q"]
    assert places.queries.tolist() == [2, 3]
    assert names(places, places.excluded(places.queries)) == {"one-q": ["one-d"], "two-q": ["two-d"]}
    assert places.summary == ("set + set: 2 database, 2 queries, 2 dropped without a positive within 10 m")
    assert sorted(own.tolist() for own in places.members.values()) == [[0], [1]]


def test_zone_borders_are_no_borders_and_far_cities_are():
    # 12 m apart across the border of zones 31 and 32 at 6 degrees east; the same metres in Sydney's zone.
    west, east = position_from_latlon(50.0, 5.99992), position_from_latlon(50.0, 6.00002)
    assert (west.zone, east.zone) == ("31U", "32U")
    south = position_from_latlon(-33.9, 151.2)
    places = WeakPlaces.of([dataset([place("w", west), place("s", south)], [place("e", east), place("q", south)])])
    assert names(places, places.positives(places.queries)) == {"e": ["w"], "q": ["s"]}
    assert len(places.members) == 2
    sets = [dataset([place("w", west), place("s", south)], [place("e", east)])]
    sets += [dataset([place("w2", west)], [place("q2", west), place("r2", south)])]
    places = WeakPlaces.of(sets)
    assert names(places, places.positives(places.queries)) == {"e": ["w"], "q2": ["w2"]}
    assert len(set(places.groups[: places.database].tolist())) == 3


def test_groups_of_the_protocol_go_before_cities():
    rules = SearchRules(database_groups=np.array([0, 1]), query_groups=np.array([1]))
    photos = [place("a", (0.0, 0.0), city="X"), place("b", (1.0, 0.0), city="X")]
    places = WeakPlaces.of([dataset(photos, [place("q", (0.0, 0.0), city="X")], rules=rules)])
    assert names(places, places.positives(places.queries)) == {"q": ["b"]}


def test_a_query_in_a_city_without_database_is_dropped():
    places = WeakPlaces.of(
        [
            dataset(
                [place("d", (0.0, 0.0), city="X")],
                [place("q", (0.0, 1.0), city="X"), place("r", (0.0, 0.0), city="Y")],
            )
        ]
    )
    assert names(places, places.positives(places.queries)) == {"q": ["d"]}


def test_a_photo_is_never_its_own_positive():
    same, other = place("same.jpg", (0.0, 0.0)), place("other.jpg", (3.0, 0.0))
    places = WeakPlaces.of([dataset([same, other], [same])])
    assert names(places, places.positives(places.queries)) == {"same.jpg": ["other.jpg"]}
    assert names(places, places.excluded(places.queries)) == {"same.jpg": ["same.jpg", "other.jpg"]}


def test_equal_numbers_of_both_sides_of_pittsburgh_are_two_captures(tmp_path):
    """Panoramas of database and queries are counted from 0 by themselves."""
    name = "000/000546_pitch1_yaw{}.jpg".format
    sides = [[(name(1), 584600.0, 4477100.0), (name(2), 584600.0, 4477100.0)], [(name(1), 584605.0, 4477100.0)]]
    write_mat(tmp_path / "pitts30k_train.mat", fields("train", *sides))
    dataset = read_protocol("pitts30k_train@25m", tmp_path)
    places = WeakPlaces.of([dataset])
    assert [own.tolist() for own in places.positives(places.queries)] == [[0, 1]]
    assert places.captures[0] == places.captures[1] != places.captures[2]
    radii = RadiusOptions(gps_noise=1.0, positive_radius=1e4, exclusion_radius=1e4)
    moved = WeakPlaces.of([dataset], radii).points - places.points
    assert np.allclose(moved[0], moved[1]) and not np.allclose(moved[0], moved[2], atol=0.01)


def test_a_query_of_tokyo_time_machine_is_its_own_database_photo(tmp_path):
    dataset = read_protocol("tokyo_tm_train@25m", write_tokyo_tm(tmp_path, "train")[0].parent)
    places = WeakPlaces.of([dataset])
    assert places.captures.tolist()[2] == places.captures.tolist()[1] != places.captures.tolist()[0]
    assert [own.tolist() for own in places.positives(places.queries)] == [[0]]  # of another month, and not itself


def grid(count: int) -> list[Place]:
    return [place(f"d{i}", (10.0 * i, 0.0), panorama=f"p{i // 2}") for i in range(count)]


def test_noise_moves_captures_as_a_whole_and_is_decided_by_the_seed():
    asked = [place(f"q{i}", (10.0 * i, 0.0)) for i in range(400)]
    exact = WeakPlaces.of([dataset(grid(400), asked)], RadiusOptions(exclusion_radius=1e4, positive_radius=1e4))
    radii = RadiusOptions(exclusion_radius=1e4, positive_radius=1e4, gps_noise=5.0, seed=3)
    noisy, again = (WeakPlaces.of([dataset(grid(400), asked)], radii) for _ in range(2))
    moved = noisy.points - exact.points
    assert np.array_equal(noisy.points, again.points)
    assert np.array_equal(moved[0:400:2].round(9), moved[1:400:2].round(9))  # both views of a panorama
    for captures in (moved[0:400:2], moved[400:]):  # standard error of the deviation of 400 numbers is 3.5 %
        assert captures.std() == pytest.approx(5.0, rel=0.15)
        assert abs(captures.mean()) < 1.0
    other = WeakPlaces.of(
        [dataset(grid(400), asked)], RadiusOptions(exclusion_radius=1e4, positive_radius=1e4, gps_noise=5.0, seed=4)
    )
    assert not np.allclose(other.points, noisy.points)
    assert "5 m of noise" in noisy.summary


def test_noisy_positions_decide():
    asked = [place(f"q{i}", (10.0 * i, 0.0)) for i in range(60)]
    places = WeakPlaces.of([dataset(grid(60), asked)], RadiusOptions(gps_noise=20.0))
    for query, positives, excluded in zip(
        places.queries, places.positives(places.queries), places.excluded(places.queries), strict=True
    ):
        metres = np.hypot(*(places.points[:60] - places.points[query]).T)
        assert positives.tolist() == np.flatnonzero(metres <= 10).tolist()
        assert excluded.tolist() == np.flatnonzero(metres <= 25).tolist()


def test_read_takes_folders(tmp_path):
    for side, shift in (("database", 0), ("queries", 5)):
        (tmp_path / side).mkdir()
        for i in range(2):
            name = f"@{500000 + 100 * i + shift:.2f}@4500000.00@18@T@@@@@@@@@@{i}@.jpg"
            (tmp_path / side / name).touch()
    places = WeakPlaces.read(tmp_path)
    assert (places.database, len(places.queries), places.dropped) == (2, 2, 0)
    assert [own.tolist() for own in places.positives(places.queries)] == [[0], [1]]
    assert WeakPlaces.read([tmp_path, tmp_path]).database == 4


def test_photos_without_coordinates_are_refused():
    shown = "/photos: 1 of 2 images of the training set have no coordinates, the first is q: training"
    with pytest.raises(DataError, match=shown):
        WeakPlaces.of([dataset([place("d", (0.0, 0.0))], [place("q", None)])])
    with pytest.raises(DataError, match="no UTM zone"):
        WeakPlaces.of([dataset([place("d", (0.0, 0.0))], [place("q", position_from_latlon(1.0, 1.0))])])
    with pytest.raises(DataError, match="no training set"):
        WeakPlaces.of([])


@pytest.mark.parametrize(
    ("radii", "word"),
    [
        (RadiusOptions(positive_radius=-1), "positive_radius"),
        (RadiusOptions(positive_radius=30), "exclusion_radius"),
        (RadiusOptions(least_distance=10), "least_distance"),
        (RadiusOptions(gps_noise=float("nan")), "gps_noise"),
        (RadiusOptions(different_times="sometimes"), "different_times"),
    ],
)
def test_senseless_radii_are_refused(radii, word):
    with pytest.raises(ConfigError, match=word):
        WeakPlaces.of([dataset([place("d", (0.0, 0.0))], [place("q", (0.0, 0.0))])], radii)
