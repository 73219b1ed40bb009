"""Every switch of the re-ranking call, checked when it is set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from fol.errors import ConfigError
from fol.matching import (
    PRECISIONS,
    SELECTIONS,
    SIMILARITY_WEIGHTS,
    VERIFICATION_MODELS,
    Precision,
    Selection,
    SimilarityWeight,
    VerificationModel,
    backend_names,
)

Method = Literal["fol", "official", "cascade"]
METHODS: tuple[Method, ...] = get_args(Method)


def default_method(preset: str) -> Method:
    """How features that a model of this preset extracted are compared unless told otherwise."""
    return "official" if preset == "official" else "fol"


@dataclass(frozen=True)
class RerankOptions:
    """Switches of ``rerank``, one idea each. Thresholds and weights are not tuned on any data set.

    ``threshold``: cosine a match must exceed; None keeps every mutual pair, for features squeezed near 1 where no
    fixed threshold filters. The published value is 0.7.
    ``centred``: take off the mean descriptor before comparing, so that what all tokens share (it can make every cosine
    exceed 0.9) does not decide; ``centred_threshold`` is the cosine of centred descriptors that a match must exceed, in
    ``precision="binary"`` the cosine of the angle that the differing bits estimate (0.7 is about 45 degrees).
    ``precision``: ``"exact"`` float32; ``"int8"`` codes around the mean, a few times faster with counts within about
    1 %; ``"binary"`` one bit per component, faster again and another score: right for preselection.
    ``weighted``: weigh matches by region confidence, so that sky and cars count less; False counts them.
    ``similarity_weight``: what a match's similarity adds to its weight: nothing (``"one"``), the ``"cosine"``, or the
    ``"margin"`` (cosine - threshold) / (1 - threshold), which lets matches fade out towards the threshold.
    ``normalise``: divide by the geometric mean of both images' weights, so that images with more tokens
    have no advantage and the score lies in [0, 1], where the fusion can weigh it.
    ``fusion_weight``: gamma in ``gamma S_g + S_l``, because the global view settles what local matches leave open;
    0 ignores it.
    ``max_tokens``: at most so many tokens per image are matched, chosen by ``token_selection``
    (``fol.matching.select_tokens``): the time falls with the square. None takes all. A map that was built with a budget
    of its own (``local.max_tokens``) saves the selection and the space.
    ``candidate_margin``: match only candidates whose global similarity is within this of the best one's, at least
    ``min_candidates``: a query that retrieval answers clearly needs few (the idea of FoL++'s scheduler, whose rule is
    not published). The rest keeps its order behind. None matches all.
    ``cascade_int8``, ``cascade_exact``: of method "cascade", how many of the best by binary codes are scored again with
    int8, and how many of the best of those with float32 (0: none).
    ``verify``: keep only matches that agree with one ``"fundamental"`` matrix (general scenes) or one ``"homography"``
    (planes), because repeated structure matches without being the same place; needs ``LocalFeatures``.
    ``verify_threshold``: inlier distance in pixels of the original images; None takes twice the token spacing, as
    positions are no more precise than that and photos differ in size.
    ``verify_top``: how many of the best candidates are verified, as each takes up to a second; None verifies all.
    ``backend``: see ``fol.matching.backend_names()``; "auto" takes the fastest for the device and the precision.

    ``weighted``, ``similarity_weight``, ``normalise`` and ``fusion_weight`` belong to the methods "fol" and "cascade".
    Raises ``ConfigError`` for values out of range.
    """

    threshold: float | None = 0.7
    centred: bool = False
    centred_threshold: float | None = 0.7
    precision: Precision = "exact"
    weighted: bool = True
    similarity_weight: SimilarityWeight = "one"
    normalise: bool = True
    fusion_weight: float = 1.0
    max_tokens: int | None = None
    token_selection: Selection = "spread"
    candidate_margin: float | None = None
    min_candidates: int = 10
    cascade_int8: int = 20
    cascade_exact: int = 0
    verify: VerificationModel | None = None
    verify_threshold: float | None = None
    verify_top: int | None = 20
    backend: str = "auto"

    def __post_init__(self) -> None:
        for name in ("threshold", "centred_threshold"):
            value = getattr(self, name)
            if value is not None and not _is_number(value):
                raise ConfigError(f"{name} must be a finite cosine or None (no threshold), not {value!r}")
        _choice("precision", self.precision, PRECISIONS)
        _choice("token_selection", self.token_selection, SELECTIONS)
        _choice("similarity_weight", self.similarity_weight, SIMILARITY_WEIGHTS)
        if self.similarity_weight == "margin" and (self.score_threshold is None or self.score_threshold >= 1):
            raise ConfigError("similarity_weight 'margin' needs a threshold below 1: set one, or choose 'cosine'")
        if not _is_number(self.fusion_weight) or self.fusion_weight < 0:
            raise ConfigError(f"fusion_weight must be a number of at least 0, not {self.fusion_weight!r}")
        if self.candidate_margin is not None and not (_is_number(self.candidate_margin) and self.candidate_margin >= 0):
            raise ConfigError(f"candidate_margin must be at least 0 or None (all), not {self.candidate_margin!r}")
        for name in ("min_candidates", "cascade_int8"):
            if not is_count(getattr(self, name)):
                raise ConfigError(f"{name} must be an integer of at least 1, not {getattr(self, name)!r}")
        if self.cascade_exact != 0 and not is_count(self.cascade_exact):
            raise ConfigError(f"cascade_exact must be an integer of at least 0, not {self.cascade_exact!r}")
        if self.verify is not None:
            _choice("verify", self.verify, (None, *VERIFICATION_MODELS))
        if self.verify_threshold is not None and not (_is_number(self.verify_threshold) and self.verify_threshold > 0):
            raise ConfigError(f"verify_threshold must be pixels above 0 or None, not {self.verify_threshold!r}")
        for name in ("verify_top", "max_tokens"):
            value = getattr(self, name)
            if value is not None and not is_count(value):
                raise ConfigError(f"{name} must be an integer of at least 1 or None (all), not {value!r}")
        _choice("backend", self.backend, backend_names())

    @property
    def score_threshold(self) -> float | None:
        """The threshold of the similarities that the last stage compares."""
        return self.threshold_of(self.precision)

    def threshold_of(self, precision: Precision) -> float | None:
        """The threshold of similarities of this precision: binary ones are always centred."""
        return self.centred_threshold if self.centred or precision == "binary" else self.threshold


def is_count(value: object) -> bool:
    """Whether ``value`` is an integer of at least 1."""
    return isinstance(value, int | np.integer) and type(value) is not bool and bool(value >= 1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and type(value) is not bool and math.isfinite(value)


def _choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"unknown {name} {value!r}; choose one of: {', '.join(map(str, choices))}")
