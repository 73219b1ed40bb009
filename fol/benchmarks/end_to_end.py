"""From a photo to ranked places, against the published code's steps with the same weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from fol.benchmarks.extraction import PADDED_TOKENS, published_loop, write_photos
from fol.benchmarks.matching import published_counts
from fol.benchmarks.measuring import compare
from fol.benchmarks.peaks import Peaks
from fol.benchmarks.report import Report, rows_of
from fol.data import load_image
from fol.errors import ConfigError
from fol.localizer import Localizer
from fol.models import PlaceModel, load_model
from fol.models.fol import FoL
from fol.reranking import Method, RerankOptions
from fol.retrieval import LocalStoreOptions, PlaceMap
from fol.types import Place


@dataclass(frozen=True)
class EndToEndSize:
    """A map of ``images`` photos through ``model`` at ``size`` pixels; one photo is located ``rounds`` times."""

    images: int = 110
    size: int = 322
    model: str = "fol_nano"
    candidates: int = 100
    budget: int = 450
    rounds: int = 5


@dataclass(frozen=True, eq=False)
class _PublishedIndex:
    """Everything in memory in float32, local features padded with zeros."""

    descriptors: faiss.IndexFlatL2
    local: NDArray[np.float32]


def measure(size: EndToEndSize, peaks: Peaks | None = None) -> Report:
    """One query through all steps: published in float32, ours exact, in int8, as a cascade, and within a budget."""
    model = load_model(size.model, image_size=size.size)
    if not isinstance(model.network, FoL):
        raise ConfigError(f"end_to_end.model={size.model}: the published steps are two stages; give such a model")
    with tempfile.TemporaryDirectory(prefix="fol-benchmark-") as name:
        folder = Path(name)
        *places, query = write_photos(folder, size.images + 1)
        whole = _map(folder / "whole.fol", model, places, LocalStoreOptions())
        small = _map(folder / "small.fol", model, places, LocalStoreOptions(max_tokens=size.budget))
        index = _published_index(model, places)
        works: dict[str, Callable[[], object]] = {
            "published": partial(_published, model, model.network, index, query, size.candidates)
        }
        variants: tuple[tuple[str, PlaceMap, Method, RerankOptions], ...] = (
            ("exact", whole, "fol", RerankOptions()),
            ("int8", whole, "fol", RerankOptions(precision="int8")),
            ("cascade", whole, "cascade", RerankOptions()),
            (f"int8, {size.budget} tokens", small, "fol", RerankOptions(precision="int8", max_tokens=size.budget)),
        )
        for label, place_map, method, options in variants:
            localizer = Localizer(model, place_map, method=method, options=options)
            works[label] = partial(localizer.locate, query.image, candidates=size.candidates)
        timings = compare(works, size.rounds)
        tokens = np.mean(whole.local_features(whole.ids).lengths)
    return Report(
        "end_to_end",
        f"One photo of 640x480 located among {size.images}: {size.model} at {size.size} px, "
        f"{size.candidates} candidates of {tokens:.0f} tokens, {torch.get_num_threads()} threads, "
        f"median of {size.rounds}.",
        rows_of(timings),
    )


def _map(path: Path, model: PlaceModel, places: list[Place], local: LocalStoreOptions) -> PlaceMap:
    PlaceMap.build(path, model, places, index="flat", local=local, calibrate=False)
    return PlaceMap.open(path)


def _published_index(model: PlaceModel, places: list[Place]) -> _PublishedIndex:
    local = np.zeros((len(places), PADDED_TOKENS, model.local_dim), np.float32)
    descriptors = np.zeros((len(places), model.descriptor_dim), np.float32)
    with torch.inference_mode():
        for row, place in enumerate(places):
            features = model.extract(model.transform(load_image(place.image))[None])[0]
            found = features.local.descriptors[:PADDED_TOKENS].numpy()
            local[row, : len(found)], descriptors[row] = found, features.descriptor.numpy()
    index = faiss.IndexFlatL2(model.descriptor_dim)
    index.add(descriptors)
    return _PublishedIndex(index, local)


@torch.inference_mode()
def _published(
    model: PlaceModel, network: FoL, index: _PublishedIndex, query: Place, candidates: int
) -> NDArray[np.int64]:
    """Extract, search, gather the candidates' features, match, sort (official: test_FoL.py)."""
    descriptor, (local,) = published_loop(model, network, [query])
    _, found = index.descriptors.search(descriptor.numpy(), candidates)
    counts = published_counts(local, torch.tensor(index.local[found[0]]))
    order: NDArray[np.int64] = found[0][np.argsort(-counts.numpy(), kind="stable")]
    return order
