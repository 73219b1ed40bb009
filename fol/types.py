"""The frozen objects that travel between the parts of the library.

Tensors keep the device they were made on. Arrays that come from FAISS or from files are numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Position:
    """A point on the ground, in UTM metres and, where the zone is known, in WGS84 degrees."""

    easting: float
    northing: float
    zone: str | None = None  # such as "31N" or "18T"; None for a local metric frame
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True)
class Place:
    """One geotagged (or unlabelled) image.

    ``name`` is the image's path relative to its data set's root, with forward slashes: it is what
    reports print and what ground-truth files refer to.
    """

    name: str
    image: Path
    position: Position | None = None
    heading: float | None = None  # degrees clockwise from north
    sequence: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """Local features of one image.

    ``descriptors [L, D]`` unit rows; ``positions [L, 2]`` (x, y) in pixels of the original image,
    measured from its top-left corner; ``weights [L]`` in [0, 1], the discriminative-region confidence.
    """

    descriptors: Tensor
    positions: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return int(self.descriptors.shape[0])

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> LocalFeatures:
        """Copy to ``device``; ``dtype`` applies to the descriptors alone."""
        return LocalFeatures(
            self.descriptors.to(device, dtype or self.descriptors.dtype),
            self.positions.to(device),
            self.weights.to(device),
        )

    @staticmethod
    def empty(dim: int = 0, device: torch.device | str = "cpu") -> LocalFeatures:
        """No features at all, as single-stage models give."""
        return LocalFeatures(
            torch.zeros(0, dim, device=device),
            torch.zeros(0, 2, device=device),
            torch.zeros(0, device=device),
        )


@dataclass(frozen=True, eq=False)
class LocalFeaturesBatch(Sequence[LocalFeatures]):
    """Local features of N images, packed end to end so that there is no padding to leak into scores.

    ``descriptors [sum(lengths), D]``, ``positions [sum(lengths), 2]``, ``weights [sum(lengths)]``,
    ``lengths`` N integers.
    """

    descriptors: Tensor
    positions: Tensor
    weights: Tensor
    lengths: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> LocalFeatures:  # type: ignore[override]
        """Features of image ``index``, as views."""
        index = range(len(self.lengths))[index]
        start = sum(self.lengths[:index])
        rows = slice(start, start + self.lengths[index])
        return LocalFeatures(self.descriptors[rows], self.positions[rows], self.weights[rows])

    def __iter__(self) -> Iterator[LocalFeatures]:
        fields = (self.descriptors, self.positions, self.weights)
        parts = (torch.split(field, list(self.lengths)) for field in fields)
        return (LocalFeatures(*part) for part in zip(*parts, strict=True))

    def to(self, device: torch.device | str) -> LocalFeaturesBatch:
        """Copy to ``device``."""
        descriptors, positions = self.descriptors.to(device), self.positions.to(device)
        return LocalFeaturesBatch(descriptors, positions, self.weights.to(device), self.lengths)

    @staticmethod
    def pack(features: Sequence[LocalFeatures]) -> LocalFeaturesBatch:
        """Concatenate; raises ``ValueError`` when there is nothing to take the dimension from."""
        if not features:
            raise ValueError("pack() needs at least one LocalFeatures")
        return LocalFeaturesBatch(
            torch.cat([f.descriptors for f in features]),
            torch.cat([f.positions for f in features]),
            torch.cat([f.weights for f in features]),
            tuple(len(f) for f in features),
        )


@dataclass(frozen=True, eq=False)
class Features:
    """What a model says of one image.

    ``descriptor [D]`` unit; ``local`` the features used for re-ranking (empty for single-stage
    models); ``region_map [h, w]`` discriminative-region confidence per patch, or None.
    """

    descriptor: Tensor
    local: LocalFeatures
    region_map: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Candidates:
    """Places retrieved for one query, best first: ``ids [K]`` int64, ``similarities [K]`` cosine, float32."""

    ids: NDArray[np.int64]
    similarities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Candidates after re-ranking, best first; every field is aligned with ``ids``.

    ``ids [K]`` int64: the ids that came with the candidates, else their incoming positions;
    ``scores [K]`` final; ``local_scores [K]`` of the second stage alone; ``global_similarity [K]`` of the
    first stage, None when not given; ``num_matches [K]`` int64 mutual matches above the threshold (or
    inliers, when geometry was checked); ``matches`` per candidate ``[M, 2]`` int64 rows (query token,
    candidate token) when asked for, else None.
    """

    ids: Tensor
    scores: Tensor
    local_scores: Tensor
    num_matches: Tensor
    global_similarity: Tensor | None = None
    matches: tuple[Tensor, ...] | None = None

    def __len__(self) -> int:
        return int(self.ids.shape[0])


@dataclass(frozen=True)
class RankedPlace:
    """One line of an answer: a place of the map with the scores of both stages."""

    rank: int  # 1 is best
    place_id: int
    place: Place
    score: float
    global_similarity: float
    num_matches: int | None  # None when there was no second stage


@dataclass(frozen=True)
class Prediction:
    """The answer to one query photo.

    ``confidence`` is in [0, 1], calibrated on the map (see ``fol.retrieval.calibration``), or None for a map
    that could not be calibrated. ``not_in_map`` is True when the confidence is below the threshold, None without one.
    """

    place: Place
    position: Position | None
    score: float
    confidence: float | None
    not_in_map: bool | None
    ranking: tuple[RankedPlace, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)  # per stage: extract, retrieve, rerank


class Extractor(Protocol):
    """What the map, the localizer and the evaluation need of a model; ``fol.models`` gives implementations."""

    @property
    def name(self) -> str:
        """Card name, or the weight file's name."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over architecture, preprocessing, precision and weights; other features have another one."""

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Plain values that say how to load the model again (arguments of ``fol.load_model``)."""

    @property
    def preset(self) -> str:
        """``"official"`` or ``"fol"``, also the default method of re-ranking; ``"none"`` without local features."""

    @property
    def descriptor_dim(self) -> int:
        """Length of the global descriptor."""

    @property
    def local_dim(self) -> int:
        """Length of a local descriptor; 0 for single-stage models."""

    @property
    def max_tokens(self) -> int:
        """Upper bound of the number of local features of one image at the transform's size."""

    @property
    def device(self) -> torch.device:
        """Where ``extract`` runs."""

    def transform(self, image: Image.Image) -> Tensor:
        """RGB photo to the network's input ``[3, H, W]`` float32."""

    def prepare(self, image: Image.Image, *, keep_size: bool = False) -> Tensor:
        """RGB photo to ``[3, H, W]`` of any type that ``extract`` takes: what loading processes hand over.

        ``keep_size``: a protocol has given the photo its size, which a model of fixed size changes all the same.
        """

    def extract(self, images: Tensor, original_sizes: Sequence[tuple[int, int]] | None = None) -> list[Features]:
        """Features of a batch ``[B, 3, H, W]`` of what ``transform`` or ``prepare`` gave, one per image.

        ``original_sizes`` (width, height) per photo puts the local positions into its pixels; without
        it they are pixels of ``images``.
        """


#: Called with (items done, items in all) while long work goes on.
ProgressCallback = Callable[[int, int], None]
