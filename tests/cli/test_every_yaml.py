"""Every YAML below conf/ gives the objects that it stands for; an unknown key in any of them fails by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from fol.benchmarks import SUBJECTS
from fol.cli import VERBS
from fol.cli.configuration import config_folder, plain, resolve
from fol.cli.loading import rerank_settings
from fol.cli.train import read_options
from fol.data.training import AUGMENTATIONS
from fol.errors import ConfigError
from fol.losses import FOL_LOSSES, OFFICIAL_LOSSES
from fol.models import list_models
from fol.models.baselines import BASELINES
from fol.models.fol import PRESETS
from fol.models.zoo import model_card
from fol.reranking import RerankOptions

CONF = config_folder()
#: What a verb cannot do without, on top of its defaults.
NEEDED = {
    "index": ["photos=x", "out=y"],
    "compact": ["map=x"],
    "data": ["action=list"],
    "challenge": ["action=score", "source=x"],
    "report": ["folders=[x]"],
    "locate": ["photos=[x]", "map=y"],
    "evaluate": ["data.root=x"],
    "convert": ["model=x.pth", "out=y"],
    "city": ["out=x"],
}


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def test_no_yaml_is_left_out() -> None:
    known = {"model", "data", "matching", "loss", "ablation", "augmentation", "experiment"}
    assert {path.parent.name for path in CONF.glob("*/*.yaml")} == known
    assert {path.stem for path in CONF.glob("*.yaml")} == {verb.options or name for name, verb in VERBS.items()}


@pytest.mark.parametrize("verb", sorted({verb.options or name for name, verb in VERBS.items()}))
def test_verb(verb: str) -> None:
    config = resolve(verb, NEEDED.get(verb, []), {})
    if verb == "benchmark":
        assert [subject.sizes(config[name]) for name, subject in SUBJECTS.items()]
    elif "matching" in config:
        assert rerank_settings(config.matching) == (None, RerankOptions())
    with pytest.raises(ConfigError, match="no_such_key"):
        resolve(verb, [*NEEDED.get(verb, []), "no_such_key=1"], {})


@pytest.mark.parametrize("name", [n for n in names("model") if n not in ("base", "file", "of_map")])
def test_model(name: str) -> None:
    config = resolve("evaluate", ["data.root=x", f"model={name}"], {})
    assert config.model.name in [*list_models(), *BASELINES]
    if config.model.name in BASELINES:
        return
    card = model_card(config.model.name)
    with torch.device("meta"):
        network = card.architecture.build(config.model.preset or card.preset)
    assert sum(p.numel() for p in network.parameters()) > 2e5
    with pytest.raises(ConfigError, match=r"model\.no_such_key"):
        resolve("evaluate", ["data.root=x", f"model={name}", "model.no_such_key=1"], {})


@pytest.mark.parametrize("name", names("loss"))
def test_loss(name: str) -> None:
    _, losses, _ = read_options(resolve("train", [f"loss={name}"], {}))
    assert losses == {"official": OFFICIAL_LOSSES, "fol": FOL_LOSSES}[name]
    with pytest.raises(ConfigError, match=r"loss\.no_such_key"):
        resolve("train", [f"loss={name}", "loss.no_such_key=1"], {})


@pytest.mark.parametrize("name", names("ablation"))
@pytest.mark.parametrize("form", ["official", "fol"])
def test_ablation_switches_off_what_it_says(name: str, form: str) -> None:
    _, full, _ = read_options(resolve("train", [f"loss={form}"], {}))
    _, losses, _ = read_options(resolve("train", [f"loss={form}", f"ablation={name}"], {}))
    off = {term for term, weight in losses.weights.items() if not weight}
    local = set(full.weights) - {"multi_similarity"}
    expected = {"full": set(), "global_only": local}.get(name, {name.removeprefix("no_")})
    assert off == expected
    assert {t: w for t, w in losses.weights.items() if w} == {t: w for t, w in full.weights.items() if t not in off}


@pytest.mark.parametrize("name", names("augmentation"))
def test_augmentation(name: str) -> None:
    _, _, augmentation = read_options(resolve("train", [f"augmentation={name}"], {}))
    assert augmentation == AUGMENTATIONS[name]


@pytest.mark.parametrize("name", names("experiment"))
def test_experiment(name: str) -> None:
    config = resolve("train", [f"experiment={name}"], {})
    options, losses, _ = read_options(config)
    card = model_card(config.model.name)
    assert (config.model.preset or card.preset) in PRESETS
    assert losses.form in ("official", "fol")
    assert options.optimizer.lr > 0
    assert config.model.image_size is None or config.model.image_size % 14 == 0
    with pytest.raises(ConfigError, match=r"optimizer\.no_such_key"):
        resolve("train", [f"experiment={name}", "optimizer.no_such_key=1"], {})


def test_published_hyper_parameters() -> None:
    options, losses, augmentation = read_options(resolve("train", ["experiment=fol_vitl14"], {}))
    config = plain(resolve("train", ["experiment=fol_vitl14"], {}))
    assert (options.optimizer.name, options.optimizer.lr, options.optimizer.weight_decay) == ("adamw", 6e-5, 9.5e-9)
    assert (options.schedule.name, options.schedule.steps, options.schedule.final) == ("linear", 10_000, 0.1)
    assert (config["batch"]["places"], config["batch"]["images_per_place"]) == (60, 4)
    assert (options.loop.epochs, config["model"]["image_size"], config["places"]["min_images"]) == (8, 322, 4)
    assert losses == OFFICIAL_LOSSES
    assert augmentation == AUGMENTATIONS["none"]


def test_unknown_key_inside_a_yaml_fails_with_its_name(tmp_path: Path) -> None:
    config = resolve("train", [], {})
    OmegaConf.set_struct(config, False)
    config.loss.alignment_options.smoothng = 0.1
    with pytest.raises(ConfigError, match=r"loss\.alignment_options\.smoothng; did you mean smoothing"):
        read_options(config)
