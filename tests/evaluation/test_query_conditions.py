from __future__ import annotations

from pathlib import Path

from fol.evaluation.conditions import query_conditions
from fol.types import Place


def queries(*metadata: dict[str, str]) -> list[Place]:
    return [Place(str(i), Path(str(i)), metadata=own) for i, own in enumerate(metadata)]


def test_a_query_is_in_several_conditions() -> None:
    found = query_conditions(
        queries(
            {
                "note": "night_forward_cph",
                "city": "cph",
                "night": "True",
                "view_direction": "Forward",
                "subtasks": "all",
            },
            {
                "note": "day_forward_sf",
                "city": "sf",
                "night": "False",
                "view_direction": "Forward",
                "subtasks": "all d2n",
            },
        )
    )
    # All look forward, which tells no query from another.
    assert found == [("night_forward_cph", "cph", "night"), ("day_forward_sf", "sf", "day", "d2n")]


def test_what_some_queries_lack_is_no_condition() -> None:
    assert query_conditions(queries({"note": "day"}, {"note": "night"}, {})) == [(), (), ()]


def test_a_note_of_its_own_for_each_photo_is_no_condition() -> None:
    assert query_conditions(queries(*({"note": str(i)} for i in range(21)))) == [()] * 21
    assert query_conditions(queries(*({"note": str(i)} for i in range(20))))[7] == ("7",)


def test_a_condition_is_one_cell_of_a_table() -> None:
    assert query_conditions(queries({"note": "a;b"}, {"note": "c"})) == [("a,b",), ("c",)]
