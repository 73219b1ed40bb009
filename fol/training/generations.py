"""Generations of SFRS: each begins anew from the first weights, with the last network as its teacher."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from torch import Tensor, nn

from fol.errors import ConfigError


@dataclass(eq=False)
class Generations:
    """``epochs`` of each generation. ``number`` of the one that goes on, ``teacher`` the network of the one before.

    ``initial``: the weights that every generation begins with (OpenIBL: netvlad_img_sfrs.py starts each from the
    ImageNet trunk and the k-means centres).
    """

    epochs: Sequence[int]
    initial: Mapping[str, Tensor] = field(default_factory=dict)
    number: int = 0
    teacher: nn.Module | None = None

    def __post_init__(self) -> None:
        if not self.epochs or min(self.epochs) < 1:
            raise ConfigError(
                f"weak.generations={list(self.epochs)}: give the epochs of each generation, such as [1,5,5]"
            )

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.epochs)

    def at(self, epoch: int) -> int:
        """Which generation an epoch belongs to."""
        ends = list(accumulate(self.epochs))
        return next((number for number, end in enumerate(ends) if epoch < end), self.count - 1)

    def start(self, epoch: int) -> int:
        """First epoch of the generation that an epoch belongs to."""
        return sum(self.epochs[: self.at(epoch)])

    def begin(self, number: int, network: nn.Module) -> None:
        """Begin generation ``number``: the network becomes the teacher, and is set back to the first weights."""
        self.teacher = frozen_copy(network)
        network.load_state_dict(self.initial)
        self.number = number


def frozen_copy(network: nn.Module) -> nn.Module:
    """The same weights, which no step changes."""
    teacher = copy.deepcopy(network).eval()
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    return teacher
