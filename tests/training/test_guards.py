"""Runs that learn nothing are stopped, with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fol.errors import TrainingStopped
from fol.training import GuardOptions, OptimizerOptions, TrainingSetup, ValidationScores, train
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


def scores(r1: float) -> ValidationScores:
    return ValidationScores({"set": {"global": {1: r1, 5: r1}, "reranked": {1: r1, 5: r1}}})


def test_drop_of_recall_stops_the_run() -> None:
    guard = Guard(GuardOptions(max_recall_drop=10.0))
    guard.check_recall(scores(50), None, "reranked")
    guard.check_recall(scores(41), scores(50), "reranked")
    with pytest.raises(TrainingStopped, match=r"fell from 50\.0 to 39\.0"):
        guard.check_recall(scores(39), scores(50), "reranked")
    Guard(replace(guard.options, max_recall_drop=None)).check_recall(scores(0), scores(50), "reranked")
