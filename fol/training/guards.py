"""Stop a run that learns nothing any more, and say why (Lightning callback)."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch

from fol.errors import TrainingStopped
from fol.training.module import PlaceTraining
from fol.training.options import GuardOptions
from fol.training.validation import ValidationScores


class Guard(lightning.Callback):
    """Raises ``TrainingStopped`` for a loss that is not finite, collapsed descriptors, or a drop of recall.

    With the loss scaler of ``16-mixed`` a few infinite losses are normal; there ``patience`` in a row stop the run.
    """

    def __init__(self, options: GuardOptions, scaled: bool = False) -> None:
        self.options = options
        self.not_finite_allowed = options.patience if scaled else 1
        self.not_finite = 0
        self.narrow = 0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss and the descriptors of the batch."""
        if not isinstance(module, PlaceTraining) or module.last is None:
            return
        self.not_finite = 0 if torch.isfinite(module.last.total) else self.not_finite + 1
        if self.not_finite >= self.not_finite_allowed:
            values = ", ".join(f"{name} {float(value.detach()):.3g}" for name, value in module.last.terms.items())
            raise TrainingStopped(
                f"batch {batch_idx}: the loss is not finite ({values}); lower optimizer.lr, set optimizer.clip_norm, "
                "or use loop.precision=32-true"
            )
        spread = float(module.last_spread)
        self.narrow = self.narrow + 1 if spread < self.options.min_spread or math.isnan(spread) else 0
        if self.narrow >= self.options.patience:
            raise TrainingStopped(
                f"batch {batch_idx}: all photos get the same descriptor (spread {spread:.4f} of 1, for "
                f"{self.narrow} batches); lower optimizer.lr or lengthen schedule.warmup"
            )

    def check_recall(self, scores: ValidationScores, best: ValidationScores | None, monitor: str) -> None:
        """``TrainingStopped`` when R@1 fell far below the best so far."""
        drop = self.options.max_recall_drop
        if drop is None or best is None:
            return
        now, before = scores.mean(monitor, 1), best.mean(monitor, 1)
        if before - now > drop:
            raise TrainingStopped(
                f"validation R@1 fell from {before:.1f} to {now:.1f}; the best model is kept. Lower optimizer.lr, or "
                "set guard.max_recall_drop=null to go on"
            )

    def state_dict(self) -> dict[str, Any]:
        """Counters, so that a resumed run stops where the uninterrupted one does."""
        return {"not_finite": self.not_finite, "narrow": self.narrow}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""
        self.not_finite, self.narrow = state_dict["not_finite"], state_dict["narrow"]
