"""Fixtures of the tests of retrieval."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_city import RandomCity


@pytest.fixture
def city() -> RandomCity:
    return RandomCity()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my città.fol"
