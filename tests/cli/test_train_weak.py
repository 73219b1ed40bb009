"""``fol train`` with losses over tuples: the tiny experiments for a few steps, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

import fol
from fol.cli import main
from fol.errors import ConfigError
from fol.models import save_safetensors


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Procedural cities, made once."""
    return tmp_path_factory.mktemp("cities")


#: Small, with its own photos for training and for validation.
WORDS = [
    "weak.synthetic=[{level: easy, places: 16, views: 2, seed: 3, size: 84}]",
    "val.synthetic=[{level: easy, places: 8, seed: 4, size: 84}]",
    *("weak.mining.neg_pool=10", "weak.round=16", "loop.checkpoint_every=2", "validation.candidates=5"),
]


def words(cities: Path, out: Path, *more: str) -> list[str]:
    return ["train", *more, f"synthetic_folder={cities}", f"out={out}"]


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error:")]


@pytest.mark.parametrize(
    ("name", "size", "more"),
    [
        ("netvlad_tiny", 84, ["loop.steps=3"]),
        ("sare_tiny", 84, ["loop.steps=2"]),
        ("sfrs_tiny", 84, ["weak.generations=[1,1]", "weak.tuples=8", "loop.steps=5"]),
        ("densernet_tiny", 64, ["loop.steps=2"]),
    ],
)
def test_tiny_experiments(
    cities: Path, tmp_path: Path, one_thread: None, name: str, size: int, more: list[str]
) -> None:
    assert main(words(cities, tmp_path, f"experiment={name}", *WORDS, f"model.image_size={size}", *more)) == 0
    model = fol.load_model(tmp_path / "best.safetensors")
    assert model.card.preprocessing.image_size == (size, size)
    assert not (tmp_path / "mining.f32").exists()


@pytest.mark.parametrize(
    ("model", "centres", "told"),
    [
        ("netvlad_nano", "null", 1),
        ("netvlad_nano", "all", 0),
        ("of_file", "null", 0),
        ("fol_tiny_untrained", "null", 0),
    ],
)
def test_random_centres_are_told(
    cities: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    model: str,
    centres: str,
    told: int,
) -> None:
    """In one line, before the run begins: of a model of the zoo that nobody trained, but not of a file."""

    def begin(*_: object, **__: object) -> None:
        raise ConfigError("the run would begin")

    monkeypatch.setattr("fol.cli.train.train", begin)
    if model == "of_file":
        untrained = fol.load_model("netvlad_nano")
        model = str(tmp_path / "trained.safetensors")
        save_safetensors(untrained.card, untrained.network, Path(model))
    given = [f"model={model}", "model.image_size=84", f"weak.centres={centres}"]
    assert main(words(cities, tmp_path / "run", "experiment=sare_tiny", *WORDS, *given)) == 1
    found = capsys.readouterr().err.splitlines()
    assert "error: the run would begin" in found
    lines = [line for line in found if "random centres" in line]
    assert len(lines) == told and all("set weak.centres=all" in line for line in lines)


def test_salad_learns_from_places(cities: Path, tmp_path: Path, one_thread: None) -> None:
    small = ["places.synthetic=[{level: easy, places: 8, views: 4, size: 84}]", WORDS[1], "batch.places=4"]
    sizes = ["model.image_size=126", "loop.steps=2"]
    assert main(words(cities, tmp_path, "experiment=salad_tiny", *small, *sizes)) == 0
    assert fol.load_model(tmp_path / "last.safetensors").descriptor_dim == 8448


def test_tuples_of_labelled_places(
    cities: Path, tmp_path: Path, one_thread: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A set of places, of which some are held out, beside a city of queries and a database."""
    from fol.data.synthetic import make_city_level

    folder = make_city_level(tmp_path / "city", "easy", "train", 20, 6, 84, views=4)
    given = [f"places.folders=[{folder}]", "places.held_out=0.2", "model.image_size=84", "loop.steps=2"]
    assert main(words(cities, tmp_path / "run", "experiment=sare_tiny", *WORDS, *given)) == 0
    # 2 x 16 photos of the city on each side, and of 16 places 2 queries and 2 of the database.
    assert "64 database, 64 queries, 0 dropped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["loss=fol"], "weak.synthetic is given, but this loss learns from places: set weak.synthetic=[]"),
        (["weak.synthetic=[]"], "nothing to learn from: give weak.folders=[FOLDER]"),
        (["batch.workers=2"], "batch.workers=2: tuples are mined while the run goes on"),
        (["loss=sfrs"], "weak.mining.pos_num=0: SFRS learns from difficult positives"),
        (["loss=sfrs", "weak.mining.pos_num=2"], "weak.generations=[]: give the epochs of each generation"),
        (
            ["loss=sfrs", "weak.mining.pos_num=2", "weak.generations=[1,1]", "loss.teacher_temperatures=[0.07]"],
            "loss.teacher_temperatures has 1 values for 2 generations",
        ),
        (["weak.generations=[1,1]"], "weak.generations=[1, 1]: only SFRS has generations"),
        (["validation.monitor=reranked"], "validation.monitor=reranked: netvlad_nano has one stage alone"),
        (["model=salad_tiny_untrained"], "weak.centres=all: salad_tiny_untrained has no NetVLAD"),
        (["weak.centres=databse"], "weak.centres=databse: no such file; give all, database, a file or null"),
        (["weak.centres_size=[84]"], "weak.centres_size=[84]: that is not a list of 2 or null"),
        (["weak.tuples=0"], "weak.tuples=0: it must be at least 1"),
        (["weak.mining.neg_pool=1"], "mining.neg_pool=1: must be at least neg_num=5"),
        (["weak.radii.exclusion_radius=5"], "exclusion_radius=5 is below positive_radius=10"),
        (["weak.protocol=pitts30k_trian@25m", "weak.folders=[x]"], "pitts30k_train@25m"),
        (["val.synthetic=[{level: easy, places: 16, views: 2, seed: 3, size: 84}]"], "is trained on: take another"),
        (["loss.tau=0"], "tau=0"),
        (["train_from=conv5"], "train_from=conv5: netvlad_nano has no VGG16"),
    ],
)
def test_mistakes_get_one_line(
    cities: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main(words(cities, tmp_path / "run", "experiment=sare_tiny", *WORDS, "model.image_size=84", *more)) == 1
    found = errors(capsys.readouterr().err)
    assert len(found) == 1 and message in found[0], found
    assert not (tmp_path / "run").exists()  # nothing was begun


def test_photos_of_a_folder_under_another_name_are_known(
    cities: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fol.data.synthetic import make_city_level

    folder = make_city_level(tmp_path / "city", "easy", "val", 8, 5, 84, views=2)
    (tmp_path / "link").symlink_to(folder)
    given = [f"weak.folders=[{folder}]", "weak.synthetic=[]", f"val.folders=[{tmp_path / 'link'}]", "val.synthetic=[]"]
    assert main(words(cities, tmp_path / "run", "experiment=sare_tiny", "model.image_size=84", *given)) == 1
    assert "of the validation set link is trained on" in capsys.readouterr().err
