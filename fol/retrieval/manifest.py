"""``manifest.json``: what a map is made of. Replacing this one file is what commits every change of a map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fol.errors import ConfigError, MapError
from fol.extraction import Skipped
from fol.files import write_atomically
from fol.retrieval.index import IndexDescription
from fol.retrieval.local_options import LocalStoreOptions
from fol.types import Extractor

FORMAT_VERSION = 2
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ModelIdentity:
    """Which model made the features of a map, and their sizes.

    People who compute features elsewhere fill it by hand: ``fingerprint`` is any string that differs between
    models whose features must not be mixed; ``local_dim`` and ``max_tokens`` are 0 without local features;
    ``recipe`` says how to load the model again and may stay empty.
    """

    name: str
    fingerprint: str
    preset: str
    descriptor_dim: int
    local_dim: int
    max_tokens: int
    recipe: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @staticmethod
    def of(model: Extractor) -> ModelIdentity:
        """Identity of a loaded model."""
        return ModelIdentity(
            model.name,
            model.fingerprint,
            model.preset,
            model.descriptor_dim,
            model.local_dim,
            model.max_tokens if model.local_dim else 0,
            dict(model.recipe),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint[:8]})"


@dataclass(frozen=True)
class MapFile:
    """A file of the map: its first ``bytes`` bytes have the CRC-32 ``crc32``; appended ones may be longer."""

    name: str
    bytes: int
    crc32: int


@dataclass(frozen=True)
class Calibration:
    """Scores that photos from outside the map reach, for one way of ranking (``fol.retrieval.calibration``).

    ``scores`` ascending, one per trial; ``method`` and ``options`` name the ranking, ``candidates`` and
    ``places`` the number of places that were re-ranked and that were in the map; ``radius`` in metres.
    """

    method: str
    options: str
    scores: tuple[float, ...]
    candidates: int
    places: int
    radius: float
    seed: int


@dataclass(frozen=True)
class Manifest:
    """Everything that says how the other files are to be read.

    ``local`` says how local features are kept; None where the map has none.
    ``rows`` records were ever written, ``places`` of them are still in the map; ``next_id`` is the first id
    that was never given out. ``images_root`` is the folder that relative image paths start from, and
    ``images_relative`` the same folder as seen from the map, for maps that move together with their photos.
    """

    model: ModelIdentity
    index: IndexDescription
    generation: int
    places: int
    rows: int
    next_id: int
    files: Mapping[str, MapFile]
    images_root: str
    images_relative: str
    created: str
    created_by: str
    local: LocalStoreOptions | None = None
    index_files: tuple[MapFile, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    calibration: tuple[Calibration, ...] = field(default=(), repr=False)
    format_version: int = FORMAT_VERSION

    def write(self, folder: Path) -> None:
        """Commit: atomically replace the manifest in ``folder``."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(folder / MANIFEST, text.encode())

    @staticmethod
    def read(folder: Path) -> Manifest:
        """The manifest in ``folder``; ``MapError`` when there is none or it makes no sense."""
        path = folder / MANIFEST
        if not folder.is_dir():
            raise MapError(_no_map(folder))
        try:
            data = json.loads(path.read_bytes())
            found = data["format_version"]
            if found == FORMAT_VERSION:
                return _parse(data)
        except FileNotFoundError as error:
            raise MapError(f"{folder} is not a map (it has no {MANIFEST}): build one with `fol index`") from error
        except OSError as error:
            raise MapError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise MapError(f"{path} is damaged: build the map again, or restore this file from a copy") from error
        raise MapError(
            f"{path} has format version {found}, this fol reads {FORMAT_VERSION}: update fol, or build the map again"
        )


def _no_map(folder: Path) -> str:
    if folder.exists():
        return f"{folder} is a file, not a map: a map is the folder that `fol index` writes"
    if folder.with_name(folder.name + ".partial").is_dir():
        return f"{folder} is not finished: run the same build again and it goes on where it stopped"
    return f"no map at {folder}: check the path, or build one with `fol index`"


def _parse(data: dict[str, Any]) -> Manifest:
    return Manifest(
        model=ModelIdentity(**data["model"]),
        index=IndexDescription.parse(data["index"]),
        generation=int(data["generation"]),
        places=int(data["places"]),
        rows=int(data["rows"]),
        next_id=int(data["next_id"]),
        files={role: _file(entry) for role, entry in data["files"].items()},
        images_root=str(data["images_root"]),
        images_relative=str(data["images_relative"]),
        created=str(data["created"]),
        created_by=str(data["created_by"]),
        local=None if data["local"] is None else LocalStoreOptions(**data["local"]),
        index_files=tuple(_file(entry) for entry in data["index_files"]),
        skipped=tuple(Skipped(**entry) for entry in data["skipped"]),
        calibration=tuple(
            Calibration(**{**entry, "scores": tuple(map(float, entry["scores"]))}) for entry in data["calibration"]
        ),
    )


def _file(entry: dict[str, Any]) -> MapFile:
    file = MapFile(**entry)
    if Path(file.name).name != file.name or file.bytes < 0:  # a manifest must not reach outside its folder
        raise ValueError(file.name)
    return file
