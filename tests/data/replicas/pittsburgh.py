"""Pitts30k in small: two panoramas of the database, one of them with its 24 views; three queries."""

from __future__ import annotations

from pathlib import Path

from replicas.dbstruct import fields, write_mat
from replicas.pictures import write_picture

VIEWS = [f"pitch{pitch}_yaw{yaw}" for pitch in (1, 2) for yaw in range(1, 13)]
DATABASE = (
    *((f"000/000829_{view}.jpg", 584582.31, 4477135.22) for view in VIEWS),
    ("001/001400_pitch1_yaw1.jpg", 584607.31, 4477135.22),  # 25 m further east
)
#: 0, 24.99 and 25 m from the first panorama (all its views); 25, 0.01 and 50 m from the second.
QUERIES = (
    ("000/000097_pitch1_yaw1.jpg", 584582.31, 4477135.22),
    ("000/000097_pitch1_yaw2.jpg", 584607.30, 4477135.22),
    ("000/000546_pitch2_yaw12.jpg", 584557.31, 4477135.22),
)


def write_pittsburgh(root: Path, *, pictures: bool = True) -> Path:
    """``root/datasets/pitts30k_test.mat``, photos in ``root/000`` ... and ``root/queries_real/000``."""
    for name, *_ in DATABASE if pictures else ():
        write_picture(root / name)
    for name, *_ in QUERIES if pictures else ():
        write_picture(root / "queries_real" / name)
    return write_mat(root / "datasets" / "pitts30k_test.mat", fields("test", DATABASE, QUERIES))
