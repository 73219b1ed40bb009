"""Every setting of a training run besides the losses; the YAML groups under ``conf/`` fill these."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from fol.errors import ConfigError

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Monitored = Literal["reranked", "global"]


@dataclass(frozen=True)
class OptimizerOptions:
    """``weight_decay`` is for matrices only when ``decay_matrices_only``: not for biases, norms and embeddings."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 6e-5
    weight_decay: float = 9.5e-9
    betas: tuple[float, float] = (0.9, 0.999)
    decay_matrices_only: bool = False
    #: Largest norm of the whole gradient; None does not clip.
    clip_norm: float | None = None


@dataclass(frozen=True)
class ScheduleOptions:
    """Learning rate as a factor of ``lr``: a linear ``warmup`` from zero, then from 1 to ``final`` and constant.

    ``steps``: optimiser steps until ``final`` is reached, warm-up included; None is the length of the run. The
    published one is linear, without warm-up, 1 to 0.1 in 10,000 steps (official: train.py:75,126). ``step`` multiplies
    the rate by ``final`` after every ``steps`` steps. ``epochs`` says the same in epochs of the training set.
    """

    name: Literal["linear", "cosine", "constant", "step"] = "linear"
    warmup: int = 0
    final: float = 0.1
    steps: int | None = None
    epochs: int | None = None

    def resolved(self, batches: int, accumulate: int) -> ScheduleOptions:
        """With ``steps`` in place of ``epochs`` of so many ``batches``."""
        if self.epochs is None:
            return self
        return replace(self, steps=max(1, round(self.epochs * batches / accumulate)), epochs=None)


@dataclass(frozen=True)
class LoopOptions:
    """Length and manner of the run.

    ``steps`` ends the run after so many batches, however many ``epochs`` were asked for. ``accumulate`` batches make an
    optimiser step. Every ``checkpoint_every`` batches the state is saved (and after each epoch), every ``log_every``
    batches the losses are logged. ``max_minutes`` stops early, cleanly and resumably.
    """

    epochs: int = 8
    steps: int | None = None
    precision: Precision = "32-true"
    accumulate: int = 1
    devices: int = 1
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    checkpoint_every: int = 200
    log_every: int = 10
    max_minutes: float | None = None


@dataclass(frozen=True)
class ValidationOptions:
    """Both stages on the validation sets after every ``every_epochs`` epochs; ``monitor`` decides which is best.

    The best has the highest mean R@1 of that stage, then the highest mean R@5; with ``best_by`` 5 (NetVLAD, OpenIBL)
    the other way round; then it is the earliest. ``at_start`` validates the first weights too, which are not among
    those the best is chosen from.
    """

    every_epochs: int = 1
    at_start: bool = False
    best_by: Literal[1, 5] = 1
    candidates: int = 25
    monitor: Monitored = "reranked"
    batch_size: int = 16


@dataclass(frozen=True)
class GuardOptions:
    """When a run is stopped because it learns nothing any more.

    ``min_spread``: standard deviation of descriptors over a batch, relative to that of random unit vectors, below
    which all photos have the same descriptor, for ``patience`` batches in a row.

    Of the monitored R@1, None does not look: ``max_recall_drop`` points below the best of the generation;
    ``max_relative_drop`` of the validation before, in whichever generation, where that is more than its three standard
    errors; ``min_first_recall`` percent in the first validation.
    """

    min_spread: float = 0.02
    patience: int = 20
    max_recall_drop: float | None = 30.0
    max_relative_drop: float | None = 0.5
    min_first_recall: float | None = None


@dataclass(frozen=True)
class TrainingOptions:
    """All of the above, with the seed that decides everything random in the run."""

    optimizer: OptimizerOptions = OptimizerOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    loop: LoopOptions = LoopOptions()
    validation: ValidationOptions = ValidationOptions()
    guard: GuardOptions = GuardOptions()
    seed: int = 0

    def check(self) -> None:
        """``ConfigError`` for a value out of range; see ``check_machine`` for what this machine can do."""
        for name, value, low in (
            ("loop.epochs", self.loop.epochs, 1),
            ("loop.accumulate", self.loop.accumulate, 1),
            ("loop.devices", self.loop.devices, 1),
            ("loop.checkpoint_every", self.loop.checkpoint_every, 1),
            ("loop.log_every", self.loop.log_every, 1),
            ("validation.every_epochs", self.validation.every_epochs, 1),
            ("validation.candidates", self.validation.candidates, 1),
            ("validation.batch_size", self.validation.batch_size, 1),
            ("guard.patience", self.guard.patience, 1),
            ("schedule.warmup", self.schedule.warmup, 0),
            ("schedule.final", self.schedule.final, 0),
            ("optimizer.weight_decay", self.optimizer.weight_decay, 0),
            ("seed", self.seed, 0),
        ):
            if not value >= low:
                raise ConfigError(f"{name}={value}: it must be at least {low}")
        for name, limit in (
            ("optimizer.lr", self.optimizer.lr),
            ("optimizer.clip_norm", self.optimizer.clip_norm),
            ("schedule.steps", self.schedule.steps),
            ("schedule.epochs", self.schedule.epochs),
            ("loop.steps", self.loop.steps),
            ("loop.max_minutes", self.loop.max_minutes),
            ("guard.max_relative_drop", self.guard.max_relative_drop),
        ):
            if limit is not None and not limit > 0:
                raise ConfigError(f"{name}={limit}: it must be above 0")
        if self.schedule.steps is not None and self.schedule.epochs is not None:
            raise ConfigError(
                f"schedule.steps={self.schedule.steps} and schedule.epochs={self.schedule.epochs} say the same: "
                "set one of them to null"
            )
        if not all(0 <= beta < 1 for beta in self.optimizer.betas):
            raise ConfigError(f"optimizer.betas={list(self.optimizer.betas)}: both must be at least 0 and below 1")

    def check_machine(self) -> None:
        """``ConfigError`` for a precision that the device of the run does not have."""
        accelerator = self.loop.accelerator
        on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
        if self.loop.precision == "16-mixed" and on_cpu:
            raise ConfigError("loop.precision=16-mixed needs a CUDA device: on a CPU use bf16-mixed or 32-true")
