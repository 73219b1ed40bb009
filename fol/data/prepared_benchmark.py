"""A benchmark in the layout that ``fol data prepare`` writes, and back from there.

``<out>/images/<split>/benchmark.json`` names the benchmark, so that no other one is read from the folder by mistake.
"""

from __future__ import annotations

import json
from pathlib import Path

from fol.data.benchmark import Benchmark
from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.data.preparation import Prepared, prepare
from fol.data.readers.folder import read_places
from fol.data.readers.ground_truth import read_ground_truth
from fol.data.readers.names import NameIndex
from fol.errors import DataError
from fol.files import write_atomically
from fol.types import ProgressCallback

_NAME = "benchmark.json"
_REACH = 25.0  # metres that other tools call right


def prepare_benchmark(
    benchmark: Benchmark, photos: PhotoSet, out: Path, *, progress: ProgressCallback | None = None
) -> Prepared:
    """Lay the photos out as ``prepare`` does, where the benchmark belongs.

    Frames get made-up coordinates under which a rule of 25 m takes as many of them as the benchmark's own rule does.
    Raises ``DataError`` as ``prepare``, and for a folder that holds another benchmark.
    """
    base = out / benchmark.layout
    _check(base, benchmark)
    try:
        base.mkdir(parents=True, exist_ok=True)
        write_atomically(base / _NAME, json.dumps({"benchmark": benchmark.name}).encode() + b"\n")
    except OSError as error:
        raise DataError(f"{printable(base)}: cannot be written ({error.strerror}): choose another out") from error
    reaches = [protocol.reach for protocol in benchmark.protocols if protocol.positives == "frames"]
    spacing = {"frame_spacing": _REACH / (reaches[0] + 0.5)} if reaches else {}
    return prepare(photos, out, layout=benchmark.layout, progress=progress, **spacing)


def read_prepared(benchmark: Benchmark, root: Path) -> PhotoSet | None:
    """What ``prepare_benchmark`` wrote into ``root``, None where there is nothing of it.

    All labels come from the CSV files; made-up coordinates in file names are not looked at.
    """
    for base in (root / benchmark.layout, root):
        if all((base / f"{side}.csv").is_file() and (base / side).is_dir() for side in ("database", "queries")):
            _check(base, benchmark)
            database, queries = read_places(base / "database"), read_places(base / "queries")
            truth = base / "ground_truth.csv"
            if not truth.is_file():
                return PhotoSet(root, database, queries)
            names = [place.name for place in queries]
            index = NameIndex([place.name for place in database])
            return PhotoSet(root, database, queries, read_ground_truth(truth, NameIndex(names), names, index).positives)
    return None


def _check(base: Path, benchmark: Benchmark) -> None:
    path = base / _NAME
    try:
        found = json.loads(path.read_bytes())["benchmark"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{printable(path)}: does not name a benchmark: prepare it again") from error
    if found != benchmark.name:
        raise DataError(f"{printable(base)}: holds {printable(str(found))}, not {benchmark.name}: give another folder")
