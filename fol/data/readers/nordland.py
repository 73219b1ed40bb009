"""Nordland, one railway line filmed in four seasons, in the three forms whose recalls papers print under one name.

``vpr_datasets_downloader``: 27,592 summer (database) and 27,592 winter photos under ``images/test/``, named
``@0@<2.38 * i>@@@@@<i>@@@@@@@@.jpg``: the field pano_id is the frame, and 25 m of the made-up coordinates are 10 frames
(download_nordland.py). Its "subset" keeps every tenth query and the frame numbers (download_nordland_subset.py).

``vpr_bench``: 27,592 winter photos in ``ref/`` (database), every tenth summer photo in ``query/``; 2,760 queries, right
are frames 10 * i - 1 to 10 * i + 1 (measured on gsv-cities' ``Nordland_gt.npy``). The seasons are the other way round.

``unizar``: the partition of Olid et al. 2018, ``test/<season>_images_test/section<1-3>/<frame>.png``, 3 * 1,150 photos
a season whose frames count on from section to section. Right is within 2 frames, across sections as well, as the
authors' test does (closest frame within 2 of the query's); SelaVPR's "Nordland-test" is its 224-pixel edition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.data.readers.at_layout import read_at_layout
from fol.data.readers.names import place_name
from fol.data.readers.numbered_images import numbered_images
from fol.data.readers.vpr_bench import read_vpr_bench
from fol.errors import ConfigError, DataError
from fol.types import Place

NordlandForm = Literal["vpr_datasets_downloader", "vpr_bench", "unizar"]
Season = Literal["spring", "summer", "fall", "winter"]

_FRAMES_PER_QUERY = 10  # of VPR-Bench
_TEST = ("", "test", "Dataset_images/test")  # where the folders of the seasons are


def read_nordland(
    root: Path,
    form: NordlandForm | None = None,
    *,
    database: Season = "summer",
    queries: Season = "winter",
    ground_truth: Path | None = None,
    listed: bool = True,
) -> PhotoSet:
    """All photos of one form (None: whichever is there), with the metadata ``frame`` that both sides count alike.

    The seasons choose folders of the form ``unizar`` alone: its authors compare any two, and SelaVPR does not say
    which it took. ``ground_truth`` is that of ``vpr_bench``, where it is not in the folder; without it, for the other
    forms, and with ``listed`` False, which looks at no such file, there is no list of positives but the frames.

    Raises ``DataError`` for folders that are missing, photos without a frame number or with one twice, and gaps.
    """
    form = _form(root) if form is None else form
    if form == "vpr_bench":
        return read_vpr_bench(root, ground_truth=ground_truth, frames_per_query=_FRAMES_PER_QUERY, listed=listed)
    if form == "unizar":
        return PhotoSet(root, _season(root, database), _season(root, queries))
    if form not in get_args(NordlandForm):
        raise ConfigError(f"form={form!r} of Nordland is none of {', '.join(get_args(NordlandForm))}")
    photos = read_at_layout(root)
    return PhotoSet(root, _with_frames(photos.database), _with_frames(photos.queries))


def _form(root: Path) -> NordlandForm:
    if (root / "ref").is_dir():
        return "vpr_bench"
    if any((root / inside / f"{season}_images_test").is_dir() for inside in _TEST for season in get_args(Season)):
        return "unizar"
    return "vpr_datasets_downloader"


def _with_frames(places: Sequence[Place]) -> tuple[Place, ...]:
    found = []
    for place in places:
        frame = place.metadata.get("panorama", "")
        if not (frame.isascii() and frame.isdecimal()):
            raise DataError(
                f"{printable(place.image)}: field pano_id is {frame!r}, but must be the frame's number: "
                f"@0@<north>@@@@@<frame>@@@@@@@@.jpg"
            )
        others = {key: value for key, value in place.metadata.items() if key != "panorama"}
        found.append(replace(place, metadata={**others, "frame": str(int(frame))}))
    return tuple(found)


def _season(root: Path, season: Season) -> tuple[Place, ...]:
    if season not in get_args(Season):
        raise ConfigError(f"season {season!r} of Nordland is none of {', '.join(get_args(Season))}")
    name = f"{season}_images_test"
    folder = next((root / inside / name for inside in _TEST if (root / inside / name).is_dir()), None)
    if folder is None:
        raise DataError(f"{printable(root)}: has no folder {name}/, in test/ neither: give the folder that holds test/")
    return tuple(
        Place(place_name(path, folder), path, metadata={"frame": str(frame)})
        for frame, path in numbered_images(folder).items()
    )
