"""Every YAML below conf/ gives the objects that it stands for; an unknown key in any of them fails by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from fol.benchmarks import SUBJECTS
from fol.cli import VERBS
from fol.cli.configuration import config_folder, plain, resolve
from fol.cli.loading import rerank_settings
from fol.cli.objects import build
from fol.cli.train import read_options
from fol.cli.training_settings import PlacesSettings, ValidationSets, WeakSettings
from fol.data.catalogue import PROTOCOLS
from fol.data.training import AUGMENTATIONS, AugmentationOptions
from fol.data.training.augmentation_options import Change
from fol.errors import ConfigError
from fol.losses import FOL_LOSSES, OFFICIAL_LOSSES, FoLLossOptions, MultiSimilarityOptions
from fol.losses.weak_options import WEAK_LOSSES, InBatchLossOptions, RegionLossOptions, WeakLossOptions
from fol.models import list_models
from fol.models.baselines import BASELINES
from fol.models.fol import PRESETS
from fol.models.zoo import model_card
from fol.reranking import RerankOptions
from fol.training.weak_batches import WeakSampling

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
    "whiten": ["model=x.pth", "out=y"],
    "city": ["out=x"],
}

#: What each YAML of the group ``loss`` stands for.
LOSSES = {
    "official": OFFICIAL_LOSSES,
    "fol": FOL_LOSSES,
    "multi_similarity": MultiSimilarityOptions(),
    # the triplet has no temperature
    "weak_triplet": replace(WEAK_LOSSES["netvlad"], tau=1.0),
    "weak_triplet_openibl": replace(WEAK_LOSSES["netvlad_openibl"], tau=1.0),
    "sfrs": RegionLossOptions(),
    "sare_inbatch": InBatchLossOptions(),
    **{name: losses for name, losses in WEAK_LOSSES.items() if name.startswith("sare")},
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
    assert losses == LOSSES[name]
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
    assert options.optimizer.lr > 0
    size = config.model.image_size or card.preprocessing.image_size
    card.architecture.backbone.check_image_size((size, size) if isinstance(size, int) else tuple(size))
    weak = build(WeakSettings, plain(config)["weak"], "weak")
    places = build(PlacesSettings, plain(config)["places"], "places")
    assert bool(weak.generations) == isinstance(losses, RegionLossOptions) == bool(weak.mining.pos_num)
    assert len(weak.generations) <= len(getattr(losses, "teacher_temperatures", ()))
    if isinstance(losses, WeakLossOptions | RegionLossOptions):
        WeakSampling(None, weak.mining, weak.tuples, weak.round).check()
        weak.radii.check()
        assert weak.protocol in PROTOCOLS or weak.synthetic
        assert not places.synthetic
        if weak.mining.violating_only:
            assert (weak.mining.margin, weak.mining.squared) == (losses.margin, losses.squared)
        assert not {city.seed for city in weak.synthetic} & {
            city.seed for city in build(ValidationSets, plain(config)["val"], "val").synthetic
        }
    if not isinstance(losses, FoLLossOptions):
        assert options.validation.monitor == ("reranked" if card.architecture.kind == "fol" else "global")
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


@pytest.mark.parametrize(
    ("name", "epochs", "tuples", "negatives", "violating", "image_size"),
    [
        ("netvlad", 30, 4, 10, True, None),
        ("netvlad_openibl", 5, 4, 10, False, None),
        ("sare_ind", 30, 4, 10, False, None),
        ("sare_joint", 30, 4, 10, False, None),
        ("sare_ind_openibl", 5, 4, 10, False, None),
        ("sare_joint_openibl", 5, 4, 10, False, None),
        ("sfrs", 5, 4, 10, False, None),
        ("densernet_small", 10, 4, 4, False, 128),
        ("densernet_middle", 10, 4, 4, False, 128),
        ("densernet_large", 10, 4, 4, False, 128),
    ],
)
def test_published_hyper_parameters_of_weak_supervision(
    name: str, epochs: int, tuples: int, negatives: int, violating: bool, image_size: int | None
) -> None:
    config = resolve("train", [f"experiment={name}"], {})
    options, losses, augmentation = read_options(config)
    weak = build(WeakSettings, plain(config)["weak"], "weak")
    optimizer, schedule = options.optimizer, options.schedule
    assert (optimizer.name, optimizer.lr, optimizer.betas[0], optimizer.weight_decay) == ("sgd", 1e-3, 0.9, 1e-3)
    assert not optimizer.decay_matrices_only and optimizer.clip_norm is None
    # halved every 5 epochs of Pitts30k's 7,320 training queries
    assert (schedule.name, schedule.final, schedule.epochs) == ("step", 0.5, 5)
    assert schedule.resolved(7320 // tuples, 1).steps == 5 * 7320 // tuples
    assert weak.round_doubles_every == 5
    assert (options.validation.at_start, options.validation.best_by) == (True, 5)
    assert options.guard.min_first_recall == (None if name.startswith("densernet") else 70)
    assert (options.loop.epochs, weak.tuples) == (epochs, tuples)
    assert (weak.mining.neg_num, weak.mining.neg_pool) == (negatives, 1000)
    assert (weak.mining.violating_only, weak.round, weak.protocol) == (violating, 1000, "pitts30k_train@25m")
    assert (weak.radii.positive_radius, weak.radii.exclusion_radius, weak.radii.gps_noise) == (10.0, 25.0, 0.0)
    assert config.model.image_size == image_size
    assert model_card(config.model.name).preprocessing.image_size == (480, 640)
    original = name in (
        "netvlad",
        "sare_ind",
        "sare_joint",
    )  # the MATLAB codes; the rest are OpenIBL's and what is made from it
    assert (weak.centres, weak.radii.least_distance) == (("database", 1.0) if original else ("all", 0.0))
    assert weak.centres_size == ((480, 640) if name.startswith("densernet") else None)
    assert config.train_from == (None if name.startswith("densernet") else "conv5")
    assert weak.generations == ((1, 5, 5, 5) if name == "sfrs" else ())
    assert options.seed == 43
    jitter = AugmentationOptions(
        brightness=Change(1.0, 0.7), contrast=Change(1.0, 0.7), saturation=Change(1.0, 0.7), hue=Change(1.0, 0.5)
    )
    of_openibl = "openibl" in name or name.startswith(("sfrs", "densernet"))
    assert augmentation == (jitter if of_openibl else AugmentationOptions())
    if name.startswith("densernet"):
        assert losses == WeakLossOptions("sare_joint", form="d2", tau=1.0, reduction="mean_queries")
    else:
        assert losses == LOSSES[name.replace("netvlad", "weak_triplet")]
    if name == "sfrs":
        assert (weak.mining.pos_num, weak.mining.pos_pool) == (10, 20)
        assert (weak.mining.k1, weak.mining.jaccard_lambda) == (20, 0.1)


def test_published_hyper_parameters_of_whitening() -> None:
    config = resolve("whiten", NEEDED["whiten"], {})
    assert (config.dim, config.images) == (4096, 10_000)


def test_published_hyper_parameters_of_salad() -> None:
    config = resolve("train", ["experiment=salad"], {})
    options, losses, _ = read_options(config)
    assert (options.optimizer.name, options.optimizer.lr, options.optimizer.weight_decay) == ("adamw", 6e-5, 9.5e-9)
    assert (options.schedule.name, options.schedule.final, options.schedule.steps) == ("linear", 0.2, 4000)
    assert (config.batch.places, config.batch.images_per_place, config.model.image_size) == (60, 4, 224)
    assert (options.loop.epochs, config.trainable_blocks, config.places.min_images) == (4, 4, 4)
    assert losses == MultiSimilarityOptions(alpha=1.0, beta=50.0, base=0.0, miner_epsilon=0.1)


def test_unknown_key_inside_a_yaml_fails_with_its_name(tmp_path: Path) -> None:
    config = resolve("train", [], {})
    OmegaConf.set_struct(config, False)
    config.loss.alignment_options.smoothng = 0.1
    with pytest.raises(ConfigError, match=r"loss\.alignment_options\.smoothng; did you mean smoothing"):
        read_options(config)
