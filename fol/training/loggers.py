"""Loggers by name: csv (always), wandb (offline unless told otherwise), tensorboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from fol.errors import ConfigError
from fol.training.history import CsvHistory

NAMES = ("csv", "wandb", "tensorboard")


def build_loggers(
    names: Sequence[str], folder: Path, config: Mapping[str, Any], *, project: str = "fol", online: bool = False
) -> list[Logger]:
    """The loggers of a run in ``folder``; the CSV file ``metrics.csv`` is always among them.

    ``online`` lets wandb talk to its server; otherwise it writes files that ``wandb sync`` can send later.
    ``ConfigError`` for an unknown name or a package that is not installed.
    """
    loggers: list[Logger] = [CsvHistory(folder / "metrics.csv")]
    for name in names:
        if name == "csv":
            continue
        try:
            if name == "wandb":
                import wandb  # noqa: F401
                from lightning.pytorch.loggers import WandbLogger

                # The id is fixed so that a resumed run goes on in the same record.
                loggers.append(
                    WandbLogger(
                        name=folder.name,
                        save_dir=folder,
                        project=project,
                        offline=not online,
                        id=folder.name,
                        config=dict(config),
                    )
                )
            elif name == "tensorboard":
                from lightning.pytorch.loggers import TensorBoardLogger

                loggers.append(TensorBoardLogger(folder, name="tensorboard", version=""))
            else:
                raise ConfigError(f"logger {name!r} is unknown; choose from {', '.join(NAMES)}")
        except ImportError as error:
            raise ConfigError(f"logger {name} is not installed: pip install 'fol[train]'") from error
    return loggers
