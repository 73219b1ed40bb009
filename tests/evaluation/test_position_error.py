"""Distances of best answers by hand, and against sorting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fol.data import position_from_latlon
from fol.errors import DataError
from fol.evaluation.position_error import PositionErrors, position_errors
from fol.types import Position


def _at(east: float, north: float = 0.0) -> Position:
    return Position(east, north)


def test_by_hand() -> None:
    errors = position_errors([_at(0), _at(10), _at(20), _at(30)], [_at(3, 4), _at(10), _at(20, 25), _at(40)])
    assert errors.metres.tolist() == [5, 0, 25, 10]
    assert errors.median == 7.5
    assert errors.percentile_90 == pytest.approx(10 + 0.7 * 15)  # place 2.7 of 0, 5, 10, 25
    assert errors.share_within([0, 5, 24.9, 25, 100]) == {0: 0.25, 5: 0.5, 24.9: 0.75, 25: 1, 100: 1}
    assert (errors.num_unknown, errors.num_unanswered) == (0, 0)


def test_unanswered_queries_are_infinitely_far() -> None:
    errors = position_errors([_at(0), _at(0), _at(0)], [_at(2), None, _at(4)])
    assert errors.metres.tolist() == [2, math.inf, 4]
    assert errors.num_unanswered == 1
    assert errors.median == 4
    assert errors.percentile_90 == math.inf
    assert errors.share_within([1e9]) == {1e9: pytest.approx(2 / 3)}
    nothing = position_errors([_at(0)] * 4, [None] * 4)
    assert nothing.median == math.inf  # and not NaN, as between two infinite numbers


def test_queries_without_a_position_do_not_count() -> None:
    errors = position_errors([_at(0), None, None], [_at(6), _at(1), None])
    assert errors.num_unknown == 2
    assert errors.median == 6
    assert errors.share_within([5, 6]) == {5: 0, 6: 1}
    unknown = position_errors([None], [_at(0)])
    assert math.isnan(unknown.median) and math.isnan(unknown.share_within([5])[5])


def test_across_a_border_of_zones() -> None:
    # A second of arc of longitude at the equator is 30.9 m, also over the border of zones 31 and 32 at 6 degrees.
    west, east = position_from_latlon(0.0, 6 - 0.5 / 3600), position_from_latlon(0.0, 6 + 0.5 / 3600)
    assert west.zone != east.zone
    assert position_errors([west], [east]).median == pytest.approx(30.9, abs=0.1)


def test_frames_that_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="no UTM zone"):
        position_errors([_at(0)], [position_from_latlon(48.0, 11.0)])
    with pytest.raises(ValueError, match="one answer per query"):
        position_errors([_at(0)], [])


def test_the_radius_is_inclusive_for_coordinates_in_decimals() -> None:
    assert 5000000.4 - 5000000.3 > 0.1  # in floating point
    errors = position_errors([_at(0, 5000000.3)], [_at(0, 5000000.4)])
    assert errors.share_within([0.1])[0.1] == 1


@given(st.lists(st.one_of(st.floats(0, 1e5), st.just(math.inf), st.just(math.nan)), max_size=30), st.floats(0, 1))
def test_against_sorting(metres: list[float], share: float) -> None:
    errors = PositionErrors(np.array(metres))
    known = sorted(m for m in metres if not math.isnan(m))
    assert errors.num_unknown == len(metres) - len(known)
    if not known:
        assert math.isnan(errors.quantile(share))
        return
    inside = [m for m in known if m <= 100.0000001]
    assert errors.share_within([100])[100] == pytest.approx(len(inside) / len(known))
    value = errors.quantile(share)
    finite = [m for m in known if m < math.inf]
    if len(finite) == len(known):
        assert value == pytest.approx(float(np.quantile(known, share)), rel=1e-9, abs=1e-6)
    else:  # infinite as soon as one of the neighbours with weight is
        place = share * (len(known) - 1)
        assert math.isinf(value) == (math.ceil(place) >= len(finite))
