"""A backbone from a file as DINOv2 publishes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fol.errors import CheckpointError, ConfigError
from fol.models.backbone import BackboneConfig, DinoV2
from fol.models.cards import dinov2
from fol.models.dinov2_weights import load_dinov2

GIANT = replace(dinov2("tiny"), ffn="swiglu", mlp_hidden=96)


def backbone(config: BackboneConfig = GIANT, value: float = 0.0) -> DinoV2:
    """All weights one value, so that two are equal only where something was copied."""
    network = DinoV2(config)
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.fill_(value + number)
    return network


def published(network: DinoV2) -> dict[str, torch.Tensor]:
    """DINOv2's giant calls its gated layers w12 and w3, and all its models carry a mask token."""
    state = {n.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): t for n, t in network.state_dict().items()}
    return {**state, "mask_token": torch.zeros(1, network.config.channels)}


def test_the_giant_s_names_are_translated(tmp_path: Path) -> None:
    source, target = backbone(), backbone(value=0.5)
    state = published(source)
    assert "blocks.0.mlp.w12.weight" in state and "blocks.0.mlp.w3.bias" in state
    torch.save(state, tmp_path / "giant.pth")
    load_dinov2(target, tmp_path / "giant.pth")
    assert all(target.state_dict()[name].equal(tensor) for name, tensor in source.state_dict().items())


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    state = published(backbone())
    del state["blocks.1.mlp.w3.weight"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"w\.pth: .*missing blocks\.1\.mlp\.fc2\.weight"):
        load_dinov2(backbone(), path)
    torch.save({f"backbone.model.{name}": tensor for name, tensor in published(backbone()).items()}, path)
    with pytest.raises(CheckpointError, match="a whole FoL model, not a backbone"):
        load_dinov2(backbone(), path)
    with pytest.raises(ConfigError, match="no DINOv2 weights of"):
        load_dinov2(backbone(), "auto")
