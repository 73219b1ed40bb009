from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from fol.cli import VERBS
from fol.cli.configuration import config_folder, plain, resolve
from fol.errors import ConfigError
from fol.models import BASELINES, CARDS, list_models

REQUIRED = {
    "index": ["photos=a", "out=b"],
    "locate": ["photos=[a]", "map=b"],
    "evaluate": ["data=somewhere"],
    "demo": [],
    "models": [],
    "convert": ["model=a.pth", "out=b.safetensors"],
    "whiten": ["model=a.pth", "out=b.safetensors"],
    "city": ["out=a"],
    "compact": ["map=a"],
    "data": ["action=list"],
    "report": ["folders=[a]", "out=b.html"],
    "challenge": ["action=write", "source=a"],
    "benchmark": [],
    "train": [],
    "sweep": [],
}


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_composes_and_has_its_tool(verb):
    options = VERBS[verb].options or verb
    config = resolve(options, REQUIRED[verb], VERBS[verb].positional)
    assert plain(config)
    assert (config_folder().parent / "tools" / f"{verb}.py").is_file()
    header = (config_folder() / f"{options}.yaml").read_text().splitlines()[0]
    assert header.startswith("# ") and f"fol {options}" in header


@pytest.mark.parametrize("path", sorted(config_folder().rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_yaml_says_what_it_is_or_is_a_named_model(path: Path):
    content = OmegaConf.load(path)
    if path.parent.name == "model" and path.stem not in ("base", "file", "of_map"):
        assert content.name == path.stem in {*CARDS, *BASELINES}
        config = resolve("index", ["photos=a", "out=b", f"model={path.stem}"], {})
        assert config.model.name == path.stem and config.model.device == "auto"
    else:
        assert path.read_text().startswith("# ")


def test_every_named_model_has_its_yaml():
    assert {p.stem for p in (config_folder() / "model").iterdir()} >= set(list_models())


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1).filter(
        lambda t: t.strip() not in ("", "null") and not t.startswith("--")
    )
)
def test_paths_are_taken_literally(name):
    config = resolve("locate", ["--map", name, "--photos", "x", f"--picture={name}"], {})
    assert config.map == name and config.picture == name
    config = resolve("evaluate", [f"data={name}", "--model", f"{name}.pth"], {})
    assert config.data.root == name and config.model.name == f"{name}.pth"


def test_positional_arguments_and_flags():
    config = resolve("locate", ["a b.jpg", "--map", "city.fol", "é=1.jpg", "--top-k", "3"], {"photos": True})
    assert list(config.photos) == ["a b.jpg", "é=1.jpg"]
    assert config.map == "city.fol" and config.top_k == 3


def test_an_existing_file_that_looks_like_an_override_is_a_photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x=1.jpg").touch()
    assert list(resolve("locate", ["x=1.jpg", "map=m"], {"photos": True}).photos) == ["x=1.jpg"]


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        ("index", ["photos=a", "out=b", "batchsize=3"], "no option 'batchsize'; did you mean batch_size"),
        ("index", ["photos=a", "out=b", "model.imagesize=3"], "no option 'model.imagesize'"),
        ("index", ["photos=a"], "needs out"),
        ("locate", ["a.jpg", "--map"], "--map needs a value"),
        ("demo", ["what"], "'what' is neither"),
        ("demo", ["places=[1"], "fol demo"),
        ("index", ["photos=a", "out=b", "nogroup/x=3"], "fol index"),
    ],
)
def test_mistakes_are_one_line_that_names_them(verb, words, message):
    positional = VERBS[verb].positional
    with pytest.raises(ConfigError) as error:
        resolve(verb, words, positional)
    assert message in str(error.value) and "\n" not in str(error.value)
