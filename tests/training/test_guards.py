"""Runs that learn nothing are stopped, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fol.errors import TrainingStopped
from fol.training import GuardOptions, OptimizerOptions, TrainingSetup, ValidationScores, train
from fol.training.guards import Guard

MakeSetup = Callable[..., TrainingSetup]


def test_collapsed_descriptors_stop_the_run(make_setup: MakeSetup, tmp_path: Path) -> None:
    # a spread that no descriptors reach: every batch counts as collapsed
    setup = make_setup(options={"guard": GuardOptions(min_spread=2.0, patience=3)})
    with pytest.raises(TrainingStopped, match=r"batch 2: all photos get the same descriptor .* for 3 batches"):
        train(setup, tmp_path / "run")


def test_loss_that_is_not_finite_stops_the_run(make_setup: MakeSetup, tmp_path: Path) -> None:
    setup = make_setup(options={"optimizer": OptimizerOptions(lr=1e30)})
    with pytest.raises(TrainingStopped, match=r"batch \d: the loss is not finite .*lower optimizer\.lr"):
        train(setup, tmp_path / "run")


def scores(r1: float) -> ValidationScores:
    return ValidationScores({"set": {"global": {1: r1, 5: r1}, "reranked": {1: r1, 5: r1}}})


def test_drop_of_recall_stops_the_run() -> None:
    guard = Guard(GuardOptions(max_recall_drop=10.0))
    guard.check_recall(scores(50), None, "reranked")
    guard.check_recall(scores(41), scores(50), "reranked")
    with pytest.raises(TrainingStopped, match=r"fell from 50\.0 to 39\.0"):
        guard.check_recall(scores(39), scores(50), "reranked")
    Guard(replace(guard.options, max_recall_drop=None)).check_recall(scores(0), scores(50), "reranked")
