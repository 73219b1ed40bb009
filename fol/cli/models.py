"""``fol models``: the zoo."""

from __future__ import annotations

from omegaconf import DictConfig
from rich.box import SIMPLE
from rich.table import Column, Table

from fol.cli.console import out, say
from fol.models import BASELINES, list_models, model_card


def run(config: DictConfig) -> None:
    """List all named models, or show one card."""
    if config.name is not None:
        card = model_card(config.name)
        height, width = card.preprocessing.image_size
        backbone = card.architecture.backbone
        lines = {
            "name": card.name,
            "summary": card.summary,
            "preset": card.preset,
            "input": f"{height}x{width} px, {'antialiased' if card.preprocessing.antialias else 'not antialiased'}",
            "backbone": f"{backbone.channels} channels, {backbone.depth} blocks, {backbone.heads} heads",
            "descriptor": f"{card.architecture.aggregation.descriptor_dim} values",
            "local": f"{card.architecture.local_dim} values each" if card.architecture.kind == "fol" else "none",
            "weights": card.weights.origin if card.weights else f"untrained, seed {card.seed}",
            "sha256": (card.weights.sha256 or "not known") if card.weights else "-",
            "licence of the code": card.licence_code,
            "licence of the weights": card.licence_weights,
            "trained on": card.trained_on,
        }
        for key, value in lines.items():
            say(f"{key:24s}{value}")
        return
    table = Table(
        Column("name", no_wrap=True), "preset", "input", Column("weights", no_wrap=True), "summary", box=SIMPLE
    )
    for name in list_models():
        card = model_card(name)
        height, width = card.preprocessing.image_size
        weights = card.weights.filename if card.weights else "untrained"
        table.add_row(name, card.preset, f"{height}x{width}", weights, card.summary)
    for name, make in BASELINES.items():
        baseline = make()
        table.add_row(name, "-", "x".join(map(str, baseline.image_size)), "none needed", baseline.summary)
    out.print(table)
