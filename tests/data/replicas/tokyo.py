"""Tokyo 24/7 and Tokyo Time Machine in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import utm
from replicas.dbstruct import fields, write_mat
from replicas.pictures import write_picture

FIRST, SECOND = "aB3-efghijklmnopqrst_v", "Zz0_efghijklmnopqrst-v"  # names of panoramas have 22 characters
EAST, NORTH = 381462.92, 3946411.45
#: 12 views of each of two panoramas, 40 m apart; listed as .jpg while the files are .png.
DATABASE = (
    *((f"03814/381462.92_3946411.45/{FIRST}_012_{degrees:03d}.jpg", EAST, NORTH) for degrees in range(0, 360, 30)),
    *(
        (f"03815/381502.92_3946411.45/{SECOND}_012_{degrees:03d}.jpg", EAST + 40, NORTH)
        for degrees in range(0, 360, 30)
    ),
)
#: One place by day, at sunset and by night, 10 m from the first panorama and 30 m from the second.
QUERIES = tuple((f"{number:05d}.jpg", EAST + 10, NORTH) for number in (1, 2, 3))


def write_tokyo247(root: Path, *, tables: bool = True, pictures: bool = True) -> tuple[Path, Path, Path]:
    """The .mat file, the folder of the database and that of the queries, with or without their CSV files.

    The tables put the queries 30 m further east than the .mat file does, so that tests see which of them was read.
    """
    images, queries = root / "tokyo247", root / "247query_subset_v2"
    images.mkdir(parents=True)
    queries.mkdir()
    for name, *_ in DATABASE if pictures else ():
        write_picture(images / name.replace(".jpg", ".png"))
    for (name, east, north), light in zip(QUERIES, "DSN", strict=True):
        if pictures:
            write_picture(queries / name)
        if tables:
            latitude, longitude = utm.to_latlon(east + 30, north, 54, "S")
            line = f"{name},{float(latitude)},{float(longitude)},12.5,iPhone5s,{light}\n"
            (queries / name).with_suffix(".csv").write_text(line)
    return write_mat(root / "datasets" / "tokyo247.mat", fields("test", DATABASE, QUERIES)), images, queries


def tokyo_tm_name(place: str, month: str, panorama: str, degrees: int) -> str:
    return f"00/{place}/y{month}/{panorama}_{degrees:03d}_012.jpg"


TM_DATABASE = (
    (tokyo_tm_name("p1", "200902", FIRST, 0), EAST, NORTH),
    (tokyo_tm_name("p1", "201305", SECOND, 330), EAST, NORTH),
)
TM_QUERIES = ((tokyo_tm_name("p1", "201305", SECOND, 330), EAST, NORTH),)


def write_tokyo_tm(root: Path, split: str = "val") -> tuple[Path, Path]:
    """Time stamps between the other fields: reading these by position goes wrong."""
    for name, *_ in (*TM_DATABASE, *TM_QUERIES):
        write_picture(root / "images" / name)
    plain = fields(split, TM_DATABASE, TM_QUERIES)
    struct = {}
    for field, value in plain.items():
        struct[field] = value
        if field == "utmDb":
            struct["dbTimeStamp"] = np.array([[200902.0, 201305.0]])
        elif field == "utmQ":
            struct["qTimeStamp"] = np.array([[201305.0]])
    return write_mat(root / f"tokyoTM_{split}.mat", struct), root / "images"
