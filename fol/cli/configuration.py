"""From the words of the command line to a checked configuration (hydra, omegaconf)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from fol.errors import ConfigError

#: Groups whose value may also be a path: the option of the group's file form that takes it.
_PATH_GROUPS = {"model": ("file", "model.name"), "data": ("folder", "data.root")}
#: Options that are paths, taken literally (null aside).
_PATHS = (
    "photos",
    "photo",
    "out",
    "map",
    "picture",
    "name",
    "data.root",
    "model.name",
    "backbone_weights",
    "synthetic_folder",
    "source",
    "root",
    "from",
)


def config_folder() -> Path:
    """The folder of YAML files: beside the package in the repository, inside it once installed."""
    package = Path(__file__).parents[1]
    return next(folder for folder in (package.parent / "conf", package / "conf") if (folder / "index.yaml").is_file())


def resolve(verb: str, words: Sequence[str], positional: Mapping[str, bool]) -> DictConfig:
    """The configuration of ``verb`` for the command's ``words``.

    Words are hydra overrides ``key=value``, flags ``--key value`` or ``--key=value``, and values for the ``positional``
    options in their order (True: takes all that are left, as a list). Raises ``ConfigError`` for an unknown key.
    """
    folder = config_folder()
    overrides = [override for word in _as_pairs(words, positional) for override in _as_overrides(folder, *word)]
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            config = compose(verb, overrides)
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise ConfigError(f"fol {verb} needs {', '.join(missing)}: give {missing[0]}=...")
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException, MissingMandatoryValue) as error:
        raise ConfigError(_explain(folder, verb, str(error))) from error
    return config


def plain(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain values, for saving beside results."""
    content = OmegaConf.to_container(config, resolve=True)
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def _as_pairs(words: Sequence[str], positional: Mapping[str, bool]) -> list[tuple[str, str | list[str]]]:
    """(key, value) for every word; values of flags and positional options are taken literally."""
    pairs: list[tuple[str, str | list[str]]] = []
    loose: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            key, separator, value = word[2:].partition("=")
            if not separator:
                found = next(rest, None)
                if found is None:
                    raise ConfigError(f"--{key} needs a value")
                value = found
            pairs.append((key.replace("-", "_"), value))
        elif re.match(r"^[+~]{0,2}[A-Za-z_][\w./@]*=", word) and not Path(word).exists():
            key, _, value = word.partition("=")
            pairs.append((key, value))
        else:
            loose.append(word)
    for key, takes_rest in positional.items():
        if loose and takes_rest:
            pairs.append((key, loose))
            loose = []
        elif loose:
            pairs.append((key, loose.pop(0)))
    if loose:
        raise ConfigError(f"{loose[0]!r} is neither key=value nor an argument of this command")
    return pairs


def _as_overrides(folder: Path, key: str, value: str | list[str]) -> list[str]:
    """Hydra overrides for one pair; text that hydra's grammar would misread is quoted."""
    if isinstance(value, list):
        return [f"{key}=[{','.join(_quoted(item) for item in value)}]"]
    if key in _PATH_GROUPS and not (folder / key / f"{value}.yaml").is_file():
        choice, option = _PATH_GROUPS[key]
        return [f"{key}={choice}", f"{option}={_quoted(value)}"]
    if key in _PATHS:
        return [f"{key}={value if value == 'null' else _quoted(value)}"]
    return [f"{key}={value}"]


def _quoted(text: str) -> str:
    escaped = re.sub(r"(\\+)(?='|$)", lambda m: m[1] * 2, text).replace("'", "\\'")
    # omegaconf would read ${...} as an interpolation.
    return "'" + escaped.replace("${", "\\\\${") + "'" if "${" in text else f"'{escaped}'"


def _explain(folder: Path, verb: str, message: str) -> str:
    """One line for people, from hydra's several."""
    # The first form names the whole path of the key, the second its last part.
    forms = (r"Could not override '([^']+)'", r"Key '([^']+)' is not in struct")
    if found := next(filter(None, (re.search(form, message) for form in forms)), None):
        key = found[1]
        known = sorted(str(k) for k in OmegaConf.load(folder / f"{verb}.yaml") if k != "defaults")
        near = difflib.get_close_matches(key.split(".")[-1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"options are {', '.join(known)}"
        return f"fol {verb} has no option {key!r}; {hint}"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return f"fol {verb}: {' '.join(lines[:2])}"
