"""The ``fol`` command: ``fol VERB [arguments] [key=value ...]``.

A verb is one function from a configuration to work that is done; ``tools/VERB.py`` calls the same function.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from fol.cli.configuration import config_folder, resolve
from fol.cli.console import note, say
from fol.errors import FolError


@dataclass(frozen=True)
class Verb:
    """A command: what it does, and its positional options (True: takes several).

    ``options``: the YAML file of its options where that is not the verb's own; such a verb reads its words itself.
    """

    summary: str
    positional: Mapping[str, bool]
    options: str | None = None

    def run(self, name: str, words: Sequence[str]) -> None:
        """Call the function ``run`` of the verb's module, imported only now."""
        run = import_module(f"fol.cli.{name}").run
        run(words if self.options else resolve(name, words, self.positional))


VERBS: Mapping[str, Verb] = {
    "index": Verb("build a map of a folder of photos", {"photos": False}),
    "compact": Verb("take the records of removed places out of a map's files", {"map": False}),
    "locate": Verb("find where photos were taken, with a map", {"photos": True}),
    "evaluate": Verb("recall of both stages on data sets", {"datasets": True}),
    "data": Verb("benchmarks: list them, check their photos, lay them out", {"action": False, "name": False}),
    "report": Verb("several evaluations side by side on one page", {"folders": True}),
    "challenge": Verb(
        "predictions for the MSLS challenge: write those of an evaluation, or score some",
        {"action": False, "source": False},
    ),
    "city": Verb("write a synthetic city to train on or to evaluate with", {}),
    "demo": Verb("the main job on a small procedural city", {}),
    "train": Verb("train a model on places, resumably", {}),
    "sweep": Verb("train for every combination of key=a,b values", {}, options="train"),
    "benchmark": Verb("how fast this machine does each part, beside the published formulation", {"subjects": True}),
    "models": Verb("list the named models, or show one card", {"name": False}),
    "convert": Verb("turn an official checkpoint into safetensors", {"model": False, "out": False}),
    "whiten": Verb("fit PCA whitening to a model's descriptors of photos", {"model": False, "out": False}),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (0 done, 1 a user's error, 130 interrupted)."""
    words = list(sys.argv[1:] if words is None else words)
    if not words or words[0] in ("-h", "--help", "help"):
        return _usage()
    if words[0] == "--version":
        import fol

        say(fol.__version__)
        return 0
    verb, *rest = words
    if verb not in VERBS:
        note(f"error: no command is called {verb!r}; there are {', '.join(VERBS)}")
        return 1
    if any(word in ("-h", "--help") for word in rest):
        say((config_folder() / f"{VERBS[verb].options or verb}.yaml").read_text().rstrip())
        return 0
    # Pillow also warns of what load_image reports in one line, or can live with.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        VERBS[verb].run(verb, rest)
    except FolError as error:
        note(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        note("interrupted; run the same command again to go on")
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a full disk, a folder without permission
        note(f"error: {error.filename or verb}: {error.strerror or error}")
        return 1
    return 0


def _usage() -> int:
    say("usage: fol VERB [arguments] [key=value ...]      fol VERB --help shows the verb's options\n")
    for name, verb in VERBS.items():
        say(f"  fol {name:10s} {verb.summary}")
    return 0
