"""The speed that a run reports is that of its training, and the norm of the gradient that before clipping."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from fol.training import (
    OptimizerOptions,
    TrainingProgress,
    TrainingSetup,
    ValidationScores,
    keeper,
    reporting,
    train,
)
from fol.training.batches import TrainingBatches
from fol.training.setup import assemble


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


@pytest.mark.parametrize("accumulate", [1, 2])
def test_norm_of_the_gradient_is_that_before_clipping(
    make_weak: Callable[..., TrainingSetup], tmp_path: Path, accumulate: int
) -> None:
    def setup() -> TrainingSetup:
        options = {"optimizer": OptimizerOptions(name="sgd", clip_norm=1e-3)}
        return make_weak(
            setup={"validation": []}, options=options, steps=accumulate, accumulate=accumulate, checkpoint_every=99
        )

    train(setup(), tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        logged = [row["gradient_norm"] for row in csv.DictReader(file)]
    module, source, length = assemble(setup(), tmp_path)
    for number, batch in enumerate(TrainingBatches(setup().images, source, length).train_dataloader()):
        (module.training_step(batch, number) / accumulate).backward()
    squares = sum(float(p.grad.double().square().sum()) for p in module.parameters() if p.grad is not None)
    assert logged[:-1] == [""] * (accumulate - 1)  # no step was made yet
    assert float(logged[-1]) == pytest.approx(math.sqrt(squares), rel=1e-4)
    assert squares > 1e-5
