"""Learning from weakly supervised tuples: by whole images (NetVLAD, SARE) or by their regions (SFRS)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fol.errors import ConfigError
from fol.losses import LossTerms
from fol.losses.regions import region_hard_loss, region_similarities, region_soft_loss
from fol.losses.weak import tuple_similarities, weak_loss
from fol.losses.weak_options import RegionLossOptions, WeakLossOptions
from fol.training.batches import TrainingBatch
from fol.training.generations import Generations
from fol.training.objectives import Step
from fol.training.weak_batches import DIFFICULT, NEGATIVE, POSITIVE, QUERY, ROLES


@dataclass(frozen=True, eq=False)
class TupleLayout:
    """Where the T tuples of a batch have their images: rows of the batch. ``query [T]``, ``positive [T]``,
    ``negatives [T, N]`` and ``difficult [T, P]`` with masks of what there is."""

    query: Tensor
    positive: Tensor
    negatives: Tensor
    negative_present: Tensor
    difficult: Tensor
    difficult_present: Tensor

    @staticmethod
    def of(roles: Tensor) -> TupleLayout:
        """From the roles of a batch's slots (``fol.training.weak_batches``)."""
        known = roles.cpu()
        numbers, kinds = known // ROLES, known % ROLES
        count = int(numbers.max()) + 1
        negatives, negative_present = _padded(numbers, kinds == NEGATIVE, count)
        difficult, difficult_present = _padded(numbers, kinds == DIFFICULT, count)
        parts = (_rows(kinds == QUERY), _rows(kinds == POSITIVE))
        return TupleLayout(
            *(part.to(roles.device) for part in (*parts, negatives, negative_present, difficult, difficult_present))
        )


@dataclass(frozen=True, eq=False)
class WeakObjective:
    """A loss over query, positive and negatives; each rank has its own tuples."""

    options: WeakLossOptions

    def check(self, network: nn.Module, name: str) -> None:
        """See ``Objective``."""

    def __call__(self, network: nn.Module, photos: Tensor, batch: TrainingBatch, seed: int) -> Step:
        """See ``Objective``."""
        layout = TupleLayout.of(batch.roles)
        descriptors: Tensor = network(photos).descriptor
        positive, negatives = tuple_similarities(
            descriptors[layout.query], descriptors[layout.positive], descriptors[layout.negatives]
        )
        value = weak_loss(positive, negatives, self.options, layout.negative_present)
        statistics = {"negatives_nearer": _nearer(positive, negatives, layout)}
        return Step(LossTerms(value, {self.options.name: value}, statistics), descriptors)


@dataclass(frozen=True, eq=False)
class RegionObjective:
    """The losses of SFRS: from the second generation on, regions under the supervision of the one before."""

    options: RegionLossOptions
    generations: Generations

    def check(self, network: nn.Module, name: str) -> None:
        """See ``Objective``."""
        if not hasattr(network, "regions"):
            raise ConfigError(f"{name} has no descriptors of regions, which SFRS learns from")
        if len(self.options.teacher_temperatures) < self.generations.count:
            raise ConfigError(
                f"loss.teacher_temperatures has {len(self.options.teacher_temperatures)} values for "
                f"{self.generations.count} generations: give one for each"
            )

    def __call__(self, network: nn.Module, photos: Tensor, batch: TrainingBatch, seed: int) -> Step:
        """See ``Objective``."""
        layout = TupleLayout.of(batch.roles)
        options, teacher = self.options, self.generations.teacher
        if teacher is None:
            descriptors: Tensor = network(photos).descriptor
            regions = descriptors.unsqueeze(1)
        else:
            regions = regions_of(network, photos)
            descriptors = regions[:, 0]
        query = descriptors[layout.query]
        positive = tuple_similarities(query, descriptors[layout.positive], descriptors[layout.negatives])[0]
        negatives = region_similarities(query, regions[layout.negatives])
        terms = {"hard": region_hard_loss(positive, negatives, options.hard, layout.negative_present)}
        total = terms["hard"]
        if teacher is not None and layout.difficult.shape[1]:
            with torch.no_grad():
                # Only of the photos that it teaches about.
                present, count = layout.difficult_present, len(layout.query)
                taught = regions_of(teacher, photos[torch.cat([layout.query, layout.difficult[present]])])
                rows = torch.zeros_like(layout.difficult)
                rows[present] = torch.arange(count, len(taught), device=rows.device)
                target = region_similarities(taught[:count, 0], taught[rows])
            terms["soft"] = region_soft_loss(
                region_similarities(query, regions[layout.difficult]),
                target,
                options.teacher_temperatures[self.generations.number],
                options.temperature,
                layout.difficult_present,
            )
            total = total + options.soft_weight * terms["soft"]
        statistics = {
            "negatives_nearer": _nearer(positive, negatives[..., 0], layout),
            "difficult_positives": layout.difficult_present.sum(),
        }
        return Step(LossTerms(total, terms, statistics), descriptors)


def regions_of(network: nn.Module, photos: Tensor) -> Tensor:
    """Unit descriptors ``[B, 9, D]`` of parts of photos, the whole first."""
    describe: Callable[[Tensor], Tensor] = network.regions  # type: ignore[assignment]
    return describe(photos)


def _nearer(positive: Tensor, negatives: Tensor, layout: TupleLayout) -> Tensor:
    """How many negatives are more similar to their query than its positive."""
    return ((negatives.detach() > positive.detach()[:, None]) & layout.negative_present).sum()


def _rows(mask: Tensor) -> Tensor:
    return mask.nonzero().squeeze(1)


def _padded(numbers: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Rows of the masked slots, tuple by tuple ``[T, longest]``, row 0 where there is none, and where there is one."""
    rows = _rows(mask)
    owners = numbers[rows]
    sizes = torch.bincount(owners, minlength=count)
    found = torch.zeros(count, int(sizes.max()) if len(rows) else 0, dtype=torch.long)
    present = torch.arange(found.shape[1])[None] < sizes[:, None]
    found[present] = rows[torch.argsort(owners, stable=True)]
    return found, present
