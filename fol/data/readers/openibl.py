"""OpenIBL's own description of Pittsburgh and Tokyo 24/7, which it writes on its first run.

    <root>/meta_30k.json      {"name": "Pittsburgh_30k", "identities": [[file, ...], ...], "utm": [[east, north], ...]}
    <root>/splits_30k.json    {"q_train": [identity, ...], "db_train": ..., "q_val": ..., "db_val": ..., "q_test": ...}
    <root>/raw/<file>

Pittsburgh has ``_30k`` and ``_250k`` of both, Tokyo neither suffix. An identity is one panorama (of Pittsburgh all
its views, of Tokyo's queries all photos of one spot). Photos are sorted by file, positives are those within 25 m
(OpenIBL: ibl/datasets/pitts.py, ibl/datasets/tokyo.py, ibl/utils/data/dataset.py).
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from fol.data.coordinates import position_from_utm
from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.data.readers.listed_images import ListedImages
from fol.data.readers.names import utf8_name
from fol.errors import ConfigError, DataError
from fol.types import Place, Position

SPLITS = ("train", "val", "test")
_ZONES = {"Pittsburgh": "17T", "Tokyo": "54S"}


def read_openibl(root: Path, split: str = "test", scale: str | None = None) -> PhotoSet:
    """Photos of one split, named as in the file (relative to ``raw/``), sorted by that.

    ``scale`` is ``30k`` or ``250k`` for Pittsburgh; None takes the one that is there. The metadata ``panorama`` is the
    number of the identity. Positions are in the UTM zone of the city that ``name`` says, in a local frame for others.
    Raises ``DataError`` naming file and key for what is missing or of the wrong kind, and for an identity that is not
    there.
    """
    if split not in SPLITS:
        raise ConfigError(f"split={split!r} of OpenIBL is none of {', '.join(SPLITS)}")
    suffix = _suffix(root, scale)
    meta_path, splits_path = root / f"meta{suffix}.json", root / f"splits{suffix}.json"
    meta, splits = _read(meta_path), _read(splits_path)
    identities, utm = _list(meta_path, meta, "identities"), _list(meta_path, meta, "utm")
    if len(identities) != len(utm):
        raise DataError(f"{printable(meta_path)}: has {len(identities)} identities, but {len(utm)} utm positions")
    zone = _ZONES.get(str(meta.get("name", "")).partition("_")[0])
    images = ListedImages(root / "raw")
    sides = []
    for side in ("db", "q"):
        key = f"{side}_{split}"
        files: list[tuple[str, int]] = []
        for number in _list(splits_path, splits, key):
            if type(number) is not int or not 0 <= number < len(identities):
                raise DataError(
                    f"{printable(splits_path)} key {key}: {str(number)[:40]!r} is no identity: "
                    f"{printable(meta_path.name)} has 0 to {len(identities) - 1}"
                )
            files += [(file, number) for file in _files(meta_path, identities[number], number)]
        positions = {number: _position(meta_path, utm[number], number, zone) for _, number in files}
        sides.append(
            tuple(
                Place(utf8_name(f), images.path(f, meta_path), positions[i], metadata={"panorama": str(i)})
                for f, i in sorted(files)
            )
        )
        _check(splits_path, key, sides[-1])
    return PhotoSet(root, sides[0], sides[1])


def _suffix(root: Path, scale: str | None) -> str:
    if scale is not None:
        return f"_{scale}"
    if not root.is_dir():
        raise DataError(f"{printable(root)}: no such folder")
    found = sorted(path.stem.removeprefix("meta") for path in root.glob("meta*.json"))
    if len(found) != 1:
        what = (
            f"has {', '.join(f'meta{suffix}.json' for suffix in found)}: say which scale"
            if found
            else ("has no meta.json, meta_30k.json or meta_250k.json: OpenIBL writes it on its first run")
        )
        raise DataError(f"{printable(root)}: {printable(what)}")
    return found[0]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{printable(path)}: is not JSON ({printable(str(error))})") from error
    if not isinstance(document, dict):
        raise DataError(f"{printable(path)}: must hold an object with keys, not {type(document).__name__}")
    return document


def _list(path: Path, document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        there = printable(", ".join(document)) or "none"
        raise DataError(f"{printable(path)}: key {key} must be a list (keys that are there: {there[:200]})")
    return value


def _files(path: Path, files: Any, number: int) -> list[str]:
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise DataError(f"{printable(path)} key identities: number {number} is no list of file names")
    return files


def _position(path: Path, utm: Any, number: int, zone: str | None) -> Position:
    try:
        east, north = (float(value) for value in utm)
        return position_from_utm(east, north, zone)
    except (TypeError, ValueError, DataError) as error:
        raise DataError(
            f"{printable(path)} key utm: number {number}, {str(utm)[:60]!r}, is no pair of UTM metres ({error})"
        ) from error


def _check(path: Path, key: str, places: tuple[Place, ...]) -> None:
    if not places:
        raise DataError(f"{printable(path)}: key {key} has no photos")
    for before, after in pairwise(places):
        if before.name == after.name:
            raise DataError(f"{printable(path)} key {key}: {printable(after.name)} is there twice")
