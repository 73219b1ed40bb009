"""DenserNet's files (goodproj13/DenserNet): three branches, each with its own copy of the trunk up to its tap.

A trained network holds them all (``base_model.conv_h.0.28.weight``). Stage 1 of the code wrote a file for each
(``DN_vgg16_conv_h_dim-64.pth``), whose names begin with ``0.`` (trunk) and ``2.`` (1x1 convolution).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fol.errors import CheckpointError, ConfigError
from fol.models.densernet import TAP_LAYERS, Tap
from fol.models.vgg import CONVOLUTIONS

_LETTERS: dict[Tap, str] = {"low": "1", "middle": "m", "high": "h"}
_TRUNK = re.compile(r"0\.(\d+)\.(?:weight|bias)")


@dataclass(frozen=True, eq=False)
class Branch:
    """Tensors called ``0.{layer}.weight`` and ``2.weight``, each behind ``prefix`` in the file."""

    path: Path
    prefix: str
    tensors: dict[str, Tensor]


def one_trunk(branches: Mapping[Tap, Branch]) -> dict[str, Tensor]:
    """``trunk.*`` once, and ``reduce.*``; ``CheckpointError`` when copies differ or a branch does not fit its tap."""
    result: dict[str, Tensor] = {}
    for tap, branch in branches.items():
        layers = [layer for layer in CONVOLUTIONS if layer < TAP_LAYERS["release"][tap]]
        modules = {f"0.{layer}": f"trunk.{layer}" for layer in layers} | {"2": f"reduce.{tap}"}
        names = {
            f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in modules.items() for kind in ("weight", "bias")
        }
        for label, found in (
            ("missing", names.keys() - branch.tensors.keys()),
            ("unexpected", branch.tensors.keys() - names.keys()),
        ):
            if found:
                raise CheckpointError(
                    f"{branch.path}: does not fit the architecture: {label} {branch.prefix}{min(found)}"
                )
        for theirs, ours in names.items():
            tensor = branch.tensors[theirs]
            copy = result.get(ours, tensor)
            if copy.dtype != tensor.dtype or not torch.equal(copy, tensor):
                raise CheckpointError(f"{branch.path}: {branch.prefix}{theirs} differs from its copy in another branch")
            result[ours] = tensor
    return result


def branches_of_network(path: Path, tensors: Mapping[str, Tensor]) -> tuple[dict[Tap, Branch], dict[str, Tensor]]:
    """The branches of a trained network, and its other tensors."""
    branches: dict[Tap, Branch] = {tap: Branch(path, f"base_model.conv_{_LETTERS[tap]}.", {}) for tap in _LETTERS}
    rest = dict(tensors)
    for branch in branches.values():
        for name in [name for name in rest if name.startswith(branch.prefix)]:
            branch.tensors[name.removeprefix(branch.prefix)] = rest.pop(name)
    return branches, rest


def is_branch(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file is one of stage 1's."""
    return any(_TRUNK.fullmatch(name) for name in tensors)


def branches_of_files(files: Iterable[tuple[Path, Mapping[str, Tensor]]], taps: Iterable[Tap]) -> dict[Tap, Branch]:
    """Files of stage 1 in any order, told apart by the depth of their trunk: one for each of ``taps``, and no other."""
    found: dict[Tap, Branch] = {}
    for path, tensors in files:
        depth = max((int(match[1]) for name in tensors if (match := _TRUNK.fullmatch(name))), default=None)
        if depth is None:
            raise CheckpointError(f"{path}: not a branch of DenserNet: no tensor such as '0.0.weight'")
        fitting = [tap for tap in _LETTERS if depth < TAP_LAYERS["release"][tap]]
        if not fitting:
            raise CheckpointError(f"{path}: not a branch of DenserNet: its trunk has a layer {depth}")
        if fitting[0] in found:
            raise ConfigError(f"{found[fitting[0]].path} and {path} are the same branch, conv_{_LETTERS[fitting[0]]}")
        found[fitting[0]] = Branch(path, "", dict(tensors))
    wanted = set(taps)
    for tap, letter in _LETTERS.items():
        if tap in wanted - found.keys():
            raise ConfigError(
                f"backbone_weights: the branch file of tap {tap} (DN_vgg16_conv_{letter}_dim-*.pth) is missing: give "
                "all of them, separated by commas"
            )
        if tap in found.keys() - wanted:
            raise ConfigError(f"{found[tap].path}: the branch of tap {tap}, which the model does not have")
    return found
