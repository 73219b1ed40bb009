"""Loggers by name; none of them talks to a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from fol.errors import ConfigError
from fol.training import build_loggers
from fol.training.loggers import finish_loggers


def test_csv_is_always_there(tmp_path: Path) -> None:
    assert [logger.name for logger in build_loggers([], tmp_path, {})] == ["csv"]
    assert [logger.name for logger in build_loggers(["csv"], tmp_path, {})] == ["csv"]


def test_tensorboard_writes_its_events(tmp_path: Path) -> None:
    _, board = build_loggers(["tensorboard"], tmp_path, {})
    board.log_metrics({"loss": 1.0}, 3)
    board.finalize("success")
    assert list((tmp_path / "tensorboard").glob("events.*"))


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
