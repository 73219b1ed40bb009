"""Photos to features, in batches: what building a map and evaluating a data set share.

Order is kept, and what comes out depends neither on the batch size nor on the number of loading processes
(up to floating-point noise). A photo that cannot be used is reported, never fatal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fol.data import load_image
from fol.errors import ConfigError, FolError, ImageError
from fol.types import Extractor, Features, Place


@dataclass(frozen=True)
class Skipped:
    """A photo that gave no features: its place's ``name`` and the ``reason``, one line."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class ExtractedBatch:
    """Outcome for the consecutive places ``[start, stop)`` of the list that was given.

    ``features`` holds (index into that list, features on the CPU) in ascending order; ``skipped`` the others.
    """

    start: int
    stop: int
    features: list[tuple[int, Features]]
    skipped: list[Skipped]


@dataclass(frozen=True, eq=False)
class _Photo:
    index: int
    image: Tensor | None  # [3, H, W]; None when it could not be loaded
    size: tuple[int, int] = (0, 0)  # (width, height) of the photo itself
    reason: str = ""


class _Photos(Dataset[_Photo]):
    """Decodes and preprocesses; runs in the loading processes, so nothing may be raised from it."""

    def __init__(self, model: Extractor, places: Sequence[Place]) -> None:
        self.transform = model.transform
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> _Photo:
        path = self.places[index].image
        try:
            photo: Image.Image = load_image(path)
            return _Photo(index, self.transform(photo), photo.size)
        except FolError as error:
            return _Photo(index, None, reason=_one_line(str(error)))
        except Exception as error:  # a decoder's own exceptions must cost one photo, not the whole run
            return _Photo(index, None, reason=_one_line(f"{path}: {type(error).__name__}: {error}"))


def extract_places(
    model: Extractor, places: Sequence[Place], *, batch_size: int = 8, workers: int = 0
) -> Iterator[ExtractedBatch]:
    """Features of every place's photo, in order, ``batch_size`` photos at a time.

    ``workers`` 0 decodes in this process, more start that many loading processes. Raises ``ConfigError`` for
    numbers out of range and ``ImageError`` when a loading process dies (out of memory, a crash in a decoder).
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: it must be at least 1")
    if workers < 0:
        raise ConfigError(f"workers={workers}: it must be 0 (decode in this process) or more")
    return _batches(model, places, batch_size, workers)


def _batches(model: Extractor, places: Sequence[Place], batch_size: int, workers: int) -> Iterator[ExtractedBatch]:
    loader: DataLoader[_Photo] = DataLoader(
        _Photos(model, places),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_as_list,
        # Forked loaders share the model's memory; other start methods would pickle the network into each of them.
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
    )
    iterator = iter(loader)
    start = 0
    while start < len(places):
        batch, died = None, ""
        try:
            photos = next(iterator)
        except (RuntimeError, OSError, EOFError) as error:  # pipes of a dead process break in several ways
            died = _one_line(f"{type(error).__name__}: {error}")
        else:
            try:
                batch = _extract(model, places, photos)
            except RuntimeError as error:  # torch raises it in whatever runs when a process is seen to be dead
                died = _one_line(str(error))
                if not died.startswith("DataLoader worker"):
                    raise
        if batch is None:
            # Out of the handlers, where nothing holds the iterator any more: it must go now, or torch would raise
            # the same error again whenever any other process ends.
            del iterator
            where = places[start].name
            raise ImageError(f"a loading process died near {where} ({died}): run again with workers=0")
        yield batch
        start = batch.stop


def _extract(model: Extractor, places: Sequence[Place], photos: list[_Photo]) -> ExtractedBatch:
    skipped = [Skipped(places[p.index].name, p.reason) for p in photos if p.image is None]
    # One call per image size: a transform that keeps the aspect ratio gives photos that cannot be stacked.
    by_shape: dict[torch.Size, list[tuple[_Photo, Tensor]]] = {}
    for photo in photos:
        if photo.image is not None:
            by_shape.setdefault(photo.image.shape, []).append((photo, photo.image))
    features: list[tuple[int, Features]] = []
    for group in by_shape.values():
        with torch.inference_mode():
            found = model.extract(torch.stack([image for _, image in group]), [p.size for p, _ in group])
        features.extend((p.index, _on_cpu(f)) for (p, _), f in zip(group, found, strict=True))
    features.sort(key=lambda pair: pair[0])
    return ExtractedBatch(photos[0].index, photos[-1].index + 1, features, skipped)


def _on_cpu(features: Features) -> Features:
    region_map = features.region_map
    return Features(
        features.descriptor.cpu(), features.local.to("cpu"), None if region_map is None else region_map.cpu()
    )


def _as_list(photos: list[_Photo]) -> list[_Photo]:
    return photos


def _one_line(text: str) -> str:
    return " ".join(text.split())
