"""Groups of queries that recall is reported for: by light, direction of view, city, subtask, or whatever is noted."""

from __future__ import annotations

from collections.abc import Sequence

from fol.types import Place

_MOST = 20  # more different values are notes of another kind, such as one per photo
_KEYS = ("note", "city", "night", "view_direction", "subtasks")
_WORDS = {("night", "True"): "night", ("night", "False"): "day"}


def query_conditions(queries: Sequence[Place]) -> list[tuple[str, ...]]:
    """Per query its conditions: the values of those metadata that every query has and that are 2 to 20 in all.

    A query may be in several subtasks; the one that is called ``all`` says nothing. Where a note is made up of the
    others, as that of MSLS is (``night_forward_cph``), it is one more condition.
    """
    found: list[list[str]] = [[] for _ in queries]
    for key in _KEYS:
        values = [_values(key, query.metadata.get(key, "")) for query in queries]
        if 2 <= len({value for own in values for value in own}) <= _MOST and all(values):
            for own, more in zip(found, values, strict=True):
                own.extend(value for value in more if value not in own and value != "all")
    return [tuple(own) for own in found]


def _values(key: str, text: str) -> list[str]:
    text = text.replace(";", ",")
    if key == "subtasks":
        return text.split()
    return [_WORDS.get((key, text), text.lower() if key == "view_direction" else text)] if text else []
