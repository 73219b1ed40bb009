"""Benchmarks and protocols by name; their photos from a folder, as published or as ``fol data prepare`` made it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from fol.data.benchmark import Benchmark
from fol.data.benchmarks import BENCHMARKS
from fol.data.dataset import PlaceDataset
from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.data.prepared_benchmark import read_prepared
from fol.data.protocol import Protocol, apply_protocol
from fol.errors import ConfigError, DataError

CATALOGUE: Mapping[str, Benchmark] = {benchmark.name: benchmark for benchmark in BENCHMARKS}
PROTOCOLS: Mapping[str, tuple[Benchmark, Protocol]] = {
    protocol.name: (benchmark, protocol) for benchmark in BENCHMARKS for protocol in benchmark.protocols
}


def find_benchmark(name: str) -> Benchmark:
    """By its own name or that of one of its protocols; ``ConfigError`` with the nearest name for any other."""
    if name in PROTOCOLS:
        return PROTOCOLS[name][0]
    if name not in CATALOGUE:
        raise _unknown(name, [*CATALOGUE, *PROTOCOLS])
    return CATALOGUE[name]


def find_protocol(name: str) -> tuple[Benchmark, Protocol]:
    """By name; that of a benchmark stands for its first protocol. ``ConfigError`` for any other."""
    if name in CATALOGUE:
        return CATALOGUE[name], CATALOGUE[name].protocols[0]
    if name not in PROTOCOLS:
        raise _unknown(name, list(PROTOCOLS))
    return PROTOCOLS[name]


def read_photos(benchmark: Benchmark, root: Path) -> PhotoSet:
    """The benchmark's photos in ``root``, which is its download or what ``fol data prepare`` made of it.

    Raises ``DataError`` naming what was looked for when ``root`` is neither.
    """
    prepared = read_prepared(benchmark, root)
    if prepared is not None:
        return prepared
    for marker, read in benchmark.native:
        if (root / marker).exists():
            return read(root)
    looked_for = ", ".join(marker for marker, _ in benchmark.native)
    what = f"is no download of {benchmark.name}: none of {looked_for} is there" if root.is_dir() else "no such folder"
    raise DataError(f"{printable(root)}: {what}")


def read_protocol(name: str, root: Path, *, radii: Sequence[float] = ()) -> PlaceDataset:
    """The data set in ``root`` under the protocol ``name``. Raises ``ConfigError`` and ``DataError``, naming both."""
    benchmark, protocol = find_protocol(name)
    return apply_protocol(read_photos(benchmark, root), protocol, name=benchmark.name, radii=radii)


def _unknown(name: str, known: list[str]) -> ConfigError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "`fol data list` shows all"
    return ConfigError(f"{name!r} is no benchmark and no protocol; {hint}")
