"""Every number of the losses over weakly supervised tuples, and the published settings by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from fol.errors import ConfigError

WeakLossName = Literal["triplet", "sare_ind", "sare_joint"]
Kernel = Literal["gauss", "cauchy", "exp"]
Form = Literal["d2", "cos"]
Reduction = Literal["mean_pairs", "mean_queries", "matlab", "violating"]


@dataclass(frozen=True)
class WeakLossOptions:
    """Loss over a query, its positive and its negatives.

    ``name``: ``triplet`` (Relja/netvlad), ``sare_ind`` (a term for each negative) or ``sare_joint`` (one softmax over
    positive and negatives; Liumouliu/deepIBL).

    Of SARE: ``kernel`` of the Euclidean distance d, ``gauss`` exp(-d^2), ``cauchy`` 1 / (1 + d^2), ``exp`` exp(-d);
    ``form`` ``d2`` as just written with d^2 (of ``exp``: d) divided by ``tau``, or ``cos``: the Gaussian kernel as
    exp(cosine / tau). Of unit vectors ``d2`` with tau 1 is ``cos`` with tau 0.5.

    Of the triplet: ``squared`` compares d^2, otherwise d; ``margin`` is in the same unit.

    ``reduction`` of the sum over queries and negatives: divided by the pairs of a query and a negative that there are
    (``mean_pairs``), by the queries that have one (``mean_queries``), by B * N, missing ones included (``matlab``, as
    deepIBL does for both of its losses), or by the terms that are not zero (``violating``, as NetVLAD does; of the
    triplet alone). The choice changes the size of the gradient by up to N times: OpenIBL has ``mean_pairs`` for
    ``sare_ind`` and ``mean_queries`` for ``sare_joint``.
    """

    name: WeakLossName = "sare_ind"
    form: Form = "cos"
    kernel: Kernel = "gauss"
    tau: float = 0.07
    margin: float = 0.1
    squared: bool = True
    reduction: Reduction = "mean_pairs"

    def check(self) -> None:
        """``ConfigError`` for a value out of range and for options that do not go together."""
        for key, allowed in (("name", WeakLossName), ("form", Form), ("kernel", Kernel), ("reduction", Reduction)):
            value = getattr(self, key)
            if value not in get_args(allowed):
                raise ConfigError(f"loss.{key}={value!r} is unknown; choose one of {', '.join(get_args(allowed))}")
        for key, number in (("tau", self.tau), ("margin", self.margin)):
            if not 0 < number < float("inf"):
                raise ConfigError(f"loss.{key}={number}: it must be above 0 and finite")
        if self.name == "triplet":
            if self.form == "cos":
                raise ConfigError("loss.form=cos is of SARE: the triplet compares distances, set form=d2")
        elif self.reduction == "violating":
            raise ConfigError(f"loss.reduction=violating is of the triplet: every term of {self.name} is above 0")
        if self.form == "cos" and self.kernel != "gauss":
            raise ConfigError(f"loss.kernel={self.kernel} is a function of the distance: set form=d2")


_SARE = WeakLossOptions(form="d2", tau=1.0, reduction="matlab")
_TRIPLET = WeakLossOptions("triplet", form="d2", reduction="violating")
#: By name: as in the original code, and ``*_openibl`` as in yxgeee/OpenIBL. Of its two versions of SARE this is the one
#: by cosine with temperature 0.07, which stands in its code as a comment: a user got its published numbers with it, and
#: not with the squared distances that are active (OpenIBL issue 31, which the authors have not answered).
WEAK_LOSSES: Mapping[str, WeakLossOptions] = {
    "netvlad": _TRIPLET,
    "netvlad_openibl": WeakLossOptions(
        "triplet", form="d2", squared=False, margin=math.sqrt(0.1), reduction="mean_pairs"
    ),
    "sare_ind": _SARE,
    "sare_joint": WeakLossOptions("sare_joint", form="d2", tau=1.0, reduction="matlab"),
    "sare_ind_openibl": WeakLossOptions(),
    "sare_joint_openibl": WeakLossOptions("sare_joint", reduction="mean_queries"),
}


@dataclass(frozen=True)
class RegionLossOptions:
    """SFRS: ``hard`` loss over region similarities, and the soft loss over the difficult positives' regions.

    ``temperature`` is the student's, ``teacher_temperatures`` one for each generation (the first has no teacher and
    uses none), ``soft_weight`` weighs the soft loss. Defaults are the published ones (OpenIBL, scripts/train_sfrs).
    """

    hard: WeakLossOptions = field(default_factory=WeakLossOptions)
    temperature: float = 0.07
    teacher_temperatures: tuple[float, ...] = (0.07, 0.07, 0.06, 0.05)
    soft_weight: float = 0.5

    def check(self) -> None:
        """``ConfigError`` for a value out of range."""
        self.hard.check()
        for temperature in (self.temperature, *self.teacher_temperatures):
            if not 0 < temperature < float("inf"):
                raise ConfigError(f"loss: temperature {temperature} must be above 0 and finite")
        if not self.teacher_temperatures:
            raise ConfigError("loss.teacher_temperatures is empty: give one for each generation")
        if not 0 <= self.soft_weight < float("inf"):
            raise ConfigError(f"loss.soft_weight={self.soft_weight}: it must be at least 0 and finite")


@dataclass(frozen=True)
class InBatchLossOptions:
    """``pairs``: a loss over every pair of one place and all other places of a batch (``sare_inbatch``): an extension
    for training sets of places, which none of the papers has."""

    pairs: WeakLossOptions = field(default_factory=WeakLossOptions)

    def check(self) -> None:
        """``ConfigError`` for a value out of range."""
        self.pairs.check()
