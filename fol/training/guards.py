"""Stop a run that learns nothing any more, and say why (Lightning callback)."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch

from fol.errors import TrainingStopped
from fol.training.module import PlaceTraining
from fol.training.options import GuardOptions

#: Standard errors of an R@1 that it may lose whatever the share: few queries lose half of few hits by chance.
_STANDARD_ERRORS = 3


class Guard(lightning.Callback):
    """Raises ``TrainingStopped`` for a loss that is not finite, collapsed descriptors, or a drop of recall.

    With the loss scaler of ``16-mixed`` a few infinite losses are normal; there ``patience`` in a row stop the run.
    The batches are counted on the device. The counts are read, which waits for the device, after every ``every``-th
    batch, and by whoever calls ``check`` before it keeps the weights.
    """

    def __init__(self, options: GuardOptions, scaled: bool = False, every: int = 1) -> None:
        self.options, self.every = options, every
        self.not_finite_allowed = options.patience if scaled else 1
        #: Batches in a row whose loss is not finite, and whose descriptors are narrow; the longest rows of each since
        #: the last look.
        self._row = torch.zeros(2, dtype=torch.int64)
        self._longest = torch.zeros(2, dtype=torch.int64)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch."""
        if not isinstance(module, PlaceTraining) or module.last is None:
            return
        spread = module.last_spread
        bad = torch.stack([~torch.isfinite(module.last.total.detach()), ~(spread >= self.options.min_spread)])
        self._row = (self._row.to(bad.device, non_blocking=True) + 1) * bad
        self._longest = torch.maximum(self._longest.to(bad.device, non_blocking=True), self._row)
        if (batch_idx + 1) % self.every == 0:
            self.check(module, batch_idx)

    def check(self, module: PlaceTraining, batch: int) -> None:
        """``TrainingStopped`` for what was counted up to number ``batch``."""
        not_finite, narrow = self._longest.tolist()
        self._longest = self._row
        if not_finite >= self.not_finite_allowed and module.last is not None:
            values = ", ".join(f"{name} {float(value.detach()):.3g}" for name, value in module.last.terms.items())
            raise TrainingStopped(
                f"batch {batch}: the loss is not finite ({values}); lower optimizer.lr, set optimizer.clip_norm, "
                "or use loop.precision=32-true"
            )
        if narrow >= self.options.patience:
            raise TrainingStopped(
                f"batch {batch}: all photos get the same descriptor (spread {float(module.last_spread):.4f} of 1, for "
                f"{narrow} batches); lower optimizer.lr or lengthen schedule.warmup"
            )

    def check_weights(self, module: PlaceTraining, batch: int) -> None:
        """``TrainingStopped`` for weights that are not finite: a finite loss can have a gradient that is not."""
        finite = torch.stack([torch.isfinite(weight).all() for weight in module.network.parameters()])
        if not finite.all():
            raise TrainingStopped(
                f"batch {batch}: weights are not finite after its step; lower optimizer.lr, set optimizer.clip_norm, "
                "or use loop.precision=32-true"
            )

    def check_recall(self, now: float, before: float | None, best: float | None, queries: int) -> None:
        """``TrainingStopped`` for an R@1 of ``now`` percent of so many queries.

        ``before``: of the validation before, None where there is none; ``best`` of those since the network last began
        from its first weights, None where there is none.
        """
        options = self.options
        if before is None:
            if options.min_first_recall is not None and now < options.min_first_recall:
                raise TrainingStopped(
                    f"the first validation has R@1 {now:.1f}, below guard.min_first_recall="
                    f"{options.min_first_recall:g}: look whether the weights are those that were meant "
                    "(backbone_weights), whether photos are normalised as these weights need it (model), and whether "
                    "positions and files of the validation set are in the same order; or set "
                    "guard.min_first_recall=null"
                )
            return
        chance = _STANDARD_ERRORS * math.sqrt(before * (100 - before) / queries)
        if options.max_relative_drop is not None and before - now > max(options.max_relative_drop * before, chance):
            raise _fell(before, now, "max_relative_drop")
        if options.max_recall_drop is not None and best is not None and best - now > options.max_recall_drop:
            raise _fell(best, now, "max_recall_drop")

    def state_dict(self) -> dict[str, Any]:
        """Counters, so that a resumed run stops where the uninterrupted one does."""
        not_finite, narrow = self._row.tolist()
        return {"not_finite": not_finite, "narrow": narrow}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""
        self._row = torch.tensor([state_dict["not_finite"], state_dict["narrow"]])
        self._longest = self._row


def _fell(before: float, now: float, option: str) -> TrainingStopped:
    return TrainingStopped(
        f"validation R@1 fell from {before:.1f} to {now:.1f}; the best model is kept. Lower optimizer.lr, or set "
        f"guard.{option}=null to go on"
    )
