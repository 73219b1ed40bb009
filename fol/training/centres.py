"""Where NetVLAD's centres come from before the first step, without which training is known not to work."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fol.data.training import PlaceImages
from fol.errors import CheckpointError, ConfigError
from fol.models import PlaceModel
from fol.models.aggregation.centres_file import read_centres
from fol.models.global_network import GlobalNetwork

#: Photos, and locations of each (OpenIBL, examples/cluster.py; Relja/netvlad, getClusters.m).
PHOTOS, LOCATIONS = 500, 100


@dataclass(frozen=True)
class CentresOptions:
    """``source``: ``database``, k-means over photos of the database alone (Relja/netvlad); ``all``, over queries and
    database (OpenIBL); else a file of published centres (``fol.models.aggregation.centres_file``).

    ``image_size`` (height, width) of the photos while k-means looks at them; None: as in training.
    """

    source: str
    image_size: tuple[int, int] | None = None

    @property
    def file(self) -> Path | None:
        """Of published centres, where that is the source."""
        return None if self.source in ("all", "database") else Path(self.source)

    def check(self, model: PlaceModel, database: int | None) -> None:
        """``ConfigError`` or ``CheckpointError`` when they cannot be the centres of ``model``.

        ``database``: how many of the photos are a database's, None where that is not known.
        """
        network = model.network
        if not isinstance(network, GlobalNetwork):
            raise ConfigError(f"weak.centres={self.source}: {model.name} has no NetVLAD to set the centres of")
        if self.image_size is not None:
            model.card.architecture.backbone.check_image_size(self.image_size)
        if self.source == "database" and database is None:
            raise ConfigError("weak.centres=database: places have no database; set weak.centres=all")
        if self.file is None:
            return
        if not self.file.is_file():
            raise ConfigError(f"weak.centres={self.source}: no such file; give all, database, a file or null")
        if network.aggregation.projection is not None:
            raise ConfigError(
                f"weak.centres={self.source}: {model.name} has a projection, of which the file knows nothing; set "
                "weak.centres=all"
            )
        found, wanted = tuple(read_centres(self.file)[0].shape), tuple(network.aggregation.centroids.shape)
        if found != wanted:
            raise CheckpointError(
                f"{self.file}: {found[0]} centres of {found[1]} values, but {model.name} has {wanted[0]} of {wanted[1]}"
            )

    def identity(self) -> dict[str, object]:
        """What decides over the centres, as options by name: of a file, its content."""
        if self.file is None:
            return {"centres": self.source, "centres_size": self.image_size}
        return {"centres": f"sha256:{hashlib.sha256(self.file.read_bytes()).hexdigest()}", "centres_size": None}


def set_centres(
    options: CentresOptions, model: PlaceModel, images: PlaceImages, database: int | None, seed: int
) -> None:
    """Set NetVLAD's centres and assignment; by k-means, from local features that the seed decides.

    The first ``database`` photos are those of the database.
    """
    network = model.network
    assert isinstance(network, GlobalNetwork)
    if options.file is not None:
        network.aggregation.set_centres(*read_centres(options.file))
        return
    count = database if options.source == "database" else len(images)
    assert count is not None
    preprocessing = model.card.preprocessing
    if options.image_size is not None and options.image_size != preprocessing.image_size:
        preprocessing = replace(preprocessing, image_size=options.image_size)
        images = PlaceImages(images.places, preprocessing, on_error=images.on_error)
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in torch.randperm(count, generator=generator)[:PHOTOS].tolist():
        photo = preprocessing.normalise(images[number][None].to(model.device).float().div(255))
        rows.append(network.sample_features(photo, LOCATIONS, generator))
    network.aggregation.initialise(torch.cat(rows), seed)
