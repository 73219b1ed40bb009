"""Figures of a run to its loggers and to whoever watches (Lightning callback)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning

from fol.training.module import PlaceTraining


@dataclass(frozen=True)
class TrainingProgress:
    """Where a run is: batches ``done`` of ``total``, its losses by name, its speed and the time that is left."""

    done: int
    total: int
    epoch: float
    losses: Mapping[str, float]
    learning_rate: float
    images_per_second: float
    seconds_left: float


#: Told after every logged batch.
Watcher = Callable[[TrainingProgress], None]


class Reporter(lightning.Callback):
    """Logs each loss and its statistics, spread of descriptors, norm of the gradient, learning rate and speed."""

    def __init__(self, every: int, per_epoch: int, watch: Watcher | None = None) -> None:
        self.every, self.per_epoch, self.watch = every, per_epoch, watch
        self._since, self._images, self._batches = time.perf_counter(), 0, 0

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._since = time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside is not training and does not count in its speed."""
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log every so many batches; only then are the losses read from the device."""
        self._images += len(batch.numbers) * trainer.world_size
        self._batches += 1
        done, total = batch_idx + 1, int(trainer.num_training_batches)
        if not isinstance(module, PlaceTraining) or module.last is None or (done % self.every and done != total):
            return
        now = time.perf_counter()
        seconds = max(now - self._since, 1e-9)
        losses = {"total": float(module.last.total.detach())} | {
            k: float(v.detach()) for k, v in module.last.terms.items()
        }
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        speed, left = self._images / seconds, (total - done) * seconds / self._batches
        figures = {f"loss/{name}": value for name, value in losses.items()}
        figures |= {f"mined/{name}": float(value) for name, value in module.last.statistics.items()}
        figures |= {"descriptor_spread": float(module.last_spread), "learning_rate": rate}
        if module.gradient_norm is not None:
            figures["gradient_norm"] = float(module.gradient_norm)
        for logger in trainer.loggers:
            logger.log_metrics({**figures, "images_per_second": speed}, step=done)
        if self.watch is not None and trainer.is_global_zero:
            self.watch(TrainingProgress(done, total, done / self.per_epoch, losses, rate, speed, left))
        self._since, self._images, self._batches = now, 0, 0
