"""Photos to features, in batches: what building a map and evaluating a data set share.

Order is kept, and what comes out depends neither on the batch size nor on the number of loading processes
(up to floating-point noise). A photo that cannot be used is reported, never fatal.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fol.data import load_image, with_short_side
from fol.errors import ConfigError, FolError, ImageError
from fol.types import Extractor, Features, LocalFeaturesBatch, Place

Item = TypeVar("Item")


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


def unusable(features: Features) -> str:
    """Why nothing can be compared with these features; empty when they are good."""
    local = features.local
    tensors = [features.descriptor, local.descriptors, local.positions, local.weights]
    # A sum is finite when its terms are, and takes one pass.
    finite = all(math.isfinite(t.sum(dtype=torch.float32)) for t in tensors)
    return "" if finite else "the model's features of it are not finite"


@dataclass(frozen=True, eq=False)
class _Photo:
    index: int
    image: Tensor | None  # [3, H, W]; None when it could not be loaded
    size: tuple[int, int] = (0, 0)  # (width, height) of the photo itself
    reason: str = ""


@dataclass(frozen=True, eq=False)
class _Group:
    """Photos of one batch whose ``images [B, 3, H, W]`` can be stacked."""

    photos: list[_Photo]  # without their images
    images: Tensor


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A batch as a loading process hands it over, and what tells that its copy to a GPU is there."""

    start: int
    stop: int
    groups: list[_Group]
    unusable: list[_Photo]
    copied: torch.cuda.Event | None = None

    def pin_memory(self) -> _Loaded:
        """The same in page-locked memory, from which a GPU copies while others compute; the data loader calls this."""
        return self._with_images(Tensor.pin_memory)

    def upload(self, stream: torch.cuda.Stream) -> _Loaded:
        """A copy on the stream's device that the stream is asked for; call ``wait`` before use."""
        with torch.cuda.stream(stream):
            uploaded = self._with_images(lambda images: images.to(stream.device, non_blocking=True))
            return replace(uploaded, copied=stream.record_event())

    def wait(self) -> None:
        """Let what the device is told from now on happen after the copy; nothing to do where there was none."""
        if self.copied is not None:
            for group in self.groups:
                current = torch.cuda.current_stream(group.images.device)
                current.wait_event(self.copied)
                group.images.record_stream(current)

    def _with_images(self, move: Callable[[Tensor], Tensor]) -> _Loaded:
        return replace(self, groups=[replace(group, images=move(group.images)) for group in self.groups])


class _Photos(Dataset[_Photo]):
    """Decodes and preprocesses; runs in the loading processes, so nothing may be raised from it."""

    def __init__(self, model: Extractor, places: Sequence[Place], short_side: int | None) -> None:
        self.model = model
        self.places = places
        self.short_side = short_side

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> _Photo:
        path = self.places[index].image
        try:
            photo: Image.Image = load_image(path)
            return _Photo(index, prepared(self.model, photo, self.short_side), photo.size)
        except FolError as error:
            return _Photo(index, None, reason=_one_line(str(error)))
        except Exception as error:  # a decoder's own exceptions must cost one photo, not the whole run
            return _Photo(index, None, reason=_one_line(f"{path}: {type(error).__name__}: {error}"))


def prepared(model: Extractor, photo: Image.Image, short_side: int | None = None) -> Tensor:
    """What ``model.extract`` takes of a photo, ``[3, H, W]``.

    ``short_side``: pixels that a protocol wants the shorter side to have, aspect kept. Networks that take any size see
    the photo like that; for the others their own fixed size follows.
    """
    if short_side is None:
        return model.prepare(photo)
    return model.prepare(with_short_side(photo, short_side), keep_size=True)


def extract_places(
    model: Extractor, places: Sequence[Place], *, batch_size: int = 8, workers: int = 0, short_side: int | None = None
) -> Iterator[ExtractedBatch]:
    """Features of every place's photo, in order, ``batch_size`` photos at a time.

    ``short_side`` resizes photos to that many pixels on their shorter side (``prepared``).
    ``workers`` 0 decodes in this process, more start that many loading processes. With a model on a GPU the next batch
    is loaded and copied there while one is computed. Raises ``ConfigError`` for numbers out of range and ``ImageError``
    when a loading process dies (out of memory, a crash in a decoder).
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: it must be at least 1")
    if workers < 0:
        raise ConfigError(f"workers={workers}: it must be 0 (decode in this process) or more")
    return _batches(model, _Photos(model, places, short_side), batch_size, workers)


def _batches(model: Extractor, photos: _Photos, batch_size: int, workers: int) -> Iterator[ExtractedBatch]:
    places = photos.places
    batches = _load(model, photos, batch_size, workers)
    if model.device.type == "cuda":
        stream = torch.cuda.Stream(model.device)
        batches = one_ahead(loaded.upload(stream) for loaded in batches)
    start = 0
    while start < len(places):
        died = ""
        try:
            batch = _extract(model, places, next(batches))
        except RuntimeError as error:  # torch raises it in whatever runs when a process is seen to be dead
            died = _one_line(str(error))
            if not died.startswith("DataLoader worker"):
                raise
        if died:
            batches.close()  # see _load
            raise _loader_died(places[start], died)
        yield batch
        start = batch.stop


def _load(model: Extractor, photos: _Photos, batch_size: int, workers: int) -> Generator[_Loaded, None, None]:
    places = photos.places
    loader: DataLoader[_Photo] = DataLoader(
        photos,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_stacked,
        pin_memory=model.device.type == "cuda",
        # Forked loaders share the model's memory; other start methods would pickle the network into each of them.
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
    )
    iterator = iter(loader)
    start = 0
    while start < len(places):
        loaded, died = None, ""
        try:
            loaded = next(iterator)
        except (RuntimeError, OSError, EOFError) as error:  # pipes of a dead process break in several ways
            died = _one_line(f"{type(error).__name__}: {error}")
        if loaded is None:
            # Out of the handler, where nothing holds the iterator any more: it must go now, or torch would raise
            # the same error again whenever any other process ends.
            del iterator
            raise _loader_died(places[start], died)
        yield loaded
        start = loaded.stop


def one_ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """``items``, each taken from where they come from before the one in front of it is given out.

    An exception in there is raised in its turn: after the items that came before it.
    """
    source, failure = iter(items), None
    waiting: list[Item] = []
    while failure is None:
        try:
            waiting.append(next(source))
        except Exception as error:  # StopIteration among them
            failure = error
        while len(waiting) > (1 if failure is None else 0):
            yield waiting.pop(0)
    if not isinstance(failure, StopIteration):
        raise failure


def _extract(model: Extractor, places: Sequence[Place], loaded: _Loaded) -> ExtractedBatch:
    loaded.wait()
    features: list[tuple[int, Features]] = []
    for group in loaded.groups:
        with torch.inference_mode():
            found = model.extract(group.images, [photo.size for photo in group.photos])
            if model.device.type != "cpu":
                found = on_cpu(found)
        features.extend((photo.index, f) for photo, f in zip(group.photos, found, strict=True))
    features.sort(key=lambda pair: pair[0])
    skipped = [Skipped(places[photo.index].name, photo.reason) for photo in loaded.unusable]
    return ExtractedBatch(loaded.start, loaded.stop, features, skipped)


def on_cpu(features: Sequence[Features]) -> list[Features]:
    """Copies on the CPU, as views of one tensor of each kind: every single copy from a GPU would wait for it."""
    descriptors = torch.stack([f.descriptor for f in features]).cpu()
    local = LocalFeaturesBatch.pack([f.local for f in features]).to("cpu")
    maps = [f.region_map for f in features if f.region_map is not None]
    region_maps = torch.stack(maps).cpu() if len(maps) == len(features) else [None] * len(features)
    return [Features(*parts) for parts in zip(descriptors, local, region_maps, strict=True)]


def _stacked(photos: list[_Photo]) -> _Loaded:
    # One stack per image size: a transform that keeps the aspect ratio gives photos that do not fit together.
    by_shape: dict[torch.Size, list[tuple[_Photo, Tensor]]] = {}
    for photo in photos:
        if photo.image is not None:
            by_shape.setdefault(photo.image.shape, []).append((photo, photo.image))
    groups = [
        _Group([replace(photo, image=None) for photo, _ in same], torch.stack([image for _, image in same]))
        for same in by_shape.values()
    ]
    return _Loaded(photos[0].index, photos[-1].index + 1, groups, [p for p in photos if p.image is None])


def _loader_died(place: Place, died: str) -> ImageError:
    return ImageError(f"a loading process died near {place.name} ({died}): run again with workers=0")


def _one_line(text: str) -> str:
    return " ".join(text.split())
