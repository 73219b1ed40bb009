"""The README's commands with published weights, apart from the others because they take as long as all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from test_documentation import PUBLISHED, REPOSITORY, blocks, commands, run

from fol.data.synthetic import make_city


def test_commands_with_published_weights(tmp_path: Path, official_state: Callable[[str], dict[str, torch.Tensor]]):
    """ViT-B with reference weights stands in for the file that is fetched; its numbers mean nothing."""
    weights = tmp_path / "home" / "weights"
    weights.mkdir(parents=True)
    state = {f"module.{name}": tensor for name, tensor in official_state("dinov2_vitb14").items()}
    torch.save({"model_state_dict": state}, weights / "FoL_base.pth")
    found = [c for kind, body in blocks(REPOSITORY / "README.md") if kind == "bash" for c in commands(body)]
    published = [command for command in found if PUBLISHED.search(command)]
    assert published
    make_city(tmp_path / "demo" / "city", places=24)  # the demo's
    for command in published:
        run(command, tmp_path, FOL_HOME=str(weights.parent))
