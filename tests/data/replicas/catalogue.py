"""A small native tree of every benchmark of the catalogue."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from replicas.amstertime import write_amstertime
from replicas.at_layout import write_sf_xl, write_svox
from replicas.eynsham import write_eynsham
from replicas.msls import write_msls
from replicas.nordland import write_unizar, write_vpr_bench_nordland, write_vpr_datasets_downloader
from replicas.openibl import write_openibl
from replicas.pittsburgh import write_pittsburgh
from replicas.tokyo import write_tokyo247, write_tokyo_tm
from replicas.vpr_bench import write_sped

from fol.data.benchmark import Benchmark
from fol.data.catalogue import CATALOGUE
from fol.data.readers.eynsham import read_eynsham
from fol.data.readers.msls import TEST_CITIES


def benchmark(name: str) -> Benchmark:
    """That of the catalogue; the replica of Eynsham has two panoramas in its first lap instead of 4,787."""
    found = CATALOGUE[name]
    if name == "eynsham":
        return replace(found, native=(("Eynsham/Images", partial(read_eynsham, first_lap=2)), *found.native[2:]))
    return found


def write_native(name: str, root: Path) -> Path:
    """The download of ``name`` in the form that the catalogue looks for first (Pittsburgh: that of NetVLAD)."""
    _WRITERS[name](root)
    return root


def _msls_test(root: Path) -> None:
    """All six cities at the same coordinates, so that searching them together gives other positives."""
    write_msls(root)
    for city in TEST_CITIES[1:]:
        shutil.copytree(root / "test" / "miami", root / "test" / city)


def _pittsburgh(mat: str, root: Path) -> None:
    write_pittsburgh(root).rename(root / "datasets" / mat)


def _copied(write: Callable[[Path], object], folder: str, new: str, root: Path) -> None:
    """``new`` is a second set of queries like ``folder``."""
    write(root)
    if folder != new:
        (inside,) = (path for path in (root / "test", root / "images" / "test") if path.is_dir())
        shutil.copytree(inside / folder, inside / new)


def _st_lucia(root: Path) -> None:
    write_svox(root)
    (root / "images" / "test" / "gallery").rename(root / "images" / "test" / "database")


_WRITERS: dict[str, Callable[[Path], object]] = {
    "msls_val": write_msls,
    "msls_test": _msls_test,
    **{
        f"pitts{part}": partial(_pittsburgh, f"pitts{part}.mat")
        for part in ("30k_test", "30k_val", "30k_train", "250k_test", "250k_val", "250k_train")
    },
    "tokyo247": write_tokyo247,
    "tokyo_tm_val": write_tokyo_tm,
    "tokyo_tm_train": partial(write_tokyo_tm, split="train"),
    **{f"sf_xl_{kind}": write_sf_xl for kind in ("v1", "v2", "night")},
    "sf_xl_occlusion": partial(_copied, write_sf_xl, "queries_v2", "queries_occlusion"),
    "svox": write_svox,
    **{
        f"svox_{kind}": partial(_copied, write_svox, "queries_night", f"queries_{kind}")
        for kind in ("night", "overcast", "rain", "snow", "sun")
    },
    "nordland": write_vpr_datasets_downloader,
    "nordland_vprbench": write_vpr_bench_nordland,
    "nordland_unizar": write_unizar,
    "sped": write_sped,
    "essex3in1": write_sped,
    "amstertime": write_amstertime,
    "st_lucia": _st_lucia,
    "eynsham": write_eynsham,
}


def write_openibl_form(name: str, root: Path) -> Path:
    """Pittsburgh as OpenIBL describes it."""
    return write_openibl(root, "_250k" if "250k" in name else "_30k")
