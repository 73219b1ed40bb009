"""Runs that learn nothing are stopped, with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fol.errors import TrainingStopped
from fol.training import (
    GuardOptions,
    OptimizerOptions,
    TrainingSetup,
    ValidationOptions,
    ValidationScores,
    keeper,
    train,
)
from fol.training.guards import Guard
from fol.training.module import PlaceTraining

MakeSetup = Callable[..., TrainingSetup]


@pytest.mark.parametrize("log_every", [1, 100])  # batches are counted between looks; the epoch ends with batch 2
def test_collapsed_descriptors_stop_the_run(make_setup: MakeSetup, tmp_path: Path, log_every: int) -> None:
    # a spread that no descriptors reach: every batch counts as collapsed
    setup = make_setup(options={"guard": GuardOptions(min_spread=2.0, patience=3)}, log_every=log_every)
    with pytest.raises(TrainingStopped, match=r"batch 2: all photos get the same descriptor .* for 3 batches"):
        train(setup, tmp_path / "run")


def test_loss_that_is_not_finite_stops_the_run(make_setup: MakeSetup, tmp_path: Path) -> None:
    setup = make_setup(options={"optimizer": OptimizerOptions(lr=1e30)})
    with pytest.raises(TrainingStopped, match=r"batch \d: the loss is not finite .*lower optimizer\.lr"):
        train(setup, tmp_path / "run")


def test_weights_that_are_not_finite_are_not_kept(
    make_setup: MakeSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(module: PlaceTraining) -> None:
        for parameter in module.parameters():
            if parameter.grad is not None and module.global_step == 1:
                parameter.grad.fill_(math.nan)

    # the losses of the first two batches are finite, and the weights after the second step are not
    monkeypatch.setattr(PlaceTraining, "on_after_backward", spoil)
    with pytest.raises(TrainingStopped, match=r"batch 1: weights are not finite after its step"):
        train(make_setup(checkpoint_every=1, log_every=100), tmp_path / "run")
    kept = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert kept["TrainingBatches"]["done"] == 1
    assert all(weight.isfinite().all() for weight in kept["state_dict"].values())


def test_recall_far_below_the_best_of_its_generation_stops_the_run() -> None:
    guard = Guard(GuardOptions(max_recall_drop=10.0))
    guard.check_recall(41, 45, 50, 1000)
    with pytest.raises(TrainingStopped, match=r"fell from 50\.0 to 39\.0.*guard\.max_recall_drop=null"):
        guard.check_recall(39, 45, 50, 1000)
    guard.check_recall(39, 45, None, 1000)  # the first of its generation
    Guard(GuardOptions(max_recall_drop=None)).check_recall(30, 45, 90, 1000)


@pytest.mark.parametrize(
    ("before", "now", "queries", "stops"),
    [
        (90, 20, 1000, True),
        (90, 60, 1000, False),
        (50, 22, 1000, True),
        (12, 3, 1000, True),
        (25, 0, 12, False),  # 3 of 12 queries, whose standard error is 12.5 points
        (90, 20, 12, True),
    ],
)
def test_recall_below_half_of_the_one_before_stops_the_run(
    before: float, now: float, queries: int, stops: bool
) -> None:
    guard = Guard(GuardOptions())
    if stops:
        with pytest.raises(TrainingStopped, match=rf"fell from {before}\.0 to {now}\.0.*guard\.max_relative_drop=null"):
            guard.check_recall(now, before, None, queries)
    else:
        guard.check_recall(now, before, None, queries)
    Guard(GuardOptions(max_relative_drop=None)).check_recall(now, before, None, queries)


def test_first_recall_below_what_is_asked_stops_the_run() -> None:
    guard = Guard(GuardOptions(min_first_recall=70.0))
    guard.check_recall(70, None, None, 1000)
    guard.check_recall(69, 70, None, 1000)  # not the first
    with pytest.raises(TrainingStopped, match=r"R@1 69\.9, below guard\.min_first_recall=70: .*weights.*normal.*order"):
        guard.check_recall(69.9, None, None, 1000)
    Guard(GuardOptions()).check_recall(0, None, None, 1000)


def follow(monkeypatch: pytest.MonkeyPatch, recalls: list[float]) -> Iterator[float]:
    """Let validations give these R@1, and say which are left."""
    left = iter(recalls)

    def scores(*_: object) -> ValidationScores:
        r1 = next(left)
        return ValidationScores({"set": {"global": {1: r1, 5: r1}, "reranked": {1: r1, 5: r1}}})

    monkeypatch.setattr(keeper, "validate", scores)
    return left


def test_first_weights_are_validated_before_the_first_batch(
    make_setup: MakeSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are compared with, and not chosen; a run that goes on does not repeat it."""
    options = {"validation": ValidationOptions(at_start=True), "guard": GuardOptions(min_first_recall=70.0)}
    left = follow(monkeypatch, [80.0, 75.0, 78.0])
    stopped = train(make_setup(options=options, max_minutes=1e-9), tmp_path / "run")
    assert (stopped.done, stopped.best, len(stopped.history)) == (1, None, 1)
    result = train(make_setup(options=options), tmp_path / "run")
    assert list(left) == []
    assert [(step, scores.mean("global", 1)) for step, scores in result.history] == [(0, 80), (3, 75), (6, 78)]
    assert result.scores is not None and result.scores.mean("global", 1) == 78

    follow(monkeypatch, [69.0])
    with pytest.raises(TrainingStopped, match=r"the first validation has R@1 69\.0"):
        train(make_setup(options=options), tmp_path / "wrong")
    assert not (tmp_path / "wrong" / "last.ckpt").exists()


def test_the_first_validation_may_be_that_of_the_first_epoch(
    make_setup: MakeSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"guard": GuardOptions(min_first_recall=70.0, max_relative_drop=None, max_recall_drop=None)}
    follow(monkeypatch, [70.0, 10.0])
    assert train(make_setup(options=options), tmp_path / "run").done == 6
    follow(monkeypatch, [69.0])
    with pytest.raises(TrainingStopped, match=r"the first validation has R@1 69\.0"):
        train(make_setup(options=options), tmp_path / "wrong")
