"""A map on disk: places, their descriptors behind an index, and their local features, as one folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fol.errors import ConfigError, MapError
from fol.extraction import Skipped
from fol.matching.quantisation import QuantisedLocalFeatures
from fol.reranking import Method, RerankOptions, default_method
from fol.retrieval import calibration, changes, compaction
from fol.retrieval.descriptor_store import as_descriptors
from fol.retrieval.feeds import FeatureFeed, Feed, PhotoFeed
from fol.retrieval.index import IndexOptions
from fol.retrieval.local_options import LocalStoreOptions
from fol.retrieval.manifest import Calibration, Manifest, ModelIdentity
from fol.retrieval.snapshot import Snapshot, verify
from fol.retrieval.two_stage import ranking_key
from fol.types import (
    Candidates,
    Extractor,
    Features,
    LocalFeatures,
    LocalFeaturesBatch,
    Place,
    ProgressCallback,
)

Ids = Sequence[int] | NDArray[np.int64] | Tensor


@dataclass(frozen=True, eq=False)
class BuildReport:
    """What came of building or adding: the map, the photos without features, and where it went on from.

    ``resumed_from`` counts the places that an interrupted run had finished already.
    """

    place_map: PlaceMap
    skipped: tuple[Skipped, ...]
    resumed_from: int


class PlaceMap:
    """A map opened for searching; many threads and processes may share one.

    Opening reads the manifest and the places, neither descriptors nor local features. Place ids are int64,
    given in the order of the list the map was built from (photos that were skipped leave gaps), stable for the life of
    the map and never given twice. ``add`` and ``remove`` change the folder and this object; other objects and
    processes that have the map open go on with the state they opened.
    """

    def __init__(self, path: Path, snapshot: Snapshot) -> None:
        self.path = path
        self._snapshot = snapshot

    # ---- making and opening -------------------------------------------------------------------------------

    @staticmethod
    def build(
        path: str | Path,
        model: Extractor,
        places: Sequence[Place],
        *,
        batch_size: int = 8,
        workers: int = 0,
        index: str | IndexOptions = "auto",
        store_local: bool = True,
        local: LocalStoreOptions | None = None,
        overwrite: bool = False,
        calibrate: bool = True,
        progress: ProgressCallback | None = None,
    ) -> BuildReport:
        """Extract features of all places and write a map.

        The same call after an interruption goes on where it stopped. An existing map is replaced only with
        ``overwrite`` and only when the new one is complete. ``store_local=False`` leaves out the local
        features: such maps answer by descriptors alone; ``local`` says how they are kept otherwise, None as suits the
        model's preset (16 bits for "official", 8 for others). ``calibrate`` measures afterwards what score means
        "in the map" (``fol.retrieval.calibration``) where there are enough places with coordinates.
        Raises ``MapError`` when not one photo can be used, when the disk is too small, or when ``path`` is taken.
        """
        feed = PhotoFeed(model, places, batch_size, workers)
        identity = _identity(model, store_local)
        options = IndexOptions.of(index)
        return _create(path, identity, feed, options, local, overwrite, calibrate, model.device, progress)

    @staticmethod
    def from_features(
        path: str | Path,
        model: Extractor | ModelIdentity,
        items: Iterable[tuple[Place, Features]],
        *,
        total: int | None = None,
        batch_size: int = 256,
        index: str | IndexOptions = "auto",
        store_local: bool = True,
        local: LocalStoreOptions | None = None,
        overwrite: bool = False,
        calibrate: bool = True,
        progress: ProgressCallback | None = None,
    ) -> BuildReport:
        """Like ``build``, from features computed elsewhere; ``items`` in the same order when it is resumed."""
        feed = FeatureFeed(items, batch_size, total)
        identity = _identity(model, store_local)
        return _create(path, identity, feed, IndexOptions.of(index), local, overwrite, calibrate, "cpu", progress)

    @staticmethod
    def open(path: str | Path, model: Extractor | None = None) -> PlaceMap:
        """Open a map; ``model`` given, it must be the one that the map was built with.

        Raises ``MapError`` for what is missing, damaged, unfinished, of a newer format or of another model.
        """
        place_map = PlaceMap(Path(path), Snapshot.open(Path(path)))
        if model is not None:
            place_map.check_model(model)
        return place_map

    def check_model(self, model: Extractor | ModelIdentity) -> None:
        """Raise ``MapError`` unless ``model`` is the one the map was built with."""
        if model.fingerprint != self.fingerprint:
            raise MapError(
                f"map {self.path} was built with {self.manifest.model}, this model is "
                f"{model.name} ({model.fingerprint[:8]}): load that model, or build a map with this one"
            )

    # ---- what it is ---------------------------------------------------------------------------------------

    @property
    def manifest(self) -> Manifest:
        """What the map is made of."""
        return self._snapshot.manifest

    @property
    def name(self) -> str:
        """Name of the map's folder."""
        return self.path.name

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the model the map was built with."""
        return self.manifest.model.fingerprint

    @property
    def has_local_features(self) -> bool:
        """Whether places can be re-ranked."""
        return self.manifest.model.local_dim > 0

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Photos that were given but could not be used, since the map was built."""
        return self.manifest.skipped

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids of all places in the map, ascending."""
        return self._snapshot.table.ids

    def __len__(self) -> int:
        return len(self._snapshot.table)

    def __contains__(self, place_id: object) -> bool:
        return isinstance(place_id, int | np.integer) and bool(np.isin(place_id, self.ids))

    def __repr__(self) -> str:
        return f"PlaceMap({str(self.path)!r}, {len(self)} places, {self.manifest.model})"

    def place(self, place_id: int) -> Place:
        """The place with this id; ``MapError`` when there is none."""
        return self.places([place_id])[0]

    def places(self, ids: Ids) -> list[Place]:
        """Places with these ids, in that order. The images need not exist."""
        snapshot = self._snapshot
        return snapshot.table.at(self._indices(snapshot, ids), snapshot.images_root)

    def positions(self) -> NDArray[np.float64]:
        """Easting and northing ``[N, 2]`` in metres, aligned with ``ids``; NaN where unknown."""
        return self._snapshot.table.positions()

    # ---- searching ----------------------------------------------------------------------------------------

    def search(self, descriptor: Tensor | NDArray[np.floating], k: int, *, exclude: Ids | None = None) -> Candidates:
        """The ``k`` places whose descriptors are closest to ``descriptor [D]``; all there are when they are fewer.

        ``exclude`` are ids of places not to be found. Raises ``MapError`` for a descriptor of another length,
        that is not finite, or not a unit vector.
        """
        return self.search_batch(descriptor.reshape(1, -1), k, exclude=exclude)[0]

    def search_batch(
        self, descriptors: Tensor | NDArray[np.floating], k: int, *, exclude: Ids | None = None
    ) -> list[Candidates]:
        """``search`` for each of ``descriptors [Q, D]``."""
        if k < 1:
            raise ConfigError(f"k={k}: it must be at least 1")
        snapshot = self._snapshot
        queries = as_descriptors(descriptors, self.manifest.model.descriptor_dim)
        banned = snapshot.holes
        if exclude is not None and len(exclude):
            banned = np.union1d(banned, snapshot.table.rows[self._indices(snapshot, exclude)])
        similarities, rows = snapshot.index.search(queries, k, banned)
        ids = snapshot.table.ids[np.searchsorted(snapshot.table.rows, rows)]
        return [Candidates(i, s) for i, s in zip(ids, similarities, strict=True)]

    def local_features(self, ids: Ids) -> LocalFeaturesBatch | QuantisedLocalFeatures:
        """Local features of these places, in that order; of length 0 where the map has none.

        Float32 from maps with 16 bits per component; codes from those with fewer, whose items decode to float32.
        """
        snapshot = self._snapshot
        rows = snapshot.table.rows[self._indices(snapshot, ids)]
        if snapshot.local is None:
            empty = LocalFeatures.empty()
            return LocalFeaturesBatch(empty.descriptors, empty.positions, empty.weights, (0,) * len(rows))
        return snapshot.local.read(rows)

    def descriptors(self, ids: Ids) -> Tensor:
        """Global descriptors ``[N, D]`` of these places, in that order."""
        snapshot = self._snapshot
        rows = snapshot.table.rows[self._indices(snapshot, ids)]
        return torch.from_numpy(snapshot.descriptors.read(rows))

    def _indices(self, snapshot: Snapshot, ids: Ids) -> NDArray[np.int64]:
        wanted = np.asarray(ids, np.int64).reshape(-1)
        known = snapshot.table.ids
        found = np.searchsorted(known, wanted)
        missing = wanted[known[np.minimum(found, len(known) - 1)] != wanted] if len(known) else wanted
        if len(missing):
            raise MapError(f"map {self.path} has no place {missing[0]}: it has {len(known)}, see ids")
        return found

    # ---- changing -----------------------------------------------------------------------------------------

    def add(
        self,
        model: Extractor,
        places: Sequence[Place],
        *,
        batch_size: int = 8,
        workers: int = 0,
        calibrate: bool = True,
        progress: ProgressCallback | None = None,
    ) -> BuildReport:
        """Extract and append more places; the others keep their features and ids. Resumable like ``build``.

        ``calibrate`` measures the confidence again when the map was calibrated and has grown by more than a quarter.
        """
        self.check_model(model)
        return self._extend(PhotoFeed(model, places, batch_size, workers), calibrate, model.device, progress)

    def add_features(
        self,
        model: Extractor | ModelIdentity,
        items: Iterable[tuple[Place, Features]],
        *,
        total: int | None = None,
        batch_size: int = 256,
        calibrate: bool = True,
        progress: ProgressCallback | None = None,
    ) -> BuildReport:
        """Like ``add``, from features computed elsewhere."""
        self.check_model(model)
        return self._extend(FeatureFeed(items, batch_size, total), calibrate, "cpu", progress)

    def _extend(
        self, feed: Feed, calibrate: bool, device: torch.device | str, progress: ProgressCallback | None
    ) -> BuildReport:
        written = changes.extend(self.path, self.manifest.model, feed, progress)
        self._reload()
        known = self.calibration(self._default_method)
        if calibrate and known and calibration.is_stale(known, len(self)):
            self.calibrate(device=device)
        return BuildReport(self, written.skipped, written.resumed_from)

    def remove(self, ids: Ids) -> int:
        """Take places out; gives how many. All or none: an unknown id raises ``MapError`` and changes nothing."""
        count = changes.drop(self.path, np.unique(np.asarray(ids, np.int64)))
        self._reload()
        return count

    def compact(self, progress: ProgressCallback | None = None) -> int:
        """Take the records of removed places out of the files; gives the bytes that became free.

        Ids stay. Needs room for the new files beside the old ones, and takes as long as copying them and building the
        index. Raises ``MapError``, with the map as it was, where that cannot be done.
        """
        freed = compaction.compact(self.path, progress)
        self._reload()
        return freed

    def bytes_per_image(self) -> dict[str, float]:
        """What one image takes on the disk: ``descriptors``, ``local`` features, ``index``; means over the rows."""
        manifest, rows = self.manifest, max(1, self.manifest.rows)
        local = sum(file.bytes for role, file in manifest.files.items() if role.startswith("local"))
        return {
            "descriptors": manifest.files["descriptors"].bytes / rows,
            "local": local / rows,
            "index": sum(file.bytes for file in manifest.index_files) / rows,
        }

    def _reload(self) -> None:
        self._snapshot = Snapshot.open(self.path)

    # ---- trusting -----------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Read every file of the map as it is now and compare checksums; ``MapError`` names the first that differs."""
        verify(self.path)

    def calibration(self, method: Method, options: RerankOptions | None = None) -> Calibration | None:
        """What the trials gave for this way of ranking; None when they were not run."""
        key = ranking_key(self, method, options)
        return next((c for c in self.manifest.calibration if (c.method, c.options) == key), None)

    def calibrate(
        self,
        method: Method | None = None,
        options: RerankOptions | None = None,
        *,
        trials: int = 50,
        candidates: int = 25,
        radius: float = 50.0,
        seed: int = 0,
        device: torch.device | str = "cpu",
        progress: ProgressCallback | None = None,
    ) -> Calibration:
        """Measure and store what scores photos from outside the map reach (``fol.retrieval.calibration``).

        Raises ``MapError`` when fewer than 20 places with coordinates are more than ``radius`` metres apart.
        """
        measured = calibration.measure(
            self,
            method or self._default_method,
            options,
            trials=trials,
            candidates=candidates,
            radius=radius,
            seed=seed,
            device=device,
            progress=progress,
        )
        changes.note(self.path, measured)
        self._reload()
        return measured

    @property
    def _default_method(self) -> Method:
        return default_method(self.manifest.model.preset)


def _identity(model: Extractor | ModelIdentity, store_local: bool) -> ModelIdentity:
    identity = model if isinstance(model, ModelIdentity) else ModelIdentity.of(model)
    return identity if store_local else replace(identity, local_dim=0, max_tokens=0)


def _create(
    path: str | Path,
    identity: ModelIdentity,
    feed: Feed,
    index: IndexOptions,
    local: LocalStoreOptions | None,
    overwrite: bool,
    calibrate: bool,
    device: torch.device | str,
    progress: ProgressCallback | None,
) -> BuildReport:
    local = (local or LocalStoreOptions.of_preset(identity.preset)) if identity.local_dim else None
    written = changes.create(Path(path), identity, index, local, feed, overwrite, progress)
    place_map = PlaceMap.open(path)
    if calibrate and calibration.is_possible(place_map):
        place_map.calibrate(device=device)
    return BuildReport(place_map, written.skipped, written.resumed_from)
