"""Positions, frames and distances, against known places and brute force."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.data.coordinates import (
    distances,
    parse_zone,
    planar_coordinates,
    position_from_latlon,
    position_from_utm,
    within_radius,
)
from fol.errors import ConfigError, DataError
from fol.types import Position

# latitude, longitude, easting, northing, zone: UTM computed with PROJ (EPSG:326xx north, 327xx south).
KNOWN = {
    "Eiffel tower": (48.8584, 2.2945, 448252.001, 5411954.910, "31U"),
    "Sydney opera": (-33.8568, 151.2153, 334900.570, 6252288.753, "56H"),
    "Cape Horn": (-55.98, -67.27, 607945.907, 3794795.448, "19F"),
    "CN tower": (43.6426, -79.3871, 630087.375, 4833442.312, "17T"),
    "Bergen, widened zone": (60.39, 5.32, 297230.220, 6700510.175, "32V"),
    "Quito": (-0.2299, -78.5099, 777171.423, 9974564.962, "17M"),
}
known = pytest.mark.parametrize(("latitude", "longitude", "easting", "northing", "zone"), KNOWN.values(), ids=KNOWN)


@known
def test_from_latlon(latitude: float, longitude: float, easting: float, northing: float, zone: str) -> None:
    position = position_from_latlon(latitude, longitude)
    assert position.zone == zone
    assert (position.easting, position.northing) == pytest.approx((easting, northing), abs=0.01)
    assert (position.latitude, position.longitude) == (latitude, longitude)


@known
def test_from_utm(latitude: float, longitude: float, easting: float, northing: float, zone: str) -> None:
    position = position_from_utm(easting, northing, zone)
    assert (position.easting, position.northing, position.zone) == (easting, northing, zone)
    assert (position.latitude, position.longitude) == pytest.approx((latitude, longitude), abs=1e-7)


def test_given_degrees_are_kept() -> None:
    position = position_from_utm(483550.51, 4422323.52, "18S", 39.950883, -75.19257)
    assert (position.latitude, position.longitude) == (39.950883, -75.19257)


def test_zone_without_letter() -> None:
    assert position_from_utm(483550.5, 4422323.5, "18", 39.95, -75.19).zone == "18S"
    bare = position_from_utm(483550.5, 4422323.5, "18")
    assert (bare.zone, bare.latitude, bare.longitude) == ("18", None, None)


def test_local_frame() -> None:
    assert position_from_utm(-12.5, 0) == Position(-12.5, 0.0)


@pytest.mark.parametrize(
    ("text", "parsed"), [("18T", (18, "T")), ("01n", (1, "N")), (" 60 X ", (60, "X")), ("7", (7, ""))]
)
def test_parse_zone(text: str, parsed: tuple[int, str]) -> None:
    assert parse_zone(text) == parsed


@pytest.mark.parametrize("text", ["0T", "61T", "18I", "18O", "18A", "18Z", "T18", "", "18TT", "-3T", "\u0661\u0668T"])
def test_parse_zone_refuses(text: str) -> None:
    with pytest.raises(DataError, match="is not a UTM zone"):
        parse_zone(text)


nan, inf = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: position_from_latlon(91, 0), "latitude 91 is out of range"),
        (lambda: position_from_latlon(-90.001, 0), "latitude -90.001 is out of range"),
        (lambda: position_from_latlon(85, 0), "latitude 85 is outside of UTM"),
        (lambda: position_from_latlon(-80.5, 0), "latitude -80.5 is outside of UTM"),
        (lambda: position_from_latlon(10, 180.5), "longitude 180.5 is out of range"),
        (lambda: position_from_latlon(10, -181), "longitude -181 is out of range"),
        (lambda: position_from_latlon(nan, 0), "latitude nan is out of range"),
        (lambda: position_from_latlon(0, inf), "longitude inf is out of range"),
        (lambda: position_from_utm(nan, 0), "easting nan is out of range"),
        (lambda: position_from_utm(0, -inf), "northing -inf is out of range"),
        (lambda: position_from_utm(1e9, 0), "easting 1000000000.0 is out of range"),
        (lambda: position_from_utm(99_999, 5e6, "31U"), "easting 99999 is out of range"),
        (lambda: position_from_utm(1e6, 5e6, "31U"), "easting 1000000.0 is out of range"),
        (lambda: position_from_utm(5e5, -1, "31U"), "northing -1 is out of range"),
        (lambda: position_from_utm(5e5, 10_000_001, "31U"), "northing 10000001 is out of range"),
        (lambda: position_from_utm(5e5, 5e6, "77U"), "'77U' is not a UTM zone"),
        (lambda: position_from_utm(5e5, 5e6, "31U", latitude=45.0), "must be given together"),
        (lambda: position_from_utm(5e5, 5e6, "31U", 45.0, 200.0), "longitude 200.0 is out of range"),
        # Sydney with S for "southern": as a latitude band S lies at 32 to 40 degrees north.
        (lambda: position_from_utm(334900.57, 6252288.75, "56S"), "zone 56S is 32 to 40 degrees north"),
    ],
)
def test_out_of_range(make: Callable[[], Position], words: str) -> None:
    with pytest.raises(DataError) as caught:
        make()
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("latitude", "longitude"), [(84, 180), (-80, -180), (0, 0), (84, 41.9), (-80, 179.999)])
def test_limits_are_inside(latitude: float, longitude: float) -> None:
    position = position_from_latlon(latitude, longitude)
    again = position_from_utm(position.easting, position.northing, position.zone)
    assert again.latitude == pytest.approx(latitude, abs=1e-5)


@given(st.floats(-79.9, 83.9), st.floats(-179.9, 179.9))
def test_degrees_survive_utm(latitude: float, longitude: float) -> None:
    position = position_from_latlon(latitude, longitude)
    again = position_from_utm(position.easting, position.northing, position.zone)
    assert (again.latitude, again.longitude) == pytest.approx((latitude, longitude), abs=1e-6)


class TestDistances:
    def test_local(self) -> None:
        assert distances(Position(0, 0), [Position(3, 4), Position(-5, 12)]).tolist() == [5, 13]

    def test_none(self) -> None:
        assert distances(Position(0, 0), []).shape == (0,)

    # Geodesics on WGS84, from PROJ.
    @pytest.mark.parametrize(
        ("first", "second", "metres", "tolerance"),
        [
            ((45.0, 5.99995), (45.0, 6.0001), 11.827, 0.01),  # zones 31 and 32
            ((-0.0001, 30.1), (0.0001, 30.1), 22.115, 0.03),  # across the equator
            ((-16.5, 179.9999), (-16.5, -179.9999), 21.353, 0.02),  # zones 60 and 1
            ((48.8566, 2.3522), (35.6895, 139.6917), 9_735_661, 30_000),  # no projection reaches that far
        ],
    )
    def test_geodesics(
        self, first: tuple[float, float], second: tuple[float, float], metres: float, tolerance: float
    ) -> None:
        a, b = position_from_latlon(*first), position_from_latlon(*second)
        assert a.zone != b.zone
        assert distances(a, [b, a]) == pytest.approx([metres, 0], abs=tolerance)
        assert distances(b, [a])[0] == pytest.approx(metres, abs=tolerance)

    def test_positions_without_degrees(self) -> None:
        a, b = position_from_latlon(45.0, 5.99995), position_from_latlon(45.0, 6.0001)
        bare = [Position(p.easting, p.northing, p.zone) for p in (a, b)]
        assert distances(bare[0], bare[1:])[0] == pytest.approx(11.827, abs=0.01)

    @pytest.mark.parametrize(
        ("one", "other", "words"),
        [
            (Position(500000, 0), position_from_latlon(45, 6), "1 of 2 positions have no UTM zone"),
            (Position(500000, 4e6, "31"), position_from_latlon(45, 6), "UTM zone 31 has no letter"),
        ],
    )
    def test_frames_that_cannot_be_compared(self, one: Position, other: Position, words: str) -> None:
        for call in (
            lambda: distances(one, [other]),
            lambda: distances(other, [one]),
            lambda: within_radius([one], [other], 25),
            lambda: within_radius([], [one, other], 25),
            lambda: planar_coordinates([one, other]),
        ):
            with pytest.raises(DataError, match=words):
                call()

    def test_zone_without_letter_among_its_like(self) -> None:
        assert distances(Position(5e5, 4e6, "31"), [Position(5e5, 4e6 + 7, "31")]).tolist() == [7]


class TestPlanarCoordinates:
    def test_local_and_one_zone_are_left_alone(self) -> None:
        assert planar_coordinates([Position(1, 2), Position(3, 4)]).tolist() == [[1, 2], [3, 4]]
        places = [Position(5e5, 4e6, "31S"), Position(5e5 + 1, 4.5e6, "31T")]  # bands differ, the frame does not
        assert planar_coordinates(places).tolist() == [[5e5, 4e6], [5e5 + 1, 4.5e6]]
        assert planar_coordinates([]).shape == (0, 2)

    def test_the_most_frequent_zone_is_common(self) -> None:
        west, east = position_from_latlon(45.0, 5.99995), position_from_latlon(45.0, 6.0001)
        far = position_from_latlon(35.7, 139.7)
        points = planar_coordinates([west, east, east, far])
        assert points[1].tolist() == [east.easting, east.northing]
        assert np.hypot(*(points[0] - points[1])) == pytest.approx(11.827, abs=0.01)
        assert np.isinf(points[3]).all()
        assert planar_coordinates([west, east])[0].tolist() == [west.easting, west.northing]


def brute_force(queries: np.ndarray, database: np.ndarray, radius: float) -> list[list[int]]:
    apart = np.sqrt(((queries[:, None] - database[None]) ** 2).sum(-1))
    return [np.flatnonzero(row <= radius).tolist() for row in apart]


def local(points: np.ndarray) -> list[Position]:
    return [Position(float(x), float(y)) for x, y in points]


class TestWithinRadius:
    def test_inclusive(self) -> None:
        database = [Position(0, 25), Position(15, 20), Position(0, 25.001), Position(0, 0)]
        (found,) = within_radius([Position(0, 0)], database, 25)
        assert found.tolist() == [0, 1, 3] and found.dtype == np.int64

    def test_inclusive_for_coordinates_in_decimals(self) -> None:
        # 4000025.1 - 4000000.1 is a little over 25 in float64.
        (found,) = within_radius([Position(500000.1, 4000000.1)], [Position(500000.1, 4000025.1)], 25)
        assert found.tolist() == [0]

    def test_radius_zero(self) -> None:
        assert [f.tolist() for f in within_radius(local(np.eye(2)), local(np.eye(2)), 0)] == [[0], [1]]

    def test_empty(self) -> None:
        assert within_radius([], [Position(0, 0)], 25) == []
        assert [f.tolist() for f in within_radius([Position(0, 0)], [], 25)] == [[]]

    @pytest.mark.parametrize("radius", [-1, nan, inf])
    def test_bad_radius(self, radius: float) -> None:
        with pytest.raises(ConfigError, match="radius="):
            within_radius([], [], radius)

    @settings(max_examples=50)
    @given(st.data())
    def test_equals_brute_force(self, data: st.DataObject) -> None:
        number = st.integers(-60, 60).map(float)
        points = st.lists(st.tuples(number, number), min_size=1, max_size=30).map(np.array)
        queries, database = data.draw(points), data.draw(points)
        radius = data.draw(st.sampled_from([0, 1, 5, 13, 25, 100]))
        found = [f.tolist() for f in within_radius(local(queries), local(database), radius)]
        assert found == brute_force(queries, database, radius)

    def test_several_cities_and_a_zone_border(self) -> None:
        """Each query is compared in its own zone: Tokyo is not bent into the projection of Grenoble."""
        centres = [(45.0, 5.9999), (45.0, 6.0001), (35.7, 139.7), (-33.86, 151.2), (0.0, 30.0)]
        rng = np.random.default_rng(0)
        degrees, metres = [], []
        for number, (latitude, longitude) in enumerate(centres):
            offsets = rng.uniform(-100, 100, (40, 2))
            scale = 111_320 * np.cos(np.radians(latitude))
            # The two French groups share one plane, the others are far away.
            shift = (0.0, 0.0) if number == 0 else ((0.0002 * scale, 0.0) if number == 1 else (1e6 * number, 0.0))
            metres.append(offsets + shift)
            parallel = np.pi / 180 * 6_378_137 * np.cos(np.radians(latitude))
            parallel /= np.sqrt(1 - 0.00669438 * np.sin(np.radians(latitude)) ** 2)
            meridian = np.pi / 180 * 6_378_137 * (1 - 0.00669438)
            meridian /= (1 - 0.00669438 * np.sin(np.radians(latitude)) ** 2) ** 1.5
            degrees += [(latitude + y / meridian, longitude + x / parallel) for x, y in offsets]
        positions = [position_from_latlon(*pair) for pair in degrees]
        assert len({p.zone for p in positions}) >= 6
        plane = np.concatenate(metres)
        close = {(q, d) for q, row in enumerate(brute_force(plane, plane, 25 * 0.98)) for d in row}
        near = {(q, d) for q, row in enumerate(brute_force(plane, plane, 25 * 1.02)) for d in row}
        found = {(q, int(d)) for q, row in enumerate(within_radius(positions, positions, 25)) for d in row}
        assert close <= found <= near

    @pytest.mark.parametrize("spread", [1.0, 0.0])
    def test_19_thousand_by_19_thousand(self, spread: float) -> None:
        """A full MSLS validation set; a distance matrix would take 2.9 GB. With spread 0 all lies on one meridian."""
        rng = np.random.default_rng(0)
        points = rng.uniform(0, 10_000, (19_000, 2)) * (spread, 1)
        positions = local(points + np.array([500_000, 4_000_000]))
        within_radius(positions[:10], positions, 25)  # not on the clock: imports, caches
        tracemalloc.start()
        started = time.perf_counter()
        found = within_radius(positions, positions, 25)
        seconds, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert seconds < 30 and peak < 100_000_000
        for index in (0, 9_999, 18_999):
            expected = np.flatnonzero(np.hypot(*(points - points[index]).T) <= 25)
            assert found[index].tolist() == expected.tolist()
