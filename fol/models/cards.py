"""Model cards: what a named model is made of, how its photos are prepared, where its weights are, which licences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from fol.models.aggregation import AggregationConfig, NetVladConfig
from fol.models.architecture import Architecture
from fol.models.backbone import BackboneConfig
from fol.models.densernet import DenserNetConfig
from fol.models.fol import Preset
from fol.models.preprocessing import Preprocessing
from fol.models.vgg import VggConfig, vgg_preprocessing


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
    """One named model. ``weights`` None means untrained: initialised from ``seed``.

    ``backbone_weights``: a file of which the backbone alone is taken, the rest being untrained.
    """

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
    backbone_weights: WeightSource | None = None

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


_NANO_WEIGHTS = WeightSource(
    "fol_nano.safetensors",
    packaged=True,
    sha256="5352ced4c4e31fc3b7477e8fbb39e49500c759873013382e7bc169c21ca7359c",
)
_NANO_TRAINED_ON = (
    "procedural cities (fol city), and ie_tower_train "
    "(JSebastianIEU/ie-tower-visual-place-recognition, MIT, 2026 Juan Sebastian Pena)"
)


def netvlad_architecture(
    backbone: VggConfig | DenserNetConfig | BackboneConfig,
    clusters: int = 64,
    projection: int | None = None,
    whitening: int | None = None,
) -> Architecture:
    """NetVLAD on a backbone."""
    return Architecture("global", backbone, NetVladConfig(backbone.channels, clusters, projection), whitening=whitening)


def _salad_untrained(size: Size, image_size: int) -> ModelCard:
    return ModelCard(
        name=f"salad_{size}_untrained",
        architecture=Architecture(
            "salad", dinov2(size), AggregationConfig(dinov2(size).channels, learned_dustbin=True)
        ),
        preprocessing=Preprocessing((image_size, image_size)),
        preset="official",
        summary=f"SALAD on {size}, random weights; single stage",
    )


def _vgg_untrained(name: str, backbone: VggConfig, clusters: int, image_size: tuple[int, int]) -> ModelCard:
    return ModelCard(
        name=f"netvlad_{name}_untrained",
        architecture=netvlad_architecture(backbone, clusters),
        preprocessing=vgg_preprocessing(backbone.convention, image_size),
        preset="official",
        summary=f"NetVLAD ({clusters} clusters) on VGG16 times {backbone.width:g}, {backbone.convention} input, random "
        "weights; single stage",
    )


def _densernet_untrained(
    name: str, backbone: DenserNetConfig, what: str, clusters: int = 64, image_size: tuple[int, int] = (480, 640)
) -> ModelCard:
    return ModelCard(
        name=f"densernet_{name}_untrained",
        architecture=netvlad_architecture(backbone, clusters),
        preprocessing=vgg_preprocessing(backbone.convention, image_size),
        preset="official",
        summary=f"DenserNet, {what}, random weights; single stage",
    )


_GLOBAL_CARDS = (
    ModelCard(
        name="netvlad_vgg16",
        architecture=netvlad_architecture(VggConfig(), whitening=4096),
        preprocessing=vgg_preprocessing("matconvnet", (480, 640)),
        preset="official",
        summary="SFRS (ECCV 2020): VGG16, NetVLAD, PCA to 4096 values, weights published by OpenIBL; single stage",
        weights=WeightSource(
            "vgg16_netvlad.pth",
            url="https://github.com/yxgeee/OpenIBL/releases/download/v0.1.0-beta/vgg16_netvlad.pth",
        ),
        licence_code="MIT (this library, and yxgeee/OpenIBL)",
        licence_weights="MIT (yxgeee/OpenIBL)",
        trained_on="Pittsburgh 30k, from VGG16 (ImageNet)",
    ),
    ModelCard(
        name="netvlad_nano",
        architecture=netvlad_architecture(dinov2("nano"), clusters=16, projection=64),
        preprocessing=Preprocessing((182, 182)),
        preset="fol",
        summary="NetVLAD with a projection on the transformer of fol_nano, aggregation untrained; single stage",
        licence_weights="MIT",
        trained_on=f"the transformer alone: {_NANO_TRAINED_ON}",
        backbone_weights=_NANO_WEIGHTS,
    ),
    _vgg_untrained("vgg16", VggConfig(), 64, (480, 640)),
    # The same for weights that can be fetched: backbone_weights=auto.
    _vgg_untrained("vgg16_caffe", VggConfig(convention="caffe_features"), 64, (480, 640)),
    _vgg_untrained("vgg16_imagenet", VggConfig(convention="imagenet"), 64, (480, 640)),
    _vgg_untrained("vgg_small", VggConfig(width=0.125), 16, (192, 192)),
    _densernet_untrained("small", DenserNetConfig(), "released form, 64 + 64 + 64 channels"),
    _densernet_untrained("middle", DenserNetConfig(128, 128, 128), "released form, 128 + 128 + 128 channels"),
    # The scripts' widths; the comments in the code and the figures say 384, 512, 256. It was never released.
    _densernet_untrained("large", DenserNetConfig(384, 256, 512), "released form, 512 + 256 + 384 channels"),
    _densernet_untrained(
        "paper", DenserNetConfig(384, 512, 256, form="paper"), "trunk of the paper's figure without its decoder"
    ),
    _densernet_untrained(
        "tiny", DenserNetConfig(16, 16, 16, width=0.125), "released form on a small trunk", 16, (128, 128)
    ),
    _densernet_untrained(
        "tiny_single",
        DenserNetConfig(high=48, taps=("high",), width=0.125),
        "the deepest tap alone on a small trunk, to compare",
        16,
        (128, 128),
    ),
    _salad_untrained("tiny", 224),
    _salad_untrained("vitb14", 322),
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
            weights=_NANO_WEIGHTS,
            licence_weights="MIT",
            trained_on=_NANO_TRAINED_ON,
        ),
        _untrained("tiny", 224),
        _untrained("nano", 224),
        _untrained("vits14"),
        _untrained("vitb14"),
        _untrained("vitl14"),
        _untrained("vitg14"),
        *_GLOBAL_CARDS,
    )
}
