"""One training step: photos in, losses out (Lightning module)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor

from fol.data.training import BatchAugmentation, PlaceImages
from fol.losses import LossTerms
from fol.models import PlaceModel
from fol.models.fol import FoL
from fol.training.batches import TrainingBatch
from fol.training.distributed import rank
from fol.training.generations import Generations, frozen_copy
from fol.training.objectives import Objective
from fol.training.options import TrainingOptions
from fol.training.schedule import build_optimizer, restarted

#: Seeds of consecutive runs lie the first number of batches apart, those of consecutive batches the second number of
#: ranks: none is used twice by runs of fewer batches on fewer ranks.
_BATCH_STRIDE, _RANK_STRIDE = 1_000_003, 7_919


class PlaceTraining(lightning.LightningModule):
    """Trains the network of a ``PlaceModel`` towards an objective.

    Everything random in a step (dropout, augmentation, partners in a loss) is seeded from the run's seed and the number
    of the batch, so a resumed run draws what the uninterrupted one draws. Lightning saves ``network``, and the teacher
    where ``generations`` have one. ``optimizer_steps`` of each generation, or of the run alone.
    """

    def __init__(
        self,
        model: PlaceModel,
        objective: Objective,
        augmentation: BatchAugmentation,
        options: TrainingOptions,
        optimizer_steps: Sequence[int],
        trained_on: str = "",
        generations: Generations | None = None,
    ) -> None:
        super().__init__()
        self.network = model.network
        self.card = model.card
        for parameter in self.network.backbone.frozen_parameters():
            parameter.requires_grad_(False)
        if isinstance(self.network, FoL):
            # Halves the time of its transposed convolutions in bfloat16 on a CPU, and suits tensor cores.
            self.network.local_head.to(memory_format=torch.channels_last)
        self.objective = objective
        self.augmentation = augmentation
        self.options = options
        self.optimizer_steps = optimizer_steps
        self.trained_on = trained_on
        self.generations = generations
        self.last: LossTerms | None = None
        self.last_spread: Tensor = torch.ones(())
        #: Norm of the whole gradient of the last optimiser step, before it was clipped.
        self.gradient_norm: Tensor | None = None
        self._scale = 1.0

    def model(self) -> PlaceModel:
        """The network as it is now, as the rest of the library sees it (shared weights, a new fingerprint)."""
        return PlaceModel(self.card, self.network)

    def on_train_start(self) -> None:
        """Note the scale that the first step starts from: of a resumed run, the one that was restored."""
        self._scale = self._loss_scale()
        if self.generations is not None:
            # k-means may round otherwise on another rank, and nothing later would bring their networks together.
            self.generations.initial = self.trainer.strategy.broadcast(self.generations.initial)
            if self.generations.teacher is not None:
                self.generations.teacher.to(self.device)

    def begin_epoch(self, epoch: int) -> bool:
        """Begin the generation that ``epoch`` is the first of, if it is; whether there is a teacher now."""
        generations = self.generations
        if generations is None:
            return False
        if generations.at(epoch) != generations.number:
            generations.begin(generations.at(epoch), self.network)
            for optimizer in self.trainer.optimizers:  # no momentum and no half step of the generation before
                optimizer.state.clear()
                optimizer.zero_grad()
        return generations.teacher is not None

    @torch.inference_mode()
    def describe(self, images: PlaceImages, rows: NDArray[np.float32], numbers: Sequence[int], batch_size: int) -> None:
        """Write the descriptors of photos into their ``rows [M, D]``: in evaluation mode, not augmented."""
        training = self.network.training
        self.network.eval()
        for start in range(0, len(numbers), batch_size):
            some = list(numbers[start : start + batch_size])
            photos = torch.stack([images[number] for number in some]).to(self.device).float().div(255)
            rows[some] = self.network(self.card.preprocessing.normalise(photos)).descriptor.float().cpu().numpy()
        self.network.train(training)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The teacher and its generation belong to the state, and the norm for batches that make no step."""
        checkpoint["gradient_norm"] = None if self.gradient_norm is None else float(self.gradient_norm)
        if self.generations is not None:
            teacher = self.generations.teacher
            checkpoint["generation"] = {
                "number": self.generations.number,
                "teacher": None if teacher is None else teacher.state_dict(),
            }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The inverse of ``on_save_checkpoint``."""
        norm = checkpoint.get("gradient_norm")
        self.gradient_norm = None if norm is None else torch.tensor(norm)
        if self.generations is not None:
            state = checkpoint["generation"]
            self.generations.number = int(state["number"])
            if state["teacher"] is not None:
                self.generations.teacher = frozen_copy(self.network)
                self.generations.teacher.load_state_dict(state["teacher"])

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Total loss of one batch; each loss and the spread of the descriptors are kept for the callbacks."""
        seed = (self.options.seed * _BATCH_STRIDE + batch_idx) * _RANK_STRIDE + rank()
        seed %= 2**63 - 1
        torch.manual_seed(seed)
        # With dropout; a ``PlaceModel``, as validation makes one between steps, puts the network into evaluation mode.
        self.network.train()
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            photos = self.augmentation(batch.images.float().div(255), seed)
            photos = self.card.preprocessing.normalise(photos)
        step = self.objective(self.network, photos, batch, seed)
        # Of unit vectors: 1 for random directions, 0 when all photos have one descriptor.
        self.last_spread = step.descriptors.detach().float().var(0).sum().sqrt()
        self.last = step.losses
        return step.losses.total

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Note the norm of the gradient: Lightning has divided it by the loss scale, and not clipped it yet."""
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        self.gradient_norm = torch.nn.utils.get_total_norm(gradients)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimiser over what is trained, and its schedule per step."""
        optimizer = build_optimizer(self.network.named_parameters(), self.options.optimizer)
        factor = restarted(self.options.schedule, self.optimizer_steps)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """One step of the schedule, but not after a step that the loss scaler skipped (official: train.py:126 does)."""
        before, self._scale = self._scale, self._loss_scale()
        if self._scale >= before:
            scheduler.step()

    def _loss_scale(self) -> float:
        """Factor of the loss scaler of ``16-mixed``, 1 without one; it falls with a step that is skipped."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return 1.0 if scaler is None else float(scaler.get_scale())
