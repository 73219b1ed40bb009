"""The speed that a run reports is that of its training."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from fol.training import TrainingProgress, TrainingSetup, ValidationScores, keeper, reporting, train


class Clock:
    """Stands still unless it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_validation_does_not_count_in_the_speed(
    make_setup: Callable[..., TrainingSetup], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    def batch_of_two_seconds(progress: TrainingProgress) -> None:
        clock.now += 2

    def validation_of_an_hour(*_: object) -> ValidationScores:
        clock.now += 3600
        return ValidationScores({"set": {"global": {1: 1.0, 5: 1.0}, "reranked": {1: 1.0, 5: 1.0}}})

    monkeypatch.setattr(reporting, "time", clock)
    monkeypatch.setattr(keeper, "validate", validation_of_an_hour)
    train(make_setup(), tmp_path, watch=batch_of_two_seconds)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        speeds = [float(row["images_per_second"]) for row in csv.DictReader(file) if row["images_per_second"]]
    assert clock.now == 6 * 2 + 2 * 3600
    assert speeds[1:] == [6.0] * 5  # 4 places of 3 photos in 2 seconds
