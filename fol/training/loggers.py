"""Loggers by name: csv (always), wandb (offline unless told otherwise), tensorboard."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger

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

                # The id is fixed so that a resumed run goes on in the same record (offline: in a second folder of
                # that id, which `wandb sync --append` adds to the first).
                loggers.append(
                    WandbLogger(
                        name=folder.resolve().name,
                        save_dir=folder,
                        project=project,
                        offline=not online,
                        id=_record_id(folder),
                        config=dict(config),
                    )
                )
            elif name == "tensorboard":
                loggers.append(TensorBoardHistory(folder, name="tensorboard", version=""))
            else:
                raise ConfigError(f"logger {name!r} is unknown; choose from {', '.join(NAMES)}")
        except ImportError as error:
            raise ConfigError(f"logger {name} is not installed: pip install 'fol[train]'") from error
    return loggers


class TensorBoardHistory(TensorBoardLogger):
    """Lightning's logger, whose steps after a checkpoint are hidden when the run goes on from there."""

    def forget_after(self, step: int) -> None:
        """TensorBoard will not show what was logged beyond ``step`` before now; call it before anything is logged."""
        self._kwargs["purge_step"] = step + 1


def finish_loggers(loggers: Sequence[Logger]) -> None:
    """End the record of wandb; another run of this process would go on in it otherwise."""
    from lightning.pytorch.loggers import WandbLogger

    if any(isinstance(logger, WandbLogger) for logger in loggers):
        import wandb

        if wandb.run is not None:
            wandb.finish()


def _record_id(folder: Path) -> str:
    """The same for a folder every time and another for every folder; wandb takes few characters in ids."""
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
