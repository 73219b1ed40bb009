"""Model cards: what a named model is made of, how its photos are prepared, where its weights are, which licences."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from fol.errors import CheckpointError
from fol.models.aggregation import AggregationConfig
from fol.models.backbone import AttentionName, BackboneConfig
from fol.models.fol import PRESETS, FoL, Preset
from fol.models.preprocessing import Preprocessing
from fol.models.salad import Salad


@dataclass(frozen=True)
class Architecture:
    """Everything that fixes the names and shapes of a network's tensors."""

    kind: Literal["fol", "salad"]
    backbone: BackboneConfig
    aggregation: AggregationConfig
    local_hidden: int = 256
    local_dim: int = 128

    def build(self, preset: Preset = "fol", attention: AttentionName = "sdpa") -> FoL | Salad:
        """The network with fresh weights, on the current default device."""
        if self.kind == "salad":
            return Salad(self.backbone, self.aggregation, attention)
        return FoL(self.backbone, self.aggregation, PRESETS[preset], self.local_hidden, self.local_dim, attention)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the header of a weight file."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Architecture:
        """The inverse of ``to_dict``; ``CheckpointError`` when a value is missing or unknown."""
        try:
            return Architecture(
                **{
                    **values,
                    "backbone": BackboneConfig(**values["backbone"]),
                    "aggregation": AggregationConfig(**values["aggregation"]),
                }
            )
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"the architecture in the file's header is not understood: {error}") from error


@dataclass(frozen=True)
class WeightSource:
    """Where weights are: a file of a Hugging Face repository, a plain URL, or ``packaged`` with this library.

    ``sha256`` is None while it is not known; then the file is checked by its tensors' names and shapes alone.
    """

    filename: str
    repo: str | None = None
    url: str | None = None
    sha256: str | None = None
    packaged: bool = False

    @property
    def origin(self) -> str:
        """For people: where to find the file."""
        if self.packaged:
            return f"{self.filename}, which comes with fol"
        return f"{self.filename} of the Hugging Face repository {self.repo}" if self.repo else f"{self.url}"


@dataclass(frozen=True)
class ModelCard:
    """One named model. ``weights`` None means untrained: initialised from ``seed``."""

    name: str
    architecture: Architecture
    preprocessing: Preprocessing
    preset: Preset
    summary: str
    weights: WeightSource | None = None
    licence_code: str = "MIT"
    licence_weights: str = "none needed: untrained"
    trained_on: str = "nothing: untrained"
    seed: int = 0

    def with_image_size(self, image_size: tuple[int, int]) -> ModelCard:
        """The same card for another input size (height, width)."""
        return replace(self, preprocessing=replace(self.preprocessing, image_size=image_size))


Size = Literal["tiny", "nano", "vits14", "vitb14", "vitl14", "vitg14"]


def dinov2(name: Size) -> BackboneConfig:
    """Sizes of the published DINOv2 transformers, of ``tiny`` for tests, and of ``nano``, which trains on a CPU."""
    sizes: dict[Size, BackboneConfig] = {
        "tiny": BackboneConfig(64, 6, 4, 256),
        "nano": BackboneConfig(192, 6, 3, 768, position_grid=16, trainable_blocks=6, stem="convolutional"),
        "vits14": BackboneConfig(384, 12, 6, 1536),
        "vitb14": BackboneConfig(768, 12, 12, 3072),
        "vitl14": BackboneConfig(1024, 24, 16, 4096),
        "vitg14": BackboneConfig(1536, 40, 24, 4096, ffn="swiglu"),
    }
    return sizes[name]


def fol_architecture(backbone: BackboneConfig) -> Architecture:
    """The published FoL head on a backbone."""
    return Architecture("fol", backbone, AggregationConfig(backbone.channels))


#: Trained here from scratch: a smaller head too, so that most of the time goes into the transformer.
NANO = Architecture(
    "fol",
    dinov2("nano"),
    AggregationConfig(192, clusters=32, cluster_dim=64, token_dim=128, hidden=256, dropout=0.1),
    local_hidden=128,
    local_dim=64,
)


def _untrained(size: Size, image_size: int = 322) -> ModelCard:
    return ModelCard(
        name=f"fol_{size}_untrained",
        architecture=NANO if size == "nano" else fol_architecture(dinov2(size)),
        preprocessing=Preprocessing((image_size, image_size)),
        preset="fol",
        summary=f"FoL on {size}, random weights: a starting point for training and a baseline",
    )


def _published(size: Literal["vitb14", "vitl14"], filename: str, image_size: int) -> ModelCard:
    return ModelCard(
        name=f"fol_{size}",
        architecture=fol_architecture(dinov2(size)),
        # The published evaluation normalises, then resizes the tensor without antialias.
        preprocessing=Preprocessing((image_size, image_size), antialias=False),
        preset="official",
        summary=f"FoL (AAAI 2025) on DINOv2 {size}, published weights",
        weights=WeightSource(filename, repo="shunpeng/FoL"),
        licence_code="MIT (this library); see the authors' repository for theirs",
        licence_weights="not verified: see the Hugging Face repository shunpeng/FoL",
        trained_on="GSV-Cities, from DINOv2 (LVD-142M)",
    )


CARDS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        _published("vitl14", "FoL_large.pth", 504),
        _published("vitb14", "FoL_base.pth", 322),
        ModelCard(
            name="dinov2_salad",
            architecture=Architecture("salad", dinov2("vitb14"), AggregationConfig(768, learned_dustbin=True)),
            preprocessing=Preprocessing((322, 322)),
            preset="official",
            summary="SALAD (CVPR 2024) on DINOv2 vitb14, published weights; single stage",
            weights=WeightSource(
                "dino_salad.ckpt",
                url="https://github.com/serizba/salad/releases/download/v1.0.0/dino_salad.ckpt",
            ),
            licence_code="MIT (this library); see the authors' repository for theirs",
            licence_weights="not verified: see the GitHub repository serizba/salad",
            trained_on="GSV-Cities, from DINOv2 (LVD-142M)",
        ),
        ModelCard(
            name="fol_nano",
            architecture=NANO,
            preprocessing=Preprocessing((182, 182)),
            preset="fol",
            summary="FoL on a small transformer, trained here from scratch on a CPU: the model of the demo",
            weights=WeightSource(
                "fol_nano.safetensors",
                packaged=True,
                sha256="5352ced4c4e31fc3b7477e8fbb39e49500c759873013382e7bc169c21ca7359c",
            ),
            licence_weights="MIT",
            trained_on="procedural cities (fol city), and ie_tower_train "
            "(JSebastianIEU/ie-tower-visual-place-recognition, MIT, 2026 Juan Sebastian Pena)",
        ),
        _untrained("tiny", 224),
        _untrained("nano", 224),
        _untrained("vits14"),
        _untrained("vitb14"),
        _untrained("vitl14"),
        _untrained("vitg14"),
    )
}


def initialise(network: nn.Module, seed: int) -> None:
    """Random weights that depend on ``seed`` alone: transformer and heads as their papers initialise them."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            fan_in = module.weight[0].numel()
            if isinstance(module, nn.ConvTranspose2d):  # [in, out, k, k], stride 2 shares the kernel out
                fan_in = module.weight.shape[0] * module.weight[0, 0].numel() // 4
            nn.init.trunc_normal_(module.weight, std=fan_in**-0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm | nn.InstanceNorm2d):
            module.reset_parameters()
    for name, parameter in network.named_parameters():
        if name.endswith(("pos_embed", "cls_token")):
            nn.init.trunc_normal_(parameter, std=0.02, generator=generator)
        elif name.endswith(("gamma", "dust_bin")):
            # LayerScale's usual 1e-5 would switch the blocks of an untrained network off.
            nn.init.ones_(parameter)
