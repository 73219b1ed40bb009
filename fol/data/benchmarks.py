"""The benchmarks of the field. Counts and rules with their sources: the loaders of each benchmark's own code,
VPR-datasets-downloader, gsv-cities, and the tables of CosPlace, SelaVPR and FoL where only papers tell.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from fol.data.benchmark import Benchmark
from fol.data.photo_set import PhotoSet
from fol.data.protocol import Protocol, PublishedCounts
from fol.data.readers.amstertime import read_amstertime
from fol.data.readers.at_layout import read_at_layout
from fol.data.readers.eynsham import read_eynsham
from fol.data.readers.msls import SUBTASKS, TEST_CITIES, VAL_CITIES, read_msls
from fol.data.readers.nordland import read_nordland
from fol.data.readers.openibl import read_openibl
from fol.data.readers.pittsburgh import read_dbstruct
from fol.data.readers.tokyo import read_tokyo247, read_tokyo_tm
from fol.data.readers.vpr_bench import read_vpr_bench

_BY_MAIL = "photos on request from the authors of NetVLAD (Relja Arandjelovic's project page says how)"
_DOWNLOADER = "ready-made by VPR-datasets-downloader"
_VPR_BENCH = "VPR-Bench, or gsv-cities' copy of it"
_MAPILLARY = "Mapillary's download page, after its form; patch_v1.1.zip replaces the empty photos"


def _within(name: str, metres: float = 25) -> Protocol:
    return Protocol(f"{name}@{metres:g}m", f"right within {metres:g} m; all queries count", reach=metres)


def _pairs(name: str) -> Protocol:
    return Protocol(f"{name}@pairs", "right is the one photo of the same number", positives="listed")


def _at(
    queries: str = "queries", *folders: str, split: str = "test"
) -> tuple[tuple[str, Callable[[Path], PhotoSet]], ...]:
    """Readers of a tree of ``@`` names, wherever VPR-datasets-downloader and others put it; ``folders`` are further
    ones to look into."""

    def reader(folder: str) -> Callable[[Path], PhotoSet]:
        return lambda root: read_at_layout(root / folder, queries=queries)

    places = [f"images/{split}", *(["", "test"] if split == "test" else ()), *folders]
    return tuple((f"{place}/{queries}".lstrip("/"), reader(place)) for place in places)


def _first(root: Path, *names: str) -> Path:
    """The first of these that is there, else the first of all, for whoever reads it to name."""
    return next((root / name for name in names if (root / name).exists()), root / names[0])


def _pittsburgh(scale: str, split: str, counts: tuple[int, int], *, counted: bool) -> Benchmark:
    name, mat = f"pitts{scale}_{split}", f"pitts{scale}_{split}.mat"

    def native(root: Path) -> PhotoSet:
        return read_dbstruct(_first(root, f"datasets/{mat}", mat), root)

    return Benchmark(
        name,
        f"Pittsburgh {scale}, {split} (Torii et al. 2013; split of NetVLAD)",
        (
            (f"datasets/{mat}", native),
            (mat, native),
            (f"meta_{scale}.json", partial(read_openibl, split=split, scale=scale)),
            *_at(split=split),
        ),
        (_within(name),),
        counts,
        counted,
        _BY_MAIL,
        split,
    )


def _tokyo247(root: Path) -> PhotoSet:
    images = _first(root, "images", "tokyo247/images", "tokyo247", ".")
    queries = _first(root, "247query_subset_v2", "query/247query_subset_v2", "queries", "query")
    return read_tokyo247(_first(root, "tokyo247.mat", "datasets/tokyo247.mat"), images, queries)


def _tokyo_tm(split: str, said: str) -> Benchmark:
    name, mat = f"tokyo_tm_{split}", f"tokyoTM_{split}.mat"

    def native(root: Path) -> PhotoSet:
        images = _first(root, "images", "tokyoTM/images", "tokyoTM", ".")
        return read_tokyo_tm(_first(root, mat, f"datasets/{mat}"), images)

    return Benchmark(
        name,
        f"Tokyo Time Machine, {said} (Arandjelovic et al. 2016)",
        ((mat, native), (f"datasets/{mat}", native)),
        (
            Protocol(
                f"{name}@25m",
                "right within 25 m and of another month than the query, which is itself in the database; photos of its "
                "month are passed over (Relja/netvlad, dbTokyoTimeMachine.m); all queries count",
                ignore_same="timestamp",
            ),
        ),
        access=_BY_MAIL,
        split=split,
    )


def _msls_protocols(
    name: str, rules: str, official: PublishedCounts, everything: PublishedCounts | None = None
) -> tuple[Protocol, ...]:
    task_all = Protocol(
        f"{name}@{rules}",
        "subtask all, no panoramas, each city for itself, right within 25 m; queries without positives are left out "
        "(mapillary_sls)",
        subtask="all",
        panoramas=False,
        search_within="city",
        without_positives="drop",
        published=official,
    )
    subtasks = (
        Protocol(
            f"{name}@{subtask}",
            f"as {rules}, with subtask {subtask}",
            subtask=subtask,
            panoramas=False,
            search_within="city",
            without_positives="drop",
        )
        for subtask in SUBTASKS
        if subtask != "all"
    )
    return (
        task_all,
        Protocol(
            f"{name}@all",
            "all photos but panoramas, all cities together, right within 25 m; all queries count "
            "(VPR-datasets-downloader)",
            panoramas=False,
            published=everything,
        ),
        *subtasks,
    )


def _svox(condition: str, queries: int) -> Benchmark:
    name = f"svox_{condition}" if condition else "svox"
    return Benchmark(
        name,
        f"SVOX {condition or 'without a condition'} (Berton et al. 2021; Oxford, gallery shared by all its sets)",
        _at(f"queries_{condition}" if condition else "queries"),
        (_within(name),),
        (17_166, queries),
        access=_DOWNLOADER,
    )


def _sf_xl(kind: str, queries: int) -> Benchmark:
    return Benchmark(
        f"sf_xl_{kind}",
        f"San Francisco eXtra Large, test {kind} (Berton et al. 2022; database shared by all its sets)",
        _at(f"queries_{kind}", "processed/test"),
        (_within(f"sf_xl_{kind}"),),
        (2_805_840, queries),
        access="on request from the authors of CosPlace (form on the project page), by rsync",
    )


BENCHMARKS = (
    Benchmark(
        "msls_val",
        "Mapillary Street-Level Sequences, validation: Copenhagen and San Francisco (Warburg et al. 2020)",
        (("train_val", partial(read_msls, cities=VAL_CITIES)), *_at(split="val")),
        _msls_protocols(
            "msls_val",
            "official",
            # Of the queries listed 499 are in Copenhagen and 248 in San Francisco; 498 and 242 have a positive.
            PublishedCounts(18_871, 747, 740),
            PublishedCounts(18_871, 11_084, exact=False),  # as users of VPR-datasets-downloader count it
        ),
        access=_MAPILLARY,
        split="val",
    ),
    Benchmark(
        "msls_test",
        "Mapillary Street-Level Sequences, test, the former challenge: six cities; ground truth public since 2026",
        (("test", partial(read_msls, cities=TEST_CITIES, split="test")),),
        _msls_protocols("msls_test", "city", PublishedCounts(36_565, 1135)),  # as in the lists of salad
        access=_MAPILLARY,
    ),
    _pittsburgh("30k", "test", (10_000, 6816), counted=True),
    _pittsburgh("30k", "val", (10_000, 7608), counted=True),
    _pittsburgh("30k", "train", (10_000, 7416), counted=False),
    _pittsburgh("250k", "test", (83_952, 8280), counted=False),
    _pittsburgh("250k", "val", (78_648, 7608), counted=False),
    _pittsburgh("250k", "train", (91_464, 7824), counted=False),
    Benchmark(
        "tokyo247",
        "Tokyo 24/7 (Torii et al. 2015), queries of subset v2: day, sunset, night",
        (
            ("tokyo247.mat", _tokyo247),
            ("datasets/tokyo247.mat", _tokyo247),
            ("meta.json", read_openibl),
            *_at(),
        ),
        (
            _within("tokyo247"),
            Protocol(
                "tokyo247@short480",
                "right within 25 m; queries resized to 480 px on their shorter side (VPR-datasets-downloader)",
                query_short_side=480,
            ),
            Protocol(
                "tokyo247@nms",
                "right within 25 m; queries resized to 640 px on their shorter side, the best view of each panorama "
                "alone counts (Torii et al. 2015; OpenIBL)",
                query_short_side=640,
                one_per="panorama",
            ),
            Protocol(
                "tokyo247@nms_fixed",
                "right within 25 m; queries in the model's own size as the database is, the best view of each panorama "
                "alone counts (Relja/netvlad issue 37, with models of 480 x 640)",
                one_per="panorama",
            ),
        ),
        (75_984, 315),
        access=_BY_MAIL,
    ),
    _tokyo_tm("val", "validation"),
    _tokyo_tm("train", "training"),
    _sf_xl("v1", 1000),
    _sf_xl("v2", 598),
    _sf_xl("night", 466),
    _sf_xl("occlusion", 76),
    _svox("", 14_278),
    _svox("night", 823),
    _svox("overcast", 872),
    _svox("rain", 937),
    _svox("snow", 870),
    _svox("sun", 854),
    Benchmark(
        "nordland",
        "Nordland, all frames: summer database, winter queries (form of VPR-datasets-downloader)",
        tuple((place, partial(read_nordland, form="vpr_datasets_downloader")) for place, _ in _at()),
        (Protocol("nordland@10f", "right within 10 frames; all queries count", positives="frames", reach=10),),
        (27_592, 27_592),
        counted=True,
        access=_DOWNLOADER,
    ),
    Benchmark(
        "nordland_vprbench",
        "Nordland, winter database, every tenth summer frame as query (form of VPR-Bench and gsv-cities)",
        (("ref", partial(read_nordland, form="vpr_bench", listed=False)),),
        (
            Protocol(
                "nordland@vprbench", "right within 1 frame of ten times the query's number", positives="frames", reach=1
            ),
        ),
        (27_592, 2760),
        counted=True,
        access=_VPR_BENCH,
    ),
    Benchmark(
        "nordland_unizar",
        "Nordland, test of the partition by Olid et al. 2018 (SelaVPR's form): summer database, winter queries",
        tuple(
            (f"{inside}winter_images_test", partial(read_nordland, form="unizar"))
            for inside in ("", "test/", "Dataset_images/test/")
        ),
        (Protocol("nordland@unizar", "right within 2 frames", positives="frames", reach=2),),
        (3450, 3450),
        access="the University of Zaragoza's project page of the partition",
    ),
    Benchmark(
        "sped",
        "SPED, test pairs of surveillance cameras over the seasons (Chen et al. 2018; pairs of VPR-Bench)",
        (("ref", partial(read_vpr_bench, same_number=True)),),
        (_pairs("sped"),),
        (607, 607),
        counted=True,
        access=_VPR_BENCH,
    ),
    Benchmark(
        "essex3in1",
        "ESSEX3IN1 (Zaffar et al. 2020; pairs of VPR-Bench)",
        (("ref", partial(read_vpr_bench, same_number=True)),),
        (_pairs("essex3in1"),),
        (210, 210),
        counted=True,
        access=_VPR_BENCH,
    ),
    Benchmark(
        "amstertime",
        "AmsterTime: archive photos as queries, the same views today as database (Yildiz et al. 2022)",
        (("new", read_amstertime),),
        (_pairs("amstertime"),),
        (1231, 1231),
        counted=True,
        access="4TU.ResearchData, freely",
    ),
    Benchmark(
        "st_lucia",
        "St Lucia, first and last drive (Milford and Wyeth 2008; form of VPR-datasets-downloader)",
        _at(),
        (_within("st_lucia"),),
        (1549, 1464),
        access=_DOWNLOADER,
    ),
    Benchmark(
        "eynsham",
        "Eynsham, two laps, grey (Cummins and Newman 2009)",
        (("Images", read_eynsham), ("Eynsham/Images", read_eynsham), *_at()),
        (_within("eynsham"),),
        (23_935, 23_935),
        access="Zenodo 1243106, freely; " + _DOWNLOADER,
    ),
)
