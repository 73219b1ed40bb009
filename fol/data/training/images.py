"""The photos of a training set as tensors, resized as in evaluation."""

from __future__ import annotations

import os
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fol.data.images import load_image, printable
from fol.data.training.places import TrainingPlaces
from fol.errors import ConfigError, ImageError
from fol.models.preprocessing import Preprocessing
from fol.types import ProgressCallback


class PlaceImages(Dataset[Tensor]):
    """Image number to ``[3, H, W]`` uint8, by the same resize as at test time (before normalisation).

    With antialiasing the pixels are those of evaluation; without it the resize gives fractions, here rounded to 8 bits.

    ``cache`` keeps the resized photos in memory, ``fill`` reads them all; worker processes that are forked afterwards
    share them. Photos that are not in the cache yet are read from their files, so every process is right without it.

    ``on_error``: what a photo that cannot be read does: ``"raise"`` an ``ImageError`` with its name, or ``"skip"``: the
    next photo of the same place that can be read stands in for it, and ``replaced`` notes that. Raises ``ImageError``
    when a place has none.
    """

    def __init__(
        self,
        places: TrainingPlaces,
        preprocessing: Preprocessing,
        *,
        cache: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        self.places = places
        self.preprocessing = preprocessing
        self.on_error = on_error
        #: Why a photo was replaced, by its number; each process notes the photos that it read itself.
        self.replaced: dict[int, str] = {}
        self._pixels: Tensor | None = None
        if cache:
            shape = (len(places.images), 3, *preprocessing.image_size)
            _check_memory(shape)
            self._pixels = torch.empty(shape, dtype=torch.uint8)
        self._filled = torch.zeros(len(places.images), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.places.images)

    def __getitem__(self, number: int) -> Tensor:
        number = range(len(self))[number]
        if self._pixels is None:
            return self._read(number)
        if not self._filled[number]:
            self._pixels[number] = self._read(number)
            self._filled[number] = True
        return self._pixels[number].clone()

    def label(self, number: int) -> int:
        """Number of the place that an image shows."""
        return int(self.places.place_of_image[number])

    def fill(self, progress: ProgressCallback | None = None) -> None:
        """Read all photos into the cache that are not there yet; can be interrupted and called again."""
        if self._pixels is None:
            raise ConfigError("PlaceImages has no cache to fill: make it with cache=True")
        for number in range(len(self)):
            if not self._filled[number]:
                self._pixels[number] = self._read(number)
                self._filled[number] = True
            if progress is not None:
                progress(number + 1, len(self))

    def _read(self, number: int) -> Tensor:
        try:
            return self._load(number)
        except ImageError as error:
            if self.on_error == "raise":
                raise
            self.replaced[number] = str(error)
        start, stop = self.places.starts[self.label(number)], self.places.starts[self.label(number) + 1]
        for other in [*range(number + 1, stop), *range(start, number)]:
            try:
                return self._load(other)
            except ImageError as error:
                self.replaced[other] = str(error)
        place = printable(self.places.places[self.label(number)])
        raise ImageError(f"none of the {stop - start} photos of place {place} can be read: {self.replaced[number]}")

    def _load(self, number: int) -> Tensor:
        return self.preprocessing.resize(load_image(self.places.images[number])).mul(255).round_().to(torch.uint8)


def _check_memory(shape: tuple[int, ...]) -> None:
    needed = 1
    for side in shape:
        needed *= side
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not known on this system
        return
    # What the system counts as free leaves out the file cache, which it gives up when asked.
    if needed > max(free, whole // 2):
        raise ConfigError(
            f"{shape[0]} photos of {shape[3]}x{shape[2]} pixels need {needed / 1e9:.1f} GB of memory: set cache=false, "
            "or a smaller image size"
        )
