"""Reading the local features of the candidates from the disk, cold and warm, against a padded float32 array."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch.nn import functional

from fol.benchmarks.measuring import compare
from fol.benchmarks.peaks import Peaks
from fol.benchmarks.report import Report, rows_of
from fol.models.local_head import fine_size, patch_of_fine_cell
from fol.models.regions import upsample_map
from fol.retrieval import LocalStoreOptions, PlaceMap
from fol.retrieval.local_options import Bits
from fol.retrieval.manifest import ModelIdentity
from fol.types import Features, LocalFeatures, Place

_PADDED = 3600  # tokens per image in the published code's array
_SIDE, _PATCHES = 23, 225  # patches of a photo of 322 px, and how many of them are discriminative
_CELL = 3.5  # pixels between fine cells


@dataclass(frozen=True)
class StoreSize:
    """``images`` in the store, of which ``candidates`` are read, ``rounds`` times."""

    images: int = 200
    candidates: int = 100
    dim: int = 128
    rounds: int = 5


def local_features(image: int, dim: int) -> LocalFeatures:
    """About 3370 tokens as a photo of 322 px has them: the fine cells of the 225 best patches of a smooth region map.

    Their descriptors lie around a common vector.
    """
    generator = torch.Generator().manual_seed(image)
    coarse = torch.rand(1, 1, 6, 6, generator=generator)
    region_map = functional.interpolate(coarse, (_SIDE, _SIDE), mode="bilinear", align_corners=True)[0]
    selected = torch.zeros(_SIDE * _SIDE, dtype=torch.bool)
    selected[region_map.flatten().topk(_PATCHES).indices] = True
    cells = patch_of_fine_cell(_SIDE, centred=True)
    row, column = selected.view(_SIDE, _SIDE)[cells][:, cells].nonzero().unbind(dim=1)
    common = torch.ones(dim) / dim**0.5
    descriptors = common + torch.randn(len(row), dim, generator=generator) / dim**0.5
    weights = upsample_map(region_map / region_map.amax(), (fine_size(_SIDE), fine_size(_SIDE)))[0, row, column]
    positions = torch.stack([column, row], dim=1) * _CELL + 7
    return LocalFeatures(functional.normalize(descriptors, dim=1), positions, weights)


def measure(size: StoreSize, peaks: Peaks | None = None) -> Report:
    """Time to read the candidates' features into memory, and bytes per image, for every number of bits."""
    rng = np.random.default_rng(0)
    wanted = rng.permutation(size.images)[: size.candidates]
    notes: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="fol-benchmark-") as name:
        folder = Path(name)
        padded = folder / "padded.npy"
        array = np.lib.format.open_memmap(padded, "w+", np.float32, (size.images, _PADDED, size.dim))
        for image in range(size.images):
            rows = local_features(image, size.dim).descriptors.numpy()[:_PADDED]
            array[image, : len(rows)] = rows
        array.flush()
        del array
        works: dict[str, Callable[[], object]] = {
            "published, cold": partial(_published, padded, wanted, cold=True),
            "published, warm": partial(_published, padded, wanted, cold=False),
        }
        notes["published, cold"] = f"{4 * _PADDED * size.dim / 1e3:.0f} KB per image, positions not kept"
        for bits in get_args(Bits):
            place_map = _build(folder / f"{bits}.fol", size, bits)
            files = [place_map.path / file.name for role, file in place_map.manifest.files.items() if "local" in role]
            stored = sum(file.stat().st_size for file in files)
            for label, cold in (("cold", True), ("warm", False)):
                works[f"{bits} bits, {label}"] = partial(_ours, place_map, files, wanted, cold=cold)
            notes[f"{bits} bits, cold"] = f"{stored / size.images / 1e3:.1f} KB per image, all included"
        timings = compare(works, size.rounds)
    tokens = np.mean([len(local_features(image, size.dim)) for image in range(min(20, size.images))])
    return Report(
        "store",
        f"Local features of {len(wanted)} of {size.images} images, {tokens:.0f} x {size.dim} values on average. "
        "Cold: the system was told to forget the files before.",
        rows_of(timings, None, notes),
    )


def _build(path: Path, size: StoreSize, bits: Bits) -> PlaceMap:
    identity = ModelIdentity("benchmark", "benchmark", "fol", 8, size.dim, _PADDED)

    def items() -> Iterator[tuple[Place, Features]]:
        descriptor = functional.normalize(torch.ones(8), dim=0)
        for image in range(size.images):
            yield Place(f"{image}.jpg", Path(f"{image}.jpg")), Features(descriptor, local_features(image, size.dim))

    options = LocalStoreOptions(bits=bits)
    PlaceMap.from_features(path, identity, items(), total=size.images, local=options, calibrate=False)
    return PlaceMap.open(path)


def _forget(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _published(path: Path, wanted: np.ndarray, *, cold: bool) -> object:
    """The published code's gather (official: test_FoL.py), from a mapped array instead of all in memory."""
    if cold:
        _forget(path)
    return torch.tensor(np.load(path, mmap_mode="r")[wanted])


def _ours(place_map: PlaceMap, files: list[Path], wanted: np.ndarray, *, cold: bool) -> object:
    if cold:
        for file in files:
            _forget(file)
    return place_map.local_features(wanted)
