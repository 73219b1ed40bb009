"""Plain values to dataclasses, strictly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from fol.cli.objects import build
from fol.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    pair: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Outer:
    count: int
    mode: Literal["a", "b"] = "a"
    limit: int | None = None
    names: tuple[str, ...] = ()
    share: int | float = 1
    inner: Inner = field(default_factory=Inner)


def test_values_become_the_dataclass() -> None:
    values = {
        "count": 2,
        "mode": "b",
        "limit": 3,
        "names": ["x", "y"],
        "share": 0.5,
        "inner": {"rate": 2, "pair": [1, 2.5]},
    }
    assert build(Outer, values, "top") == Outer(2, "b", 3, ("x", "y"), 0.5, Inner(2.0, (1.0, 2.5)))
    assert isinstance(build(Outer, values, "top").inner.rate, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 1, "mdoe": "a"}, r"no option is called top\.mdoe; did you mean mode\?"),
        ({"count": 1, "inner": {"zzz": 1}}, r"no option is called top\.inner\.zzz; there are rate, pair"),
        ({}, r"top\.count is missing"),
        ({"count": "many"}, r"top\.count='many': that is not a whole number"),
        ({"count": True}, r"top\.count=True: that is not a whole number"),
        ({"count": 1, "mode": "c"}, r"top\.mode='c' is unknown; choose one of a, b"),
        ({"count": 1, "names": "x"}, r"top\.names='x': that is not a list; write top\.names=\[\.\.\.\]"),
        ({"count": 1, "limit": 1.5}, r"top\.limit=1\.5: that is not a whole number or null"),
        ({"count": 1, "inner": {"pair": [1, 2, 3]}}, r"top\.inner\.pair=\[1, 2, 3\]: give 2 values"),
    ],
)
def test_what_does_not_fit_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(Outer, values, "top")
