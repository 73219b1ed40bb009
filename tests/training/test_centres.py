"""Where NetVLAD's centres come from: which photos k-means sees, at which size, and what a published file sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from fol.data import load_image
from fol.errors import CheckpointError, ConfigError
from fol.models.aggregation import NetVlad
from fol.models.global_network import GlobalNetwork
from fol.training import TrainingSetup
from fol.training.centres import CentresOptions, set_centres
from fol.training.setup import assemble

MakeSetup = Callable[..., TrainingSetup]


class Photos:
    """Grey ones, that note which were asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> torch.Tensor:
        self.asked.append(number)
        return torch.full((3, 56, 56), 128, dtype=torch.uint8)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was sampled and what was clustered, in place of both: features of 32 values."""
    found: dict[str, Any] = {"photos": [], "samples": set(), "clustered": []}

    def sample(self: GlobalNetwork, images: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        found["photos"].append(images)
        found["samples"].add((count, generator.initial_seed()))
        return torch.zeros(len(images) * count, 32)

    def initialise(self: NetVlad, descriptors: torch.Tensor, seed: int) -> None:
        found["clustered"].append((tuple(descriptors.shape), seed))

    monkeypatch.setattr(GlobalNetwork, "sample_features", sample)
    monkeypatch.setattr(NetVlad, "initialise", initialise)
    return found


def test_photos_that_are_looked_at(make_weak: MakeSetup, seen: dict[str, Any]) -> None:
    """500, of each 100 locations; database and all by the same rule, the seed decides which."""
    model = make_weak().model

    def asked(source: str, seed: int) -> list[int]:
        photos = Photos(900)
        set_centres(CentresOptions(source), model, photos, 600, seed)  # type: ignore[arg-type]
        assert len(photos.asked) == len(set(photos.asked)) == 500
        assert seen["samples"] == {(100, seed)} and seen["clustered"] == [((50_000, 32), seed)]
        seen["samples"].clear(), seen["clustered"].clear()
        return photos.asked

    database, every = asked("database", 43), asked("all", 43)
    assert max(database) < 600 <= max(every) < 900
    # 500 of 900 leave out a third of the database, and as many queries
    assert 130 < sum(number >= 600 for number in every) < 200
    assert asked("all", 43) == every and asked("all", 44) != every
    assert asked("database", 43) == database and asked("database", 44) != database


def test_a_run_gives_its_database_and_its_seed(make_weak: MakeSetup, tmp_path: Path, seen: dict[str, Any]) -> None:
    """24 photos of the database and 12 queries, fewer than are asked for."""
    for source, photos in (("database", 24), ("all", 36)):
        assemble(make_weak(setup={"centres": CentresOptions(source)}), tmp_path)
        assert seen["samples"] == {(100, 3)} and seen["clustered"].pop() == ((100 * photos, 32), 3)


def test_photos_at_a_size_of_their_own(make_weak: MakeSetup, seen: dict[str, Any]) -> None:
    setup = make_weak()
    assert setup.model.card.preprocessing.image_size == (56, 56)
    set_centres(CentresOptions("database", (70, 84)), setup.model, setup.images, 1, 0)
    (photo,) = seen["photos"]
    preprocessing = replace(setup.model.card.preprocessing, image_size=(70, 84))
    torch.testing.assert_close(photo[0], preprocessing(load_image(setup.images.places.images[0])))
    set_centres(CentresOptions("database", (56, 56)), setup.model, setup.images, 1, 0)
    assert seen["photos"][1].shape == (1, 3, 56, 56)


def write_centres(path: Path, clusters: int, dim: int) -> np.ndarray[Any, Any]:
    """Centres along the axes, half as long; features on them, and so cosines of 1 and 0."""
    with h5py.File(path, "w") as file:
        file["centroids"] = np.eye(clusters, dim, dtype=np.float32) / 2
        file["descriptors"] = np.eye(clusters, dim, dtype=np.float32)
    return np.eye(clusters, dim, dtype=np.float32)


def test_published_centres(make_weak: MakeSetup, tmp_path: Path) -> None:
    path = tmp_path / "vgg16_pitts_4_desc_cen.hdf5"
    axes = write_centres(path, 4, 32)
    setup = make_weak(backbone="vgg", setup={"centres": CentresOptions(str(path))})
    assemble(setup, tmp_path)
    aggregation = setup.model.network.aggregation
    assert isinstance(aggregation, NetVlad)
    np.testing.assert_array_equal(aggregation.centroids.detach().numpy(), axes / 2)
    np.testing.assert_allclose(aggregation.conv.weight.detach().numpy()[:, :, 0, 0], np.log(100) * axes, rtol=1e-6)


def test_what_decides_is_the_content_of_a_file(tmp_path: Path) -> None:
    first, copy, other = (tmp_path / name for name in ("a.hdf5", "b.hdf5", "c.hdf5"))
    write_centres(first, 4, 32)
    copy.write_bytes(first.read_bytes())
    write_centres(other, 4, 16)
    identity = CentresOptions(str(first), (70, 84)).identity()  # the size is of k-means
    assert identity == CentresOptions(str(copy)).identity() != CentresOptions(str(other)).identity()
    assert CentresOptions("all").identity() != CentresOptions("all", (70, 84)).identity()


@pytest.mark.parametrize(
    ("backbone", "centres", "message"),
    [
        ("vgg", "databse", "weak.centres=databse: no such file; give all, database, a file or null"),
        ("vgg", "wide.hdf5", "wide.hdf5: 4 centres of 33 values, but small_netvlad has 4 of 32"),
        ("vgg", "many.hdf5", "many.hdf5: 5 centres of 32 values, but small_netvlad has 4 of 32"),
        ("transformer", "many.hdf5", "small_netvlad has a projection, of which the file knows nothing"),
        ("fol", "all", "weak.centres=all: small has no NetVLAD"),
    ],
)
def test_centres_that_do_not_fit(
    make_weak: MakeSetup,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backbone: str,
    centres: str,
    message: str,
) -> None:
    write_centres(tmp_path / "wide.hdf5", 4, 33)
    write_centres(tmp_path / "many.hdf5", 5, 32)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, CheckpointError)) as error:
        make_weak(backbone=backbone, setup={"centres": CentresOptions(centres)}).check()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_sizes_and_places_that_do_not_fit(make_weak: MakeSetup, make_setup: MakeSetup) -> None:
    with pytest.raises(ConfigError, match="60"):
        make_weak(setup={"centres": CentresOptions("all", (60, 84))}).check()
    with pytest.raises(ConfigError, match=r"weak\.centres=database: places have no database"):
        make_setup(setup={"model": make_weak().model, "centres": CentresOptions("database")}).check()
