"""Every number of the training losses, in one place; ``conf/loss/{official,fol}.yaml`` fill these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fol.errors import ConfigError

Form = Literal["official", "fol"]
#: The terms of the total, in the order of the published sum; also the names of their weights.
TERMS = ("multi_similarity", "local_triplet", "alignment", "contrast", "pseudo_correspondence")


@dataclass(frozen=True)
class MultiSimilarityOptions:
    """Loss and miner of pytorch-metric-learning, with the published numbers (official: loss.py:11-30)."""

    alpha: float = 1.0
    beta: float = 50.0
    base: float = 0.0
    miner_epsilon: float = 0.1

    def check(self) -> None:
        """``ConfigError`` for a value out of range."""
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if not value >= 1e-6:
                raise ConfigError(f"multi-similarity {name}={value}: it must be at least 1e-06")


@dataclass(frozen=True)
class LocalTripletOptions:
    """Similarity of two images from their local descriptors, and the hinge over triplets of images.

    Both forms use ``threshold`` (cosine of a match) and ``margin``; the rest is of the ``fol`` form alone.
    """

    threshold: float = 0.7
    margin: float = 0.1
    #: "soft_count": share of tokens that match, each match weighing sigmoid((cosine - threshold) / temperature): what
    #: re-ranking counts. "mean": mean cosine of the matches above the threshold, as published.
    similarity: Literal["soft_count", "mean"] = "soft_count"
    temperature: float = 0.1
    #: Every ``stride``-th fine cell is a token. 3 meets all four phases of the two stride-2 convolutions, so that all
    #: of their weights are trained; an even stride never would.
    stride: int = 3
    #: Most tokens of an image: those in the strongest regions.
    max_tokens: int = 256
    #: Pairs of images whose similarities are held at once while matches are sought; bounds memory, changes no number.
    pairs_at_once: int = 64


@dataclass(frozen=True)
class AlignmentOptions:
    """Saliency alignment of the two region maps (``fol`` form; the official one has no options)."""

    #: Uniform share mixed into both maps: bounds the gradient where a map is zero.
    smoothing: float = 0.01
    #: True: each divergence moves one map only, as published; False: both, as the paper's formula reads.
    detach_target: bool = False


@dataclass(frozen=True)
class ContrastOptions:
    """Foreground and background prototypes.

    ``official``: weights of the attraction of foregrounds and of backgrounds. ``fol``: ``foreground`` attracts the
    foregrounds of a place, ``repulsion`` weighs the hinge on the cosine of foreground and background of an image above
    ``repulsion_margin``; backgrounds are left alone unless ``background`` is set.
    """

    foreground: float = 1.0
    background: float = 0.0
    repulsion: float = 1.0
    repulsion_margin: float = 0.0


@dataclass(frozen=True)
class PseudoCorrespondenceOptions:
    """Pairs of patches of two images of a place that seem to show the same thing.

    The official form has its own numbers (``official_pseudo_correspondence.py``); these are of the ``fol`` form.
    """

    #: A match must be this much more similar than the runner-up outside its neighbourhood.
    margin: float = 0.02
    min_similarity: float = 0.5
    #: The best of an image by their margin.
    max_matches: int = 32
    #: Patches this near to a match (Chebyshev, in patches) are neither its runner-up nor its negatives.
    neighbourhood: int = 1
    #: Both patches must belong most to the same cluster of the aggregation.
    same_cluster: bool = True
    #: "contrast": InfoNCE against the other patches of the partner and those of the hardest other place.
    #: "attract": s1 (1 - cosine), as published, which has no negatives.
    form: Literal["contrast", "attract"] = "contrast"
    temperature: float = 0.1


@dataclass(frozen=True)
class FoLLossOptions:
    """Form and weights of the terms, and the options of each. Weight 0 switches a term off: it is not computed.

    The defaults are those of the ``fol`` form, set so that on a first batch of real photos no other term's gradient is
    far above the multi-similarity loss's (``tools/gradient_norms.py`` shows them).
    """

    form: Form = "fol"
    multi_similarity: float = 1.0
    local_triplet: float = 1.0
    alignment: float = 0.01
    contrast: float = 0.1
    pseudo_correspondence: float = 0.02
    multi_similarity_options: MultiSimilarityOptions = field(default_factory=MultiSimilarityOptions)
    local_triplet_options: LocalTripletOptions = field(default_factory=LocalTripletOptions)
    alignment_options: AlignmentOptions = field(default_factory=AlignmentOptions)
    contrast_options: ContrastOptions = field(default_factory=ContrastOptions)
    pseudo_correspondence_options: PseudoCorrespondenceOptions = field(default_factory=PseudoCorrespondenceOptions)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term."""
        return {name: getattr(self, name) for name in TERMS}

    def check(self) -> None:
        """``ConfigError`` for a value out of range."""
        if self.form not in ("official", "fol"):
            raise ConfigError(f"loss.form={self.form!r} is unknown; choose official or fol")
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"loss.{name}={weight}: a weight must be at least 0 and finite")
        if not any(self.weights.values()):
            raise ConfigError(f"every loss has weight 0: give one of {', '.join(TERMS)} a weight above 0")
        if not self.alignment_options.smoothing < 1:
            raise ConfigError(f"loss.alignment_options.smoothing={self.alignment_options.smoothing}: must be below 1")
        self.multi_similarity_options.check()
        triplet, pseudo = self.local_triplet_options, self.pseudo_correspondence_options
        if triplet.similarity not in ("soft_count", "mean"):
            raise ConfigError(f"local_triplet_options.similarity={triplet.similarity!r}: choose soft_count or mean")
        if pseudo.form not in ("contrast", "attract"):
            raise ConfigError(f"pseudo_correspondence_options.form={pseudo.form!r}: choose contrast or attract")
        for key, value, low in (
            ("local_triplet_options.temperature", triplet.temperature, 1e-6),
            ("local_triplet_options.stride", triplet.stride, 1),
            ("local_triplet_options.max_tokens", triplet.max_tokens, 1),
            ("local_triplet_options.pairs_at_once", triplet.pairs_at_once, 1),
            ("alignment_options.smoothing", self.alignment_options.smoothing, 1e-6),
            ("pseudo_correspondence_options.temperature", pseudo.temperature, 1e-6),
            ("pseudo_correspondence_options.max_matches", pseudo.max_matches, 1),
            ("pseudo_correspondence_options.neighbourhood", pseudo.neighbourhood, 0),
        ):
            if not value >= low:
                raise ConfigError(f"loss.{key}={value}: it must be at least {low}")


OFFICIAL_LOSSES = FoLLossOptions(
    form="official",
    multi_similarity=1.0,
    local_triplet=1.0,
    alignment=5e-3,
    contrast=1.0,
    pseudo_correspondence=1e-2,
    local_triplet_options=LocalTripletOptions(margin=0.0, similarity="mean"),
    contrast_options=ContrastOptions(foreground=0.7, background=0.3, repulsion=0.0),
)
FOL_LOSSES = FoLLossOptions()
