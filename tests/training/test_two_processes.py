"""A whole run of two processes: what one process learns, one end for both, and one that goes on."""

from __future__ import annotations

import json
import os
import runpy
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fol.data.training import AugmentationOptions
from fol.errors import TrainingStopped
from fol.training import (
    GuardOptions,
    OptimizerOptions,
    TrainingResult,
    TrainingSetup,
    ValidationScores,
    keeper,
    train,
)

HELPERS = Path(__file__).with_name("conftest.py")


def setup_of(make: Callable[..., TrainingSetup], options: dict[str, Any] | None = None, **loop: Any) -> TrainingSetup:
    """Without what is drawn: a rank draws other dropout and augmentation than one process for its photos."""
    model = runpy.run_path(str(HELPERS))["small_model"](dropout=0.0)
    optimizer = OptimizerOptions(name="sgd", lr=1e-3, clip_norm=1.0)  # Adam would make much of rounding errors
    return make(
        setup={"model": model, "augmentation": AugmentationOptions()},
        options={"optimizer": optimizer, **(options or {})},
        **loop,
    )


def summary(result: TrainingResult) -> dict[str, Any]:
    scores = None if result.scores is None else asdict(result.scores)
    return {"done": result.done, "finished": result.last is not None, "scores": json.loads(json.dumps(scores))}


def one_rank(number: int, port: int, places: Path, out: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), LOCAL_RANK=str(number))
    small_setup = runpy.run_path(str(HELPERS))["small_setup"]

    def make(**keywords: Any) -> TrainingSetup:
        setup: TrainingSetup = small_setup(places, devices=2, **keywords)
        return setup

    watched: list[int] = []
    # The second rank alone is out of time after its first batch.
    limit = 1e-9 if number else 1e9
    found = {"stopped": summary(train(setup_of(make, max_minutes=limit), out / "run"))}
    found["finished"] = summary(train(setup_of(make), out / "run", watch=lambda p: watched.append(p.done)))
    found["watched"] = watched

    recalls = iter([50.0, 10.0])

    def validate(*_: object) -> ValidationScores:
        recall = dict.fromkeys((1, 5), next(recalls))
        return ValidationScores({"set": {"global": recall, "reranked": recall}})

    keeper.validate = validate  # type: ignore[attr-defined]
    for name, guard in (("drop", GuardOptions()), ("collapse", GuardOptions(min_spread=2.0, patience=2))):
        try:
            train(setup_of(make, {"guard": guard}), out / name)
        except TrainingStopped as error:
            found[name] = str(error)
    (out / f"{number}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, place_folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of the runs, and what each of the two processes found."""
    out = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(one_rank, (port, place_folder, out), nprocs=2)
    return out, [json.loads((out / f"{number}.json").read_text()) for number in range(2)]


def test_both_stop_after_the_same_batch_when_one_is_out_of_time(run: tuple[Path, list[dict[str, Any]]]) -> None:
    assert [found["stopped"] for found in run[1]] == [{"done": 1, "finished": False, "scores": None}] * 2


def test_both_stop_for_the_reason_that_one_of_them_saw(run: tuple[Path, list[dict[str, Any]]]) -> None:
    for found in run[1]:
        assert found["drop"].startswith("validation R@1 fell from 50.0 to 10.0")
        assert found["collapse"].startswith("batch 1: all photos get the same descriptor")


def test_resumed_they_learn_what_one_process_learns(
    run: tuple[Path, list[dict[str, Any]]], make_setup: Callable[..., TrainingSetup], tmp_path: Path
) -> None:
    out, found = run
    alone = train(setup_of(make_setup), tmp_path / "alone")
    for rank in found:
        assert rank["finished"]["done"] == 6 and rank["finished"]["finished"]
        assert rank["finished"]["scores"] == found[0]["finished"]["scores"] is not None
    assert [rank["watched"] for rank in found] == [[2, 3, 4, 5, 6], []]  # one of them reports
    assert alone.last is not None
    before = setup_of(make_setup).model.network.state_dict()
    expected, actual = load_file(alone.last), load_file(out / "run" / "last.safetensors")
    assert expected.keys() == actual.keys()
    moved = sum(float((expected[name] - before[name]).norm()) for name in expected)
    apart = sum(float((expected[name] - actual[name]).norm()) for name in expected)
    assert apart < 1e-3 * moved
