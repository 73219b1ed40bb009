"""Sets of places: joined, divided, and which of their images are no negatives of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fol.data.training import TrainingPlaces, merge_places, never_negative, split_places
from fol.errors import ConfigError, DataError


def places(
    *counts: int,
    name: str = "set",
    groups: Sequence[str] | None = None,
    positions: object = None,
    overlapping: Sequence[tuple[int, int]] = (),
    frames: Sequence[int] | None = None,
) -> TrainingPlaces:
    return TrainingPlaces(
        name,
        tuple(Path(f"{name}/p{p}/{k}.jpg") for p, count in enumerate(counts) for k in range(count)),
        np.repeat(np.arange(len(counts)), counts),
        tuple(f"p{p}" for p in range(len(counts))),
        tuple(groups or [""] * len(counts)),
        None if positions is None else np.array(positions, float),
        np.array(overlapping, np.int64).reshape(-1, 2),
        None if frames is None else np.array(frames, np.int64),
    )


def test_what_is_no_set_of_places_is_refused() -> None:
    good = places(2, 1)
    for numbers in ([0, 1, 0], [0, 0, 2], [0, 0, 0]):
        with pytest.raises(ValueError, match="place"):
            TrainingPlaces("x", good.images, np.array(numbers), good.places, good.groups, None, good.overlapping)


def test_select_keeps_order_pairs_and_images() -> None:
    whole = places(1, 2, 3, groups=["a", "b", "c"], positions=[[0, 0], [1, 1], [2, 2]], overlapping=[(0, 1), (1, 2)])
    some = whole.select(np.array([2, 1]))
    assert some.places == ("p2", "p1") and some.groups == ("c", "b")
    assert [str(path) for path in some.images] == [f"set/{n}.jpg" for n in ("p2/0", "p2/1", "p2/2", "p1/0", "p1/1")]
    assert some.place_of_image.tolist() == [0, 0, 0, 1, 1] and some.starts.tolist() == [0, 3, 5]
    assert some.overlapping.tolist() == [[1, 0]]
    assert some.positions is not None and some.positions.tolist() == [[2, 2], [1, 1]]


def test_merge() -> None:
    first = places(2, 1, name="a", groups=["x", ""], positions=[[0, 0], [5, 5]], overlapping=[(0, 1)])
    second = places(1, 2, name="b", overlapping=[(1, 0)])
    both = merge_places([first, second, second])
    assert both.name == "a + b (1) + b (2)"
    assert both.places == ("a/p0", "a/p1", "b (1)/p0", "b (1)/p1", "b (2)/p0", "b (2)/p1")
    assert both.groups == ("a/x", "a", "b (1)", "b (1)", "b (2)", "b (2)")
    assert both.place_of_image.tolist() == [0, 0, 1, 2, 3, 3, 4, 5, 5]
    # b is there twice: each of its places with itself, and with what its other self overlaps
    assert both.overlapping.tolist() == [[0, 1], [3, 2], [5, 4], [2, 4], [2, 5], [3, 4], [3, 5]]
    assert both.sets is not None and both.sets.tolist() == [0, 0, 1, 1, 2, 2]
    assert not never_negative(both, np.array([0, 3]))[0, 1]
    assert both.positions is not None and np.isnan(both.positions).all(axis=1).tolist() == [False] * 2 + [True] * 4
    assert both.frames is not None and both.frames.tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(DataError, match="no training set"):
        merge_places([])


def test_a_set_given_three_times_is_no_negative_of_itself() -> None:
    one = places(2, 1, name="a")
    # p0 of the three is 0, 2, 4, p1 is 1, 3, 5
    pairs = {frozenset(pair) for pair in merge_places([one, one, one]).overlapping.tolist()}
    assert pairs == {frozenset(pair) for pair in ((0, 2), (0, 4), (2, 4), (1, 3), (1, 5), (3, 5))}


def test_a_set_given_by_two_names_is_no_negative_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "p0").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    here = Path("a"), tmp_path / "a", tmp_path / "link", Path("other")
    sets = [replace(places(1), name=str(i), images=(root / "p0" / "0.jpg",)) for i, root in enumerate(here)]
    assert merge_places(sets).overlapping.tolist() == [[0, 1], [0, 2], [1, 2]]


def test_places_of_different_sets_are_never_near() -> None:
    here = [[0.0, 0.0], [10.0, 0.0]]
    both = merge_places([places(1, 1, name="a", positions=here), places(1, 1, name="b", positions=here)])
    assert never_negative(both, np.arange(4)).int().tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_never_negative_by_hand() -> None:
    some = places(2, 2, 1, 1, positions=[[0, 0], [np.nan, 0], [30, 0], [30, 24]], overlapping=[(0, 1)])
    # images 0, 1 of place 0; 2 of place 1; 4 of place 2; 5 of place 3; 24 m lie between the last two, 30 to the first
    numbers = np.array([5, 0, 2, 4, 1])
    expected = [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0]]
    assert never_negative(some, numbers).int().tolist() == expected
    without = never_negative(some, numbers, radius=0)
    assert int(without.sum()) == 4 and bool(without[1, 2]) and not bool(without[0, 3])


def test_split_keeps_apart_what_sees_the_same() -> None:
    # 0-1-2 overlap in a chain, 3 and 4 are 20 m apart, 5 to 9 are alone
    positions = [[k * 1000, 0] for k in range(10)]
    positions[4] = [3020, 0]
    whole = places(*[2] * 10, positions=positions, overlapping=[(0, 1), (2, 1)])
    together = [{"p0", "p1", "p2"}, {"p3", "p4"}]
    seen = set()
    for seed in range(20):
        train, held = split_places(whole, 0.3, seed)
        names = set(train.places), set(held.places)
        assert names[0] | names[1] == set(whole.places) and not names[0] & names[1]
        assert len(held.places) == 3  # single places always fill up what larger parts leave
        assert all(part <= names[0] or part <= names[1] for part in together)
        assert len(train.images) + len(held.images) == 20
        seen.add(held.places)
    assert len(seen) > 3
    first, again = split_places(whole, 0.3, 5), split_places(whole, 0.3, 5)
    assert first[1].places == again[1].places


def test_split_by_group() -> None:
    whole = places(*[1] * 6, groups=list("aabbcc"), overlapping=[(0, 2), (1, 4)])
    for seed in range(10):
        train, held = split_places(whole, 0.4, seed, by="group")
        assert len(held.places) == 2 and len(set(held.groups)) == 1
        assert not set(train.groups) & set(held.groups)
        # p0 and p2, p1 and p4 see the same: what is not held out of such a pair is not trained on either
        left_out = {"a": {"p2", "p4"}, "b": {"p0"}, "c": {"p1"}}[held.groups[0]]
        assert set(whole.places) - set(train.places) - set(held.places) == left_out


def test_split_holds_out_at_least_one_part_and_refuses_what_cannot_be() -> None:
    assert len(split_places(places(1, 1, 1), 0.01, 0)[1].places) == 1
    with pytest.raises(ConfigError, match="cannot be split"):
        split_places(places(1, 1, overlapping=[(0, 1)]), 0.5, 0)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        split_places(places(1, 1), 1.0, 0)
    with pytest.raises(ConfigError, match="by 'city': choose one of place, group"):
        split_places(places(1, 1), 0.5, 0, by="city")  # type: ignore[arg-type]


def test_split_of_the_real_training_photos(shared_data: Path) -> None:
    from fol.data.training import read_training_places

    whole = read_training_places(shared_data / "ie_tower_train")
    train, held = split_places(whole, 0.1, 0)
    assert 0.08 * 577 <= len(held.places) <= 0.1 * 577 and len(train.places) + len(held.places) == 577
    pairs = {frozenset(whole.places[p] for p in pair) for pair in whole.overlapping}
    held_names = set(held.places)
    assert all(len(pair & held_names) in (0, 2) for pair in pairs)
