"""The state of a run on disk: last checkpoint, best weights, validation at the end of epochs (Lightning callback)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning

from fol.data import PlaceDataset
from fol.errors import CheckpointError, FolError
from fol.files import write_atomically
from fol.models.checkpoints import save_safetensors
from fol.reranking import RerankOptions
from fol.training.batches import TrainingBatches
from fol.training.guards import Guard
from fol.training.module import PlaceTraining
from fol.training.options import TrainingOptions
from fol.training.reporting import Reporter
from fol.training.validation import ValidationScores, validate

LAST, BEST, FINAL = "last.ckpt", "best.safetensors", "last.safetensors"


class RunKeeper(lightning.Callback):
    """Validates at the end of epochs, keeps the best weights, and saves the whole state so that the run can go on.

    The first weights are validated too where that is asked for, before the first batch of a run.

    The order at the end of an epoch is validation, best weights, last state: killed anywhere in between, the run goes
    on from the state before and writes the same files again.
    """

    def __init__(
        self,
        folder: Path,
        options: TrainingOptions,
        datasets: Sequence[PlaceDataset],
        matching: RerankOptions,
        guard: Guard,
        reporter: Reporter,
        config: Mapping[str, Any],
        validated: Callable[[int, ValidationScores], None] | None = None,
    ) -> None:
        self.folder, self.options, self.datasets = folder, options, datasets
        self.matching, self.guard, self.reporter = matching, guard, reporter
        self.config, self.validated = config, validated
        self.best: ValidationScores | None = None
        self.history: list[tuple[int, ValidationScores]] = []
        self.started = time.monotonic()
        self._save_is_due = False

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Validate the first weights; not of a run that goes on."""
        assert isinstance(module, PlaceTraining)
        if self.options.validation.at_start and self.datasets and not _batches(trainer).done:
            with self.reporter.paused():
                self._validate(trainer, module, 0)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch; validate and save where it is time, but no weights that the guard would stop."""
        assert isinstance(module, PlaceTraining)
        batches = _batches(trainer)
        batches.done = batch_idx + 1
        length = batches.length
        epoch_ends = batches.done % length.per_epoch == 0 or batches.done == length.total
        if epoch_ends and self._is_due(batches.epoch, batches.done == length.total):
            self._check(module, batch_idx)
            with self.reporter.paused():
                self._validate(trainer, module, batches.done)
        self._save_is_due |= epoch_ends or batches.done % self.options.loop.checkpoint_every == 0
        # Between optimiser steps alone: gradients that are being accumulated are not part of a checkpoint.
        if batches.done % self.options.loop.accumulate and batches.done != length.total:
            return
        out_of_time = self._is_out_of_time(trainer)
        if self._save_is_due or out_of_time:
            self._check(module, batch_idx)
            self._save(trainer)
            self._save_is_due = False
        if out_of_time:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """What is known of the validations."""
        return {
            "best": None if self.best is None else _plain(self.best),
            "history": [[step, _plain(scores)] for step, scores in self.history],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""
        self.best = None if state_dict["best"] is None else ValidationScores(**state_dict["best"])
        self.history = [(step, ValidationScores(**values)) for step, values in state_dict["history"]]

    def _is_out_of_time(self, trainer: lightning.Trainer) -> bool:
        limit = self.options.loop.max_minutes
        if limit is None:
            return False
        # The clocks of the ranks differ, and all must save and stop after the same batch.
        over = time.monotonic() - self.started > 60 * limit
        return trainer.strategy.reduce_boolean_decision(over, all=False)

    def _is_due(self, epoch: int, finished: bool) -> bool:
        return bool(self.datasets) and (finished or epoch % self.options.validation.every_epochs == 0)

    def _check(self, module: PlaceTraining, batch: int) -> None:
        self.guard.check(module, batch)
        self.guard.check_weights(module, batch)

    def _validate(self, trainer: lightning.Trainer, module: PlaceTraining, step: int) -> None:
        failure: FolError | OSError | None = None
        if trainer.is_global_zero:
            try:
                self._validate_here(trainer, module, step)
            except (FolError, OSError) as error:
                failure = error
        # The other ranks wait here; they must learn the scores, and that the run is over.
        failure, self.best, self.history = trainer.strategy.broadcast((failure, self.best, self.history))
        if failure is not None:
            raise failure

    def _validate_here(self, trainer: lightning.Trainer, module: PlaceTraining, step: int) -> None:
        scores = validate(
            module.model(), self.datasets, self.folder / "validation", self.options.validation, self.matching
        )
        options, past = self.options.validation, self.history[-1:]
        # The first weights are what the learned ones are compared with.
        if step and (self.best is None or scores.key(options) > self.best.key(options)):
            self.best = scores
            save_weights(module, self.folder / BEST, self.config)
        self.history.append((step, scores))
        for logger in trainer.loggers:
            logger.log_metrics(scores.flat(), step=step)
        if self.validated is not None:
            self.validated(step, scores)
        before = past[0][1].mean(options.monitor, 1) if past else None
        best = self._best_of_generation(trainer, module)
        queries = sum(len(dataset.queries) for dataset in self.datasets)
        self.guard.check_recall(scores.mean(options.monitor, 1), before, best, queries)

    def _best_of_generation(self, trainer: lightning.Trainer, module: PlaceTraining) -> float | None:
        """Of the validations before the last one: the best R@1 since the network began from its first weights."""
        batches, generations = _batches(trainer), module.generations
        per_epoch = batches.length.per_epoch
        start = 0 if generations is None else per_epoch * generations.start(max(0, batches.done - 1) // per_epoch)
        since = [scores for step, scores in self.history[:-1] if step > start or not start]
        return max((scores.mean(self.options.validation.monitor, 1) for scores in since), default=None)

    def _save(self, trainer: lightning.Trainer) -> None:
        if trainer.is_global_zero:
            write_atomically(self.folder / LAST, trainer.save_checkpoint)
        else:  # takes part in gathering the state, and writes nothing
            trainer.save_checkpoint(self.folder / LAST)


def save_weights(module: PlaceTraining, path: Path, config: Mapping[str, Any]) -> None:
    """The network as a weight file that ``load_model`` opens, with the configuration of its training inside."""
    names = ", ".join(config.get("trained_on", ())) or module.trained_on
    card = replace(
        module.card,
        summary=f"trained by fol train, from {module.card.name}",
        licence_weights="yours, within the licences of the photos that it was trained on",
        trained_on=names,
    )
    try:
        save_safetensors(card, module.network, path, training=config)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written ({error.strerror})") from error


def _plain(scores: ValidationScores) -> dict[str, Any]:
    values = {name: {stage: dict(recalls) for stage, recalls in s.items()} for name, s in scores.values.items()}
    return {"values": values, "match_accuracy": dict(scores.match_accuracy)}


def _batches(trainer: lightning.Trainer) -> TrainingBatches:
    batches = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(batches, TrainingBatches)
    return batches
