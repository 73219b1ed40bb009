"""A run that is killed and started again ends bit-equal to one that was left alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fol.data.training import PlaceBatchSampler
from fol.errors import CheckpointError, ConfigError
from fol.losses import FOL_LOSSES
from fol.models import PlaceModel
from fol.training import LoopOptions, TrainingProgress, TrainingResult, TrainingSetup, train

MakeSetup = Callable[..., TrainingSetup]


class Killed(BaseException):
    """Not an Exception, so nothing on the way can handle it."""


def killer(at: int) -> Callable[[TrainingProgress], None]:
    def watch(progress: TrainingProgress) -> None:
        if progress.done == at:
            raise Killed

    return watch


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "images_per_second"} for row in csv.DictReader(file)]


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def run_with_kills(make: MakeSetup, out: Path, kills: list[int], **options: Any) -> TrainingResult:
    for kill in kills:
        with pytest.raises(Killed):
            train(make(**options), out, watch=killer(kill))
        torch.rand(kill)  # whatever happened in between must not matter
    return train(make(**options), out)


@pytest.mark.parametrize(
    ("kills", "options"),
    [
        ([1], {}),  # before the first checkpoint
        ([3, 3, 5], {}),  # at the end of an epoch, again there, in the middle of the second
        ([6], {}),  # the last batch: validated or not, it is trained again
        ([4], {"accumulate": 2, "checkpoint_every": 1}),  # checkpoints lie between optimiser steps only
        ([2, 4], {"precision": "bf16-mixed"}),
    ],
)
def test_killed_and_resumed_run_ends_bit_equal(
    make_setup: MakeSetup, tmp_path: Path, kills: list[int], options: dict[str, Any]
) -> None:
    alone = train(make_setup(**options), tmp_path / "alone")
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".4711-last.ckpt.tmp").write_bytes(b"half")  # of a run that was killed while it saved
    resumed = run_with_kills(make_setup, tmp_path / "killed", kills, **options)
    assert (resumed.done, resumed.scores, resumed.history) == (alone.done, alone.scores, alone.history)
    for name in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    states = [torch.load(tmp_path / run / "last.ckpt", weights_only=True) for run in ("alone", "killed")]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "TrainingBatches", "global_step"):
        assert equal(states[0][part], states[1][part]), part
    assert not list((tmp_path / "killed").glob(".*.tmp"))
    assert rows(tmp_path / "killed" / "metrics.csv") == rows(tmp_path / "alone" / "metrics.csv")


def test_training_changes_every_trained_parameter(make_setup: MakeSetup, tmp_path: Path) -> None:
    setup = make_setup()
    before = {name: value.clone() for name, value in setup.model.network.state_dict().items()}
    result = train(setup, tmp_path / "run")
    after = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    unchanged = [name for name in before if torch.equal(before[name], after[f"network.{name}"])]
    assert unchanged == []
    assert result.done == result.total == 6


def test_finished_run_is_left_as_it_is(make_setup: MakeSetup, tmp_path: Path) -> None:
    first = train(make_setup(), tmp_path / "run")
    state = (tmp_path / "run" / "last.ckpt").read_bytes()
    again = train(make_setup(), tmp_path / "run", watch=killer(1))  # would be killed if it trained a batch
    assert (again.scores, again.history) == (first.scores, first.history)
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == state


def test_other_settings_are_refused_by_name(make_setup: MakeSetup, tmp_path: Path) -> None:
    def setup(lr: float) -> TrainingSetup:
        return make_setup(setup={"identity": {"optimizer": {"lr": lr}}}, steps=1)

    train(setup(0.001), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"optimizer\.lr=0\.001, not 0\.002"):
        train(setup(0.002), tmp_path / "run")


def test_settings_that_older_runs_did_not_name_have_the_value_of_then(make_setup: MakeSetup, tmp_path: Path) -> None:
    def setup(**validation: int) -> TrainingSetup:
        return make_setup(setup={"identity": {"validation": {"every_epochs": 1, **validation}}}, steps=1)

    train(setup(), tmp_path / "run")
    assert train(setup(best_by=1), tmp_path / "run").done == 1
    with pytest.raises(ConfigError, match=r"validation\.best_by=1, not 5"):
        train(setup(best_by=5), tmp_path / "run")


def test_another_model_or_loss_is_refused_whoever_started_the_run(make_setup: MakeSetup, tmp_path: Path) -> None:
    def setup(**parts: Any) -> TrainingSetup:
        return make_setup(setup={"identity": {}, **parts}, steps=1)

    train(setup(), tmp_path / "run")
    model = make_setup().model
    other = PlaceModel(replace(model.card, name="other"), model.network)
    with pytest.raises(ConfigError, match=r"holds a run with card\.name=small, not other"):
        train(setup(model=other), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"losses\.contrast=0\.1, not 0\.5"):
        train(setup(losses=replace(FOL_LOSSES, contrast=0.5)), tmp_path / "run")
    # the settings of a run of an older version, which did not write them
    written = json.loads((tmp_path / "run" / "run.json").read_text())
    del written["parts"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(written))
    assert train(setup(), tmp_path / "run").done == 1


def test_time_limit_stops_where_it_can_go_on(make_setup: MakeSetup, tmp_path: Path) -> None:
    stopped = train(make_setup(max_minutes=1e-9), tmp_path / "run")
    assert (stopped.done, stopped.last) == (1, None)
    finished = train(make_setup(), tmp_path / "run")
    alone = train(make_setup(), tmp_path / "alone")
    assert finished.last is not None and alone.last is not None
    assert finished.last.read_bytes() == alone.last.read_bytes()


def test_damaged_state_names_the_file(make_setup: MakeSetup, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.ckpt").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(CheckpointError, match=r"last\.ckpt: not a readable training state"):
        train(make_setup(), tmp_path / "run")


def test_loop_options_have_the_published_defaults() -> None:
    assert (LoopOptions().epochs, LoopOptions().accumulate) == (8, 1)  # official README: --epochs_num=8


def test_run_does_not_go_on_with_other_batches(make_setup: MakeSetup, tmp_path: Path) -> None:
    train(make_setup(max_minutes=1e-9), tmp_path / "run")
    setup = make_setup()
    other = PlaceBatchSampler(setup.sampler.places, 3, 3, seed=3)  # 4 batches of 3 places, no longer 3 of 4
    with pytest.raises(ConfigError, match="had per_epoch=3 in its batches, now it is 4"):
        train(make_setup(setup={"sampler": other}), tmp_path / "run")
