"""``fol models``: the zoo."""

from __future__ import annotations

from omegaconf import DictConfig
from rich.box import SIMPLE
from rich.table import Column, Table

from fol.cli.console import out, say
from fol.models import BASELINES, ModelCard, list_models, model_card


def run(config: DictConfig) -> None:
    """List all named models, or show one card."""
    if config.name is not None:
        card = model_card(config.name)
        height, width = card.preprocessing.image_size
        source = card.weights or card.backbone_weights
        lines = {
            "name": card.name,
            "summary": card.summary,
            "preset": card.preset,
            "input": f"{height}x{width} px, {'antialiased' if card.preprocessing.antialias else 'not antialiased'}",
            "backbone": card.architecture.backbone.describe(),
            "descriptor": f"{card.architecture.descriptor_dim} values",
            "local": f"{card.architecture.local_dim} values each" if card.architecture.kind == "fol" else "none",
            "weights": _weights(card),
            "sha256": (source.sha256 or "not known") if source else "-",
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
        source = card.weights or card.backbone_weights
        weights = source.filename if source else "untrained"
        table.add_row(name, card.preset, f"{height}x{width}", weights, card.summary)
    for name, make in BASELINES.items():
        baseline = make()
        table.add_row(name, "-", "x".join(map(str, baseline.image_size)), "none needed", baseline.summary)
    out.print(table)


def _weights(card: ModelCard) -> str:
    untrained = f"untrained, seed {card.seed}"
    if card.backbone_weights is not None:
        return f"{card.backbone_weights.origin}: its backbone; the rest {untrained}"
    return untrained if card.weights is None else card.weights.origin
