"""Positions on the ground: checks, UTM and WGS84, distances.

A position has either a UTM zone or none. Without one its coordinates are metres in a local frame (a building, a
simulation, the made-up coordinates of frame-indexed benchmarks) and only comparable with others like it. A zone is
written ``18T``: number and latitude band, whose letter tells the hemisphere (N and later: northern).

Distances are planar, in the UTM zone of the first position (of the query), whatever zone the other was written in: at
zone borders and across the equator they are as right as inside a zone (the scale is off by less than 0.6 % even at
the border of the widest zones). Beyond 12 degrees of longitude, where the projection has no meaning, they are great
circles.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import utm
from numpy.typing import NDArray

from fol.errors import ConfigError, DataError
from fol.types import Position

#: UTM zone number and whether northern (None when not known); None for a local metric frame.
Frame: TypeAlias = tuple[int, bool | None] | None

_LOCAL_LIMIT = 1e8  # metres: more than twice around the Earth is a mistake, not a place
_REACH = 12.0  # degrees of longitude from a zone's central meridian within which it is used
_EARTH_RADIUS = 6_371_008.8  # metres, mean
_SLACK = 1e-7  # metres: float64 rounding of northings, so that "inclusive" holds for coordinates written in decimals
_ZONE = re.compile(r"0*([1-9][0-9]?) ?([A-Za-z]?)")
_BANDS = "CDEFGHJKLMNPQRSTUVWX"


def position_from_latlon(latitude: float, longitude: float) -> Position:
    """Position of WGS84 degrees, with its UTM coordinates.

    Raises ``DataError`` for numbers that are not finite, out of range, or outside UTM (latitude -80 to 84).
    """
    _check_latlon(latitude, longitude)
    easting, northing, number, letter = utm.from_latlon(latitude, longitude)
    # A hair south of the equator the northern zone is found, with a northing of -1e-45.
    return Position(float(easting), max(0.0, float(northing)), f"{number}{letter}", float(latitude), float(longitude))


def position_from_utm(
    easting: float,
    northing: float,
    zone: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> Position:
    """Position of UTM metres, with its WGS84 degrees where they are given or the zone tells them.

    Without a ``zone`` the frame is a local one, where any finite coordinates up to 1e8 m do. A zone without its
    letter gets it from ``latitude``; where there is none either, the position keeps no degrees. Raises ``DataError``
    for coordinates out of range, half a pair of degrees, and the letter S written for "southern": it is the band 32
    to 40 N.
    """
    if (latitude is None) != (longitude is None):
        raise DataError("latitude and longitude must be given together")
    if latitude is not None and longitude is not None:
        _check_latlon(latitude, longitude)
    for name, value in (("easting", easting), ("northing", northing)):
        if not math.isfinite(value) or abs(value) > _LOCAL_LIMIT:
            raise DataError(f"{name} {value} is out of range")
    if not zone:
        return Position(float(easting), float(northing), None, latitude, longitude)
    number, letter = parse_zone(zone)
    if not 100_000 <= easting < 1_000_000:
        raise DataError(f"easting {easting} is out of range: UTM has 100000 to 999999 m (leave the zone out if local)")
    if not 0 <= northing <= 10_000_000:
        raise DataError(f"northing {northing} is out of range: UTM has 0 to 10000000 m (leave the zone out if local)")
    if latitude is not None and not letter:
        letter = str(utm.latitude_to_zone_letter(latitude))
    if latitude is None and letter:
        latitude, longitude = _to_latlon(easting, northing, number, letter >= "N")
        if letter == "S" and not 31 <= latitude <= 41:
            raise DataError(
                f"zone {zone} is 32 to 40 degrees north, but northing {northing} is not there: "
                f"the letter is a latitude band, C to M in the south, N to X in the north"
            )
    return Position(float(easting), float(northing), f"{number}{letter}", latitude, longitude)


@functools.cache
def parse_zone(zone: str) -> tuple[int, str]:
    """``"18T"`` or ``"18"`` to number and letter (empty when there is none); raises ``DataError`` otherwise."""
    match = _ZONE.fullmatch(zone.strip())
    if match is None or int(match[1]) > 60 or match[2].upper() not in {"", *_BANDS}:
        raise DataError(f"{zone!r} is not a UTM zone: a number from 1 to 60 and a letter from C to X, such as 18T")
    return int(match[1]), match[2].upper()


def planar_coordinates(positions: Sequence[Position]) -> NDArray[np.float64]:
    """``[N, 2]`` easting and northing in one frame, metres.

    Where positions are in several UTM zones, all are put into the most frequent one (the first, if equal), so that
    distances between rows are right at zone borders; rows more than 12 degrees of longitude away from it are infinite.
    Raises ``DataError`` when local and UTM coordinates are mixed.
    """
    frames = _frames(positions)
    if not frames:
        return np.empty((0, 2))
    return _project(positions, frames, Counter(frames).most_common(1)[0][0])


def planar_frames(positions: Sequence[Position]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Metres ``[N, 2]`` and the frame ``[N]`` that each position's are in, 0, 1, ...

    One frame reaches 12 degrees of longitude, what lies beyond gets another. Raises as ``planar_coordinates``.
    """
    metres, frames = np.empty((len(positions), 2)), np.empty(len(positions), np.int64)
    left, frame = np.arange(len(positions)), 0
    while len(left):
        points = planar_coordinates([positions[i] for i in left.tolist()])
        inside = np.isfinite(points).all(axis=1)
        metres[left[inside]], frames[left[inside]] = points[inside], frame
        left, frame = left[~inside], frame + 1
    return metres, frames


def distances(position: Position, others: Sequence[Position]) -> NDArray[np.float64]:
    """``[N]`` metres from ``position`` to ``others``; raises ``DataError`` when their frames cannot be compared."""
    frames = _frames([position, *others])
    projected = _project([position, *others], frames, frames[0])
    metres: NDArray[np.float64] = np.hypot(*(projected[1:] - projected[0]).T)
    for index in np.flatnonzero(np.isinf(metres)).tolist():
        metres[index] = _great_circle(_latlon(position), _latlon(others[index]))
    return metres


def within_radius(queries: Sequence[Position], database: Sequence[Position], radius: float) -> list[NDArray[np.int64]]:
    """Per query the indices into ``database`` at ``radius`` metres or less, ascending.

    The bound is inclusive, as the field has it (scikit-learn's ``radius_neighbors``). Memory stays proportional to the
    inputs and to what is found. Raises ``DataError`` when the frames cannot be compared, ``ConfigError`` for a radius
    that is negative or not finite.
    """
    if not math.isfinite(radius) or radius < 0:
        raise ConfigError(f"radius={radius}: it must be a number of metres, 0 or more")
    frames = _frames([*queries, *database])
    query_frames, database_frames = frames[: len(queries)], frames[len(queries) :]
    found: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(queries)
    for frame in set(query_frames):
        members = [i for i, other in enumerate(query_frames) if other == frame]
        centres = _project([queries[i] for i in members], [frame] * len(members), frame)
        points = _project(database, database_frames, frame)
        for member, neighbours in zip(members, _neighbours(centres, points, radius), strict=True):
            found[member] = neighbours
    return found


def _neighbours(centres: NDArray[np.float64], points: NDArray[np.float64], radius: float) -> list[NDArray[np.int64]]:
    """Exact search: of the points sorted along the longer axis only the strip around each centre is looked at."""
    usable = np.flatnonzero(np.isfinite(points).all(axis=1))
    if not usable.size:
        return [np.empty(0, np.int64)] * len(centres)
    axis = int(np.argmax(np.ptp(points[usable], axis=0)))
    order = usable[np.argsort(points[usable, axis], kind="stable")].astype(np.int64)
    ordered = points[order]
    reach = radius + _SLACK
    starts = np.searchsorted(ordered[:, axis], centres[:, axis] - 2 * reach)
    stops = np.searchsorted(ordered[:, axis], centres[:, axis] + 2 * reach, side="right")
    found = []
    for centre, start, stop in zip(centres, starts, stops, strict=True):
        offsets = ordered[start:stop] - centre
        inside = np.hypot(offsets[:, 0], offsets[:, 1]) <= reach
        found.append(np.sort(order[start:stop][inside]))
    return found


def _frames(positions: Sequence[Position]) -> list[Frame]:
    """Each position's frame; raises ``DataError`` when they cannot be compared with each other."""
    known: dict[tuple[str | None, bool | None], Frame] = {}
    frames = []
    for position in positions:
        key = (position.zone, None if position.latitude is None else position.latitude >= 0)
        if key not in known:
            known[key] = _frame(position)
        frames.append(known[key])
    different = set(frames)
    if len(different) > 1 and None in different:
        local = sum(frame is None for frame in frames)
        raise DataError(
            f"{local} of {len(frames)} positions have no UTM zone and the others have one: give all or none"
        )
    without_letter = next((frame for frame in different if frame is not None and frame[1] is None), None)
    if len(different) > 1 and without_letter is not None:
        raise DataError(f"UTM zone {without_letter[0]} has no letter, needed to compare it with other zones: write 31N")
    return frames


def _frame(position: Position) -> Frame:
    if position.zone is None:
        return None
    number, letter = parse_zone(position.zone)
    if letter:
        return number, letter >= "N"
    return number, None if position.latitude is None else position.latitude >= 0


def _project(positions: Sequence[Position], frames: Sequence[Frame], frame: Frame) -> NDArray[np.float64]:
    """``[N, 2]`` in ``frame``: as written where it is theirs, through WGS84 otherwise, infinite beyond its reach."""
    projected = np.array([(p.easting, p.northing) for p in positions], np.float64).reshape(-1, 2)
    foreign = np.array([i for i, other in enumerate(frames) if other != frame], np.int64)
    if not foreign.size or frame is None:
        return projected
    number, northern = frame
    latitude, longitude = np.array([_latlon(positions[i]) for i in foreign]).T
    meridian = 6 * number - 183
    near = np.abs((longitude - meridian + 180) % 360 - 180) <= _REACH
    projected[foreign] = np.inf
    if near.any():
        easting, northing, *_ = utm.from_latlon(latitude[near], longitude[near], number, force_northern=northern)
        projected[foreign[near]] = np.column_stack([easting, northing])
    return projected


def _latlon(position: Position) -> tuple[float, float]:
    if position.latitude is not None and position.longitude is not None:
        return position.latitude, position.longitude
    frame = _frame(position)
    if frame is None or frame[1] is None:
        raise DataError(f"zone {position.zone} of {position.easting}, {position.northing} has no letter: write 31N")
    return _to_latlon(position.easting, position.northing, *frame)


def _to_latlon(easting: float, northing: float, number: int, northern: bool | None) -> tuple[float, float]:
    latitude, longitude = utm.to_latlon(easting, northing, number, northern=northern, strict=False)
    return float(latitude), float(longitude)


def _great_circle(first: tuple[float, float], second: tuple[float, float]) -> float:
    (phi_1, lambda_1), (phi_2, lambda_2) = (tuple(map(math.radians, point)) for point in (first, second))
    half = math.sin((phi_2 - phi_1) / 2) ** 2 + (
        math.cos(phi_1) * math.cos(phi_2) * math.sin((lambda_2 - lambda_1) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS * math.asin(math.sqrt(min(1.0, half)))


def _check_latlon(latitude: float, longitude: float) -> None:
    if not -90 <= latitude <= 90:  # also false for NaN
        raise DataError(f"latitude {latitude} is out of range: -90 to 90 degrees")
    if not -180 <= longitude <= 180:
        raise DataError(f"longitude {longitude} is out of range: -180 to 180 degrees")
    if not -80 <= latitude <= 84:
        raise DataError(f"latitude {latitude} is outside of UTM, which covers -80 to 84 degrees")
