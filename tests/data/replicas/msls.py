"""Mapillary Street-Level Sequences in small: two cities of the validation set and one of the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import utm
from replicas.pictures import write_picture


@dataclass(frozen=True)
class Photo:
    """``east`` and ``north`` in metres from the middle of the city."""

    key: str
    east: float
    north: float = 0.0
    sequence: str = "-s3quence_Key_of_22chars"
    frame: int = 1
    tasks: str = "all"
    night: bool = False
    view: str = "Forward"
    pano: bool = False
    day: str = "2017-06-12"


#: Easting, northing, zone and letter of the middle of each city.
MIDDLE = {
    "cph": (347000.0, 6172500.0, 33, "U"),
    "sf": (551000.0, 4180500.0, 10, "S"),
    "miami": (580000.0, 2850000.0, 17, "R"),
}

#: Positives within 25 m, panoramas and photos outside of the subtask ``all`` left out: q_near has db_0 and db_25 (the
#: latter at 25 m exactly), q_far has none (nearest is 25.01 m), q_pano and q_untasked do not take part.
CPH = {
    "database": (
        Photo("db_0-aaaaaaaaaaaaaaaaaa", 0),
        Photo("db_25_bbbbbbbbbbbbbbbbb", 35, frame=2, view="Sideways"),
        Photo("db_pano-cccccccccccccc", 10, frame=3, pano=True),
        Photo("db_far_dddddddddddddddd", 500, 300, frame=4, night=True, view="Backward"),
    ),
    "query": (
        Photo("q_near-eeeeeeeeeeeeeeee", 10, sequence="other", tasks="all s2w o2n", day="2019-01-03"),
        Photo("q_far-fffffffffffffffff", 500, 325.01, sequence="other", frame=2, night=True),
        Photo("q_pano_gggggggggggggggg", 0, sequence="other", frame=3, pano=True),
        Photo("q_untasked-hhhhhhhhhhhh", 0, sequence="third", frame=7, tasks=""),
    ),
}
#: Searched by itself each query has one positive.
SF = {
    "database": (Photo("sf_db_0-iiiiiiiiiiiiiii", 0), Photo("sf_db_100-jjjjjjjjjjjjj", 100, frame=2)),
    "query": (Photo("sf_q_0-kkkkkkkkkkkkkkkk", 3, 4, tasks="all d2n"), Photo("sf_q_100-llllllllllllll", 100, frame=2)),
}
MIAMI = {
    "database": (Photo("mi_db_0-mmmmmmmmmmmmmmm", 0), Photo("mi_db_60-nnnnnnnnnnnnnn", 60, frame=2)),
    "query": (Photo("mi_q_55-oooooooooooooo", 55, tasks="all w2s"),),
}
_TASKS = ("all", "s2w", "w2s", "o2n", "n2o", "d2n", "n2d")


def write_msls(root: Path, *, test_positions: bool = True, pictures: bool = True) -> Path:
    """``train_val`` with Copenhagen and San Francisco, ``test`` with Miami.

    Without ``test_positions`` the test city is as it was distributed before April 2026.
    """
    write_city(root / "train_val" / "cph", CPH, pictures=pictures)
    write_city(root / "train_val" / "sf", SF, pictures=pictures)
    write_city(root / "test" / "miami", MIAMI, positions=test_positions, pictures=pictures)
    return root


def write_city(
    folder: Path, sides: dict[str, tuple[Photo, ...]], *, positions: bool = True, pictures: bool = True
) -> None:
    for side, photos in sides.items():
        inside = folder / side
        (inside / "images").mkdir(parents=True)
        _write(inside / "seq_info.csv", "key,sequence_key,frame_number", [(p.key, p.sequence, p.frame) for p in photos])
        flags = [(p.key, *(task in p.tasks.split() for task in _TASKS)) for p in photos]
        _write(inside / "subtask_index.csv", f"key,{','.join(_TASKS)}", flags)
        if positions:
            _write_positions(inside, folder.name, photos)
        for photo in photos if pictures else ():
            write_picture(inside / "images" / f"{photo.key}.jpg")


def _write_positions(inside: Path, city: str, photos: Sequence[Photo]) -> None:
    east, north, zone, letter = MIDDLE[city]
    metres = [(east + photo.east, north + photo.north) for photo in photos]
    degrees = [utm.to_latlon(*point, zone, letter) for point in metres]
    _write(
        inside / "postprocessed.csv",
        "key,easting,northing,unique_cluster,control_panel,night,view_direction",
        [(p.key, *point, i, False, p.night, p.view) for i, (p, point) in enumerate(zip(photos, metres, strict=True))],
    )
    _write(
        inside / "raw.csv",
        "key,lon,lat,ca,captured_at,pano",
        [(p.key, float(lon), float(lat), 97.5, p.day, p.pano) for p, (lat, lon) in zip(photos, degrees, strict=True)],
    )


def _write(path: Path, columns: str, rows: Sequence[Sequence[object]]) -> None:
    """As pandas writes a table with its index: the first column has no name."""
    lines = [f",{columns}", *(",".join(map(str, (index, *row))) for index, row in enumerate(rows))]
    path.write_text("\n".join(lines) + "\n")
