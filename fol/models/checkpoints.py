"""Weight files: the authors' checkpoints and our safetensors, read strictly.

Foreign names are translated, nothing is skipped in silence (DINOv2's unused ``mask_token`` aside), and pickles are
opened with ``weights_only=True``. Official format: FoL ``train.py:152-156``, ``hubconf.py``.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct, scalar
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fol.errors import CheckpointError
from fol.files import write_atomically
from fol.models.aggregation import AggregationConfig
from fol.models.architecture import Architecture
from fol.models.backbone import BackboneConfig
from fol.models.cards import ModelCard
from fol.models.preprocessing import Preprocessing
from fol.models.published import global_architecture, our_names, read_matconvnet

_UNUSED = "backbone.mask_token"
#: numpy moved this module in 2.0; files name the one they were written with.
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
#: What the official pickles hold beside tensors: the recalls of the epoch as numpy values.
_ALLOWED: list[Any] = [
    *((function, f"{module}.{function.__name__}") for function in (_reconstruct, scalar) for module in _MULTIARRAY),
    np.ndarray,
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors under our names; the header of our own files, or the input that a foreign file's layout means."""

    path: Path
    tensors: Mapping[str, Tensor]
    preprocessing: Preprocessing | None = None
    header: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a published ``.pth``/``.ckpt``/``.mat`` or our ``.safetensors``; ``CheckpointError`` when it is neither."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    if path.suffix == ".mat":
        return Checkpoint(path, *read_matconvnet(path))
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                header, names = json.loads((file.metadata() or {}).get("fol", "{}")), list(file.keys())
                return Checkpoint(path, *our_names(path, {k: file.get_tensor(k) for k in names}), header)
        with torch.serialization.safe_globals(_ALLOWED):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        SafetensorError,
        OSError,
        ValueError,
        KeyError,
    ) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path}: not a readable weight file ({first_line[:120]}); download it again") from error
    for key in ("model_state_dict", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"{path}: holds no state dict (expected 'model_state_dict' or a plain one)")
    return Checkpoint(path, *our_names(path, content))


def infer_architecture(checkpoint: Checkpoint, heads: int | None = None) -> Architecture:
    """Sizes read off the tensors; ``heads`` only where it is not channels / 64 (heads leave no trace in shapes)."""
    tensors, path = checkpoint.tensors, checkpoint.path
    if "aggregation.centroids" in tensors:
        return global_architecture(path, tensors, checkpoint.preprocessing)

    def shape(name: str) -> tuple[int, ...]:
        if name not in tensors:
            raise CheckpointError(
                f"{path}: no tensor {name!r}; it holds {len(tensors)} tensors such as {next(iter(tensors))!r}, "
                "so this is not a checkpoint of FoL, SALAD or NetVLAD"
            )
        return tuple(tensors[name].shape)

    channels = shape("backbone.cls_token")[-1]
    if heads is None:
        if channels % 64:
            raise CheckpointError(f"{path}: {channels} channels are no multiple of 64; give heads=")
        heads = channels // 64
    elif heads < 1 or channels % heads:
        raise CheckpointError(f"{path}: {channels} channels cannot be split into heads={heads}")
    blocks = {int(m[1]) for name in tensors if (m := re.match(r"backbone\.blocks\.(\d+)\.", name))}
    mlp_out = shape("backbone.blocks.0.mlp.fc2.weight")[1]
    swiglu = shape("backbone.blocks.0.mlp.fc1.weight")[0] == 2 * mlp_out
    positions = shape("backbone.pos_embed")[1] - 1
    salad = "aggregation.dust_bin" in tensors
    two_stage = not salad
    hidden = shape("aggregation.score.0.weight")[0]
    return Architecture(
        kind="salad" if salad else "fol",
        backbone=BackboneConfig(
            channels,
            len(blocks),
            heads,
            mlp_out,
            ffn="swiglu" if swiglu else "mlp",
            position_grid=round(positions**0.5),
        ),
        aggregation=AggregationConfig(
            channels,
            clusters=shape("aggregation.score.3.weight")[0],
            cluster_dim=shape("aggregation.cluster_features.3.weight")[0],
            token_dim=shape("aggregation.token_features.2.weight")[0],
            hidden=hidden,
            learned_dustbin=salad,
        ),
        local_hidden=shape("local_head.upconv1.weight")[1] if two_stage else 256,
        local_dim=shape("local_head.upconv2.weight")[1] if two_stage else 128,
        whitening=shape("whitening.weight")[0] if any(n.startswith("whitening.") for n in tensors) else None,
    )


def load_strict(network: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """Copy every tensor; ``CheckpointError`` naming what is missing, unexpected, of another shape or not finite."""
    wanted = network.state_dict()
    given = {name: tensor for name, tensor in checkpoint.tensors.items() if name != _UNUSED}
    problems = []
    for label, names in (
        ("missing", wanted.keys() - given.keys()),
        ("unexpected", given.keys() - wanted.keys()),
    ):
        if names:
            ordered = sorted(names)
            more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
            problems.append(f"{label} {', '.join(ordered[:3])}{more}")
    for name in sorted(wanted.keys() & given.keys()):
        if given[name].numel() != wanted[name].numel() or (
            given[name].ndim and given[name].shape != wanted[name].shape
        ):
            problems.append(f"{name} is {list(given[name].shape)}, not {list(wanted[name].shape)}")
            break
        if not torch.isfinite(given[name]).all():
            problems.append(f"{name} has values that are not finite")
            break
    if problems:
        raise CheckpointError(f"{checkpoint.path}: does not fit the architecture: {'; '.join(problems)}")
    network.load_state_dict({n: t.reshape(wanted[n].shape).to(wanted[n].dtype) for n, t in given.items()})


def load_backbone(network: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """Copy the backbone alone, strictly, from a file that holds a whole network."""
    prefix = "backbone."
    tensors = {n.removeprefix(prefix): t for n, t in checkpoint.tensors.items() if n.startswith(prefix)}
    load_strict(network.get_submodule("backbone"), Checkpoint(checkpoint.path, tensors))


def card_of_file(checkpoint: Checkpoint, heads: int | None = None) -> ModelCard:
    """A card for a file that has no name in the zoo: from our header, else from its tensors."""
    header = checkpoint.header
    if header:
        try:
            preprocessing = dict(header["preprocessing"])
            for key in ("image_size", "mean", "std"):
                preprocessing[key] = tuple(preprocessing[key])
            return ModelCard(
                name=checkpoint.path.stem,
                architecture=Architecture.from_dict(header["architecture"]),
                preprocessing=Preprocessing(**preprocessing),
                preset=header["preset"],
                summary=header["summary"],
                licence_code=header["licence_code"],
                licence_weights=header["licence_weights"],
                trained_on=header["trained_on"],
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{checkpoint.path}: its header lacks or misnames {error}") from error
    architecture = infer_architecture(checkpoint, heads)
    return ModelCard(
        name=checkpoint.path.stem,
        architecture=architecture,
        preprocessing=checkpoint.preprocessing or Preprocessing((322, 322), antialias=architecture.kind == "salad"),
        preset="official",
        summary=f"weights from {checkpoint.path.name}",
        licence_weights="unknown: read from a file",
        trained_on="unknown: read from a file",
    )


def save_safetensors(
    card: ModelCard,
    network: torch.nn.Module,
    path: Path,
    *,
    dtype: torch.dtype | None = None,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write weights with the card's architecture, preprocessing and licence in the header, atomically.

    ``dtype`` other than the network's own, such as float16, for the file alone; ``training``: the configuration that
    the weights come from, kept in the header.
    """
    header = {
        "architecture": card.architecture.to_dict(),
        "preprocessing": asdict(card.preprocessing),
        "preset": card.preset,
        "summary": card.summary,
        "licence_code": card.licence_code,
        "licence_weights": card.licence_weights,
        "trained_on": card.trained_on,
        **({} if training is None else {"training": dict(training)}),
    }
    tensors = {
        name: tensor.detach().cpu().to(dtype or tensor.dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(tensors, metadata={"fol": json.dumps(header, sort_keys=True)}))
