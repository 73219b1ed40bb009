"""Training: places and losses to weights, in runs that resume exactly (Lightning).

For the rest of the library: ``train`` runs a ``TrainingSetup`` and gives a ``TrainingResult``; the ``*Options`` are its
settings; ``build_loggers`` makes loggers by name, ``CsvHistory`` reads ``metrics.csv``; ``TrainingProgress`` is what a
watcher is told.
"""

try:
    import lightning  # noqa: F401
    import pytorch_metric_learning  # noqa: F401
except ImportError as error:
    from fol.errors import ConfigError

    raise ConfigError(f"training needs the package {error.name}: pip install 'fol[train]'") from error

from fol.training.history import CsvHistory
from fol.training.loggers import build_loggers
from fol.training.options import (
    GuardOptions,
    LoopOptions,
    OptimizerOptions,
    ScheduleOptions,
    TrainingOptions,
    ValidationOptions,
)
from fol.training.reporting import TrainingProgress
from fol.training.run import TrainingResult, train
from fol.training.setup import Losses, TrainingSetup
from fol.training.validation import ValidationScores

__all__ = [
    "CsvHistory",
    "GuardOptions",
    "LoopOptions",
    "Losses",
    "OptimizerOptions",
    "ScheduleOptions",
    "TrainingOptions",
    "TrainingProgress",
    "TrainingResult",
    "TrainingSetup",
    "ValidationOptions",
    "ValidationScores",
    "build_loggers",
    "train",
]
