"""``fol train`` on benchmarks in their published form: Pittsburgh in small, learned from and validated on."""

from __future__ import annotations

from pathlib import Path

import pytest
from replicas.dbstruct import fields, write_mat
from replicas.pictures import write_picture

import fol
from fol.cli import main
from fol.cli.configuration import resolve
from fol.cli.train import training_setup
from fol.data import PlaceDataset
from fol.errors import ConfigError
from fol.training.weak_batches import WeakSampling

SPLITS = {"train": 0, "val": 8}  # number of the first panorama
MODEL = ["model=netvlad_nano", "model.image_size=56", "weak.synthetic=[]", "val.synthetic=[]", "weak.mining.neg_pool=5"]


@pytest.fixture(scope="module")
def pittsburgh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight panoramas a split, 100 m apart, one photo each; queries stand 5 m (train) and 20 m (val) from theirs."""
    root = tmp_path_factory.mktemp("pitts30k")
    for split, first in SPLITS.items():
        sides = []
        for folder, shift in (("", 0.0), ("queries_real/", 5.0 if split == "train" else 20.0)):
            photos = [(f"000/{first + i:06d}_pitch1_yaw1.jpg", 584000.0 + 100 * i + shift, 4477000.0) for i in range(8)]
            sides.append(photos)
            for name, *_ in photos:
                write_picture(root / (folder + name))
        write_mat(root / "datasets" / f"pitts30k_{split}.mat", fields(split, *sides))
    return root


def words(root: Path, weak: str | None, val: str | None, *more: str) -> list[str]:
    given = {"weak": weak, "val": val}
    protocols = [f"{group}.protocol={name}" for group, name in given.items() if name is not None]
    return ["experiment=sare_tiny", *MODEL, f"weak.folders=[{root}]", f"val.folders=[{root}]", *protocols, *more]


def setup(arguments: list[str]) -> tuple[WeakSampling, list[PlaceDataset]]:
    config = resolve("train", arguments, {})
    made = training_setup(config, fol.load_model(config.model.name, image_size=config.model.image_size))
    assert isinstance(made.sampler, WeakSampling)
    return made.sampler, list(made.validation)


def test_one_step_on_both_splits_of_one_folder(pittsburgh: Path, tmp_path: Path, one_thread: None) -> None:
    given = words(pittsburgh, "pitts30k_train@25m", "pitts30k_val@25m", "loop.steps=1", "validation.candidates=2")
    assert main(["train", *given, f"out={tmp_path}"]) == 0
    assert (tmp_path / "best.safetensors").is_file()


def test_each_split_goes_where_it_belongs(pittsburgh: Path) -> None:
    sampling, (validation,) = setup(words(pittsburgh, "pitts30k_train@25m", "pitts30k_val@25m"))
    assert (sampling.places.name, sampling.places.database, len(sampling.places.queries)) == ("pitts30k_train", 8, 8)
    assert {image.name for image in sampling.places.images} == {f"{i:06d}_pitch1_yaw1.jpg" for i in range(8)}
    assert validation.protocol == "pitts30k_val@25m"
    assert [query.name for query in validation.queries] == [f"000/{i:06d}_pitch1_yaw1.jpg" for i in range(8, 16)]
    assert [own.tolist() for own in validation.positives or ()] == [[i] for i in range(8)]


@pytest.mark.parametrize(
    ("weak", "val", "message"),
    [
        ("pitts30k_train", "pitts30k_test@25m", "val.protocol=pitts30k_test@25m: a test set"),
        ("pitts30k_test", "pitts30k_val", "weak.protocol=pitts30k_test: a test set"),
        ("pitts30k_train", "tokyo247@nms", "val.protocol=tokyo247@nms: a test set"),
        ("pitts30k_val", "pitts30k_val", "is trained on"),
    ],
)
def test_a_test_set_and_a_split_for_both_are_refused(pittsburgh: Path, weak: str, val: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        setup(words(pittsburgh, weak, val, "weak.radii.positive_radius=25"))


@pytest.mark.parametrize("name", ["netvlad", "netvlad_openibl", "sare_ind", "sare_joint", "sfrs", "densernet_small"])
def test_experiments_of_pittsburgh_validate_on_it(name: str) -> None:
    config = resolve("train", [f"experiment={name}"], {})
    assert (config.weak.protocol, config.val.protocol) == ("pitts30k_train@25m", "pitts30k_val@25m")


@pytest.mark.parametrize("name", ["netvlad_tiny", "sare_tiny", "sfrs_tiny", "densernet_tiny", "smoke"])
def test_others_have_photos_in_the_own_layout(name: str) -> None:
    assert resolve("train", [f"experiment={name}"], {}).val.protocol is None
