"""Loggers by name; none of them talks to a server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fol.errors import ConfigError
from fol.training import build_loggers
from fol.training.loggers import TensorBoardHistory, finish_loggers


def test_csv_is_always_there(tmp_path: Path) -> None:
    assert [logger.name for logger in build_loggers([], tmp_path, {})] == ["csv"]
    assert [logger.name for logger in build_loggers(["csv"], tmp_path, {})] == ["csv"]


def test_tensorboard_writes_its_events(tmp_path: Path) -> None:
    _, board = build_loggers(["tensorboard"], tmp_path, {})
    board.log_metrics({"loss": 1.0}, 3)
    board.finalize("success")
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_tensorboard_hides_what_a_resumed_run_logs_again(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for resumed_from, value in ((0, 1.0), (2, 5.0)):
        _, board = build_loggers(["tensorboard"], tmp_path, {})
        assert isinstance(board, TensorBoardHistory)
        board.forget_after(resumed_from)
        for step in range(resumed_from + 1, 5):
            board.log_metrics({"loss": value}, step)
        board.finalize("success")
        time.sleep(1.1)  # its files are named by the second
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [(event.step, event.value) for event in shown] == [(1, 1.0), (2, 1.0), (3, 5.0), (4, 5.0)]


def test_wandb_stays_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    folder = tmp_path / "seed=1,loss=fol"  # a run of a sweep: wandb takes no comma in an id
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    _, logger = build_loggers(["wandb"], folder, {"lr": 0.1}, project="places")
    logger.log_metrics({"loss": 1.0}, 3)
    logger.finalize("success")
    finish_loggers([logger])
    assert wandb.run is None
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1


def test_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="logger 'mlflow' is unknown; choose from csv, wandb, tensorboard"):
        build_loggers(["mlflow"], tmp_path, {})
