"""Weakly supervised runs and SFRS, killed anywhere and started again, end bit-equal to undisturbed ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import Killed, equal, killer, rows, run_with_kills

from fol.errors import ConfigError
from fol.training import TrainingSetup, ValidationOptions, train
from fol.training.centres import CentresOptions
from fol.training.setup import DESCRIPTORS, INITIAL

MakeSetup = Callable[..., TrainingSetup]


def compare(make: MakeSetup, folder: Path, kills: list[int], **options: Any) -> None:
    alone = train(make(**options), folder / "alone")
    resumed = run_with_kills(make, folder / "killed", kills, **options)
    assert alone.done == alone.total
    assert (resumed.done, resumed.scores, resumed.history) == (alone.done, alone.scores, alone.history)
    for name in ("last.safetensors", "best.safetensors"):
        assert (folder / "killed" / name).read_bytes() == (folder / "alone" / name).read_bytes(), name
    states = [torch.load(folder / run / "last.ckpt", weights_only=True) for run in ("alone", "killed")]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "TrainingBatches", "global_step", "generation"):
        assert equal(states[0].get(part), states[1].get(part)), part
    assert rows(folder / "killed" / "metrics.csv") == rows(folder / "alone" / "metrics.csv")
    assert not (folder / "killed" / DESCRIPTORS).exists()  # gigabytes, of no use to a finished run


@pytest.mark.parametrize(
    ("kills", "options"),
    [
        # before the first checkpoint, so that the first weights are validated again, and inside of rounds
        (
            [1, 2, 4],
            {
                "accumulate": 2,
                "checkpoint_every": 3,
                "options": {"validation": ValidationOptions(monitor="global", at_start=True)},
            },
        ),
        # the last batches of a round and of an epoch, the first of the next
        ([3, 7, 8], {"checkpoint_every": 1, "mining": {"violating_only": True, "margin": 0.5}}),
    ],
)
def test_weak_run(make_weak: MakeSetup, tmp_path: Path, kills: list[int], options: dict[str, Any]) -> None:
    compare(make_weak, tmp_path, kills, **options)


@pytest.mark.parametrize(
    ("kills", "options"),
    [
        ([4, 7, 8, 11, 14, 16], {"generations": (1, 1, 1)}),
        ([1, 9, 10], {"checkpoint_every": 1}),  # before the first checkpoint, last and first of rounds with a teacher
        ([6, 10], {"accumulate": 2, "backbone": "vgg"}),
    ],
)
def test_sfrs_run(make_sfrs: MakeSetup, tmp_path: Path, kills: list[int], options: dict[str, Any]) -> None:
    compare(make_sfrs, tmp_path, kills, **options)


def test_a_start_before_the_first_checkpoint_leaves_nothing_behind(make_sfrs: MakeSetup, tmp_path: Path) -> None:
    """Nobody compares its settings with those of the next start."""
    with pytest.raises(Killed):
        train(make_sfrs(backbone="vgg"), tmp_path / "run", watch=killer(1))
    assert (tmp_path / "run" / INITIAL).is_file() and not (tmp_path / "run" / "last.ckpt").exists()
    train(make_sfrs(steps=3), tmp_path / "run")
    train(make_sfrs(steps=3), tmp_path / "alone")
    for name in ("last.safetensors", INITIAL):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sampling": {"tuples": 3}}, r"weak\.tuples=2, not 3"),
        ({"generations": (1, 2)}, r"weak\.generations=\[1, 1\], not \[1, 2\]"),
        ({"setup": {"centres": None}}, r"weak\.centres=all, not None"),
        ({"setup": {"centres": CentresOptions("database")}}, r"weak\.centres=all, not database"),
        ({"setup": {"centres": CentresOptions("all", (70, 84))}}, r"weak\.centres_size=None, not \[70, 84\]"),
    ],
)
def test_other_tuples_are_refused_by_name(
    make_sfrs: MakeSetup, tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Any], message: str
) -> None:
    run = tmp_path_factory.getbasetemp() / "sfrs-of-one-batch"
    train(make_sfrs(steps=1), run)
    with pytest.raises(ConfigError, match=message):
        train(make_sfrs(steps=1, **changed), run)
