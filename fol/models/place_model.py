"""A model as the rest of the library sees it: photo in, features out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from fol.errors import ConfigError
from fol.models.architecture import Backbone, Network
from fol.models.backbone import BackboneConfig, DinoV2
from fol.models.cards import ModelCard
from fol.models.fol import FoL, Preset
from fol.models.precision import NetworkPrecision, network_precision
from fol.models.vgg import TrainFrom, Vgg16, VggConfig
from fol.models.whitening import PcaWhitening
from fol.types import Features, LocalFeatures


class PlaceModel(nn.Module):
    """A network with its card; implements ``fol.types.Extractor``.

    ``recipe`` are the arguments of ``load_model`` that give this model again. ``precision`` and ``compiled`` are of
    ``extract`` alone: training has its own.
    """

    def __init__(
        self,
        card: ModelCard,
        network: Network,
        recipe: Mapping[str, Any] | None = None,
        *,
        precision: NetworkPrecision = "float32",
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.card = card
        self.recipe = dict(recipe or {"name_or_path": card.name})
        self.network = network
        self.precision: NetworkPrecision = precision
        self.compiled = compiled
        self._forward: Callable[..., Any] | None = torch.compile(network.forward) if compiled else None
        self._largest_batch = 0
        if precision != "float32" and isinstance(network, FoL):
            # Which the transposed convolutions of half precision are faster in, on CPUs and on tensor cores.
            network.local_head.to(memory_format=torch.channels_last)
        self.eval()

    def with_trainable_blocks(self, count: int) -> PlaceModel:
        """The same weights (shared) with the last ``count`` blocks to train; the whole network when that is all."""
        backbone, config = self.network.backbone, self.card.architecture.backbone
        if not isinstance(backbone, DinoV2) or not isinstance(config, BackboneConfig):
            raise ConfigError(f"trainable_blocks={count}: {self.name} has no transformer, but {config.describe()}")
        if not 0 <= count <= config.depth:
            raise ConfigError(f"trainable_blocks={count}: {self.name} has {config.depth} blocks")
        backbone.config = replace(config, trainable_blocks=count)
        return self._with_backbone(backbone.config)

    def with_train_from(self, first: TrainFrom) -> PlaceModel:
        """The same weights (shared) with VGG16 to be trained from this block on; ``full``: all of it."""
        backbone, config = self.network.backbone, self.card.architecture.backbone
        if not isinstance(backbone, Vgg16) or not isinstance(config, VggConfig):
            raise ConfigError(f"train_from={first}: {self.name} has no VGG16 to train, but {config.describe()}")
        backbone.config = replace(config, train_from=first)
        return self._with_backbone(backbone.config)

    def with_whitening(self, whitening: PcaWhitening | None) -> PlaceModel:
        """The same weights (shared) with this last step of what is extracted, None without; saved in the same file."""
        wanted = self.card.architecture.aggregation.descriptor_dim
        if whitening is not None and whitening.weight.shape[1] != wanted:
            raise ConfigError(
                f"the whitening takes {whitening.weight.shape[1]} values, the descriptor of {self.name} has {wanted}"
            )
        network = copy(self.network)  # its parts are shared, but this model is to keep its own last step
        network._modules = {**self.network._modules}
        network.whitening = nn.Identity() if whitening is None else whitening.to(self.device)
        architecture = replace(self.card.architecture, whitening=None if whitening is None else whitening.dim)
        return self._with_card(replace(self.card, architecture=architecture), network)

    def _with_backbone(self, backbone: Backbone) -> PlaceModel:
        return self._with_card(replace(self.card, architecture=replace(self.card.architecture, backbone=backbone)))

    def _with_card(self, card: ModelCard, network: Network | None = None) -> PlaceModel:
        return PlaceModel(card, network or self.network, self.recipe, precision=self.precision, compiled=self.compiled)

    @property
    def name(self) -> str:
        """The card's name, or the weight file's."""
        return self.card.name

    @property
    def preset(self) -> Preset:
        """``"official"`` or ``"fol"``."""
        return self.card.preset

    @property
    def descriptor_dim(self) -> int:
        """Length of the global descriptor."""
        return self.card.architecture.descriptor_dim

    @property
    def local_dim(self) -> int:
        """Length of a local descriptor; 0 for single-stage models."""
        return self.card.architecture.local_dim if isinstance(self.network, FoL) else 0

    @property
    def max_tokens(self) -> int:
        """Upper bound of the number of local features of one image at the transform's size."""
        return self.network.max_tokens(self.card.preprocessing.image_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over architecture, preset, preprocessing, precision and weights; computed once, so not for training.

        Compiling is not in it: it moves the last digits of a precision, as another machine does.
        """
        digest = hashlib.sha256()
        header: list[Any] = [self.card.architecture.to_dict(), self.preset, asdict(self.card.preprocessing)]
        if self.precision != "float32":  # maps from before there was a choice stay valid
            header.append(self.precision)
        digest.update(json.dumps(header, sort_keys=True).encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(memoryview(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()))
        return digest.hexdigest()

    def transform(self, image: Image.Image) -> Tensor:
        """RGB photo to ``[3, H, W]`` float32, by the card's preprocessing."""
        return self.card.preprocessing(image)

    def prepare(self, image: Image.Image, *, keep_size: bool = False) -> Tensor:
        """RGB photo to ``[3, H, W]`` as ``extract`` takes it in the fewest bytes, by the card's preprocessing.

        ``keep_size`` leaves photos for convolutional networks as large as they are. Transformers get the card's size:
        their positional grid and the second stage are meant for it, and published numbers are of that size.
        """
        preprocessing = self.card.preprocessing
        if keep_size and self.card.architecture.backbone.takes_any_size:
            preprocessing = replace(preprocessing, image_size=(image.height, image.width))
        return preprocessing.prepare(image)

    @torch.inference_mode()
    def extract(self, images: Tensor, original_sizes: Sequence[tuple[int, int]] | None = None) -> list[Features]:
        """Features of ``images [B, 3, H, W]`` (of ``transform`` or ``prepare``), one per image.

        H and W are multiples of 14 for transformers, at least 32 for VGG16.

        ``original_sizes`` (width, height) per photo puts the local positions into its pixels; without it they
        are pixels of ``images``. Dropout is off whatever the mode of the module.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ConfigError(f"images have shape {tuple(images.shape)}; extract() takes [B, 3, H, W]")
        if original_sizes is not None and len(original_sizes) != len(images):
            raise ConfigError(f"{len(original_sizes)} original sizes for {len(images)} images")
        was_training = self.training
        self.eval()
        try:
            with network_precision(self.precision, self.device):
                features = self._features(self.card.preprocessing.finish(images.to(self.device)))
        finally:
            self.train(was_training)
        if original_sizes is None:
            return features
        height, width = images.shape[-2:]
        return [
            replace(f, local=_scaled(f.local, size[0] / width, size[1] / height))
            for f, size in zip(features, original_sizes, strict=True)
        ]

    def _features(self, images: Tensor) -> list[Features]:
        if self._forward is None:
            return self.network.features(images)
        # A smaller batch, the last one say, would be compiled anew for minutes: it is filled up instead.
        count = len(images)
        self._largest_batch = max(self._largest_batch, count)
        filling = images[-1:].expand(self._largest_batch - count, -1, -1, -1)
        try:
            return self.network.features(torch.cat([images, filling]), self._forward)[:count]
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ConfigError(f"compile=True: torch cannot compile {self.name} here ({reason}); do without") from error


def _scaled(local: LocalFeatures, x: float, y: float) -> LocalFeatures:
    return replace(local, positions=local.positions * local.positions.new_tensor([x, y]))
