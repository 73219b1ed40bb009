"""Photos to features, from JPEG files on: decoding, preprocessing, the network, copies to the CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from fol.benchmarks.measuring import compare
from fol.benchmarks.peaks import Peaks
from fol.benchmarks.report import Report, rows_of
from fol.errors import ConfigError
from fol.extraction import extract_places
from fol.models import PlaceModel, load_model
from fol.models.fol import FoL
from fol.models.precision import NetworkPrecision
from fol.types import Place

#: The published evaluation's batch, and the number of local features that it pads every image to.
PUBLISHED_BATCH, PADDED_TOKENS = 16, 3600
_PHOTO = (640, 480)  # width, height


@dataclass(frozen=True)
class ExtractionSize:
    """``images`` JPEG files of 640x480 through ``model`` at ``size`` pixels; ``workers`` processes decode ours."""

    images: int = 32
    size: int = 224
    model: str = "fol_nano"
    batch_size: int = 16
    workers: int = 0
    compile: bool = False
    device: str = "cpu"
    rounds: int = 5


def measure(size: ExtractionSize, peaks: Peaks) -> Report:
    """Every precision of ours against the published loop, on the same photos with the same weights."""
    names: Sequence[NetworkPrecision] = get_args(NetworkPrecision)
    models = {
        name: load_model(size.model, image_size=size.size, precision=name, compile=size.compile, device=size.device)
        for name in names
    }
    exact = load_model(size.model, image_size=size.size, device=size.device)
    network = exact.network
    if not isinstance(network, FoL):
        raise ConfigError(f"extraction.model={size.model}: the published loop is one of two stages; give such a model")
    with tempfile.TemporaryDirectory() as folder:
        places = write_photos(Path(folder), size.images)
        found: dict[str, Tensor] = {}

        def published() -> None:
            found["published"], _ = published_loop(exact, network, places)

        def ours(name: NetworkPrecision) -> None:
            batches = extract_places(models[name], places, batch_size=size.batch_size, workers=size.workers)
            found[name] = torch.stack([f.descriptor for batch in batches for _, f in batch.features])

        timings = compare({"published": published, **{name: partial(ours, name) for name in names}}, size.rounds)
        flops = size.images * _flops(exact)
    notes = {
        name: f"{size.images / timing.seconds:.1f} images/s, descriptors' cosine to float32 at least "
        f"{float((found[name] * found['float32']).sum(1).min()):.4f}"
        for name, timing in timings.items()
    }
    floors = dict.fromkeys(("published", "float32"), flops / peaks.float32) if size.device == "cpu" else {}
    return Report(
        "extraction",
        f"{size.images} JPEG photos of {_PHOTO[0]}x{_PHOTO[1]} through {size.model} at {size.size} px on {size.device}"
        f"{', compiled' if size.compile else ''}, {torch.get_num_threads()} threads, {size.workers} loading processes, "
        f"batches of {size.batch_size} (published: {PUBLISHED_BATCH}), median of {size.rounds}.",
        rows_of(timings, floors, notes),
        (
            "The floor is the network's products alone. The published loop resizes without antialiasing, whatever the "
            "model was trained with: hence its other descriptors.",
        ),
    )


def write_photos(folder: Path, count: int) -> list[Place]:
    """JPEG files that compress like photos: smooth shapes with fine noise."""
    places = []
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize(_PHOTO, Image.Resampling.BICUBIC)
        noisy = np.asarray(coarse, np.float32) + rng.normal(0, 6, (_PHOTO[1], _PHOTO[0], 1))
        path = folder / f"{number:04d}.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        places.append(Place(path.name, path))
    return places


@torch.inference_mode()
def published_loop(model: PlaceModel, network: FoL, places: Sequence[Place]) -> tuple[Tensor, list[Tensor]]:
    """Descriptors ``[N, D]`` and padded local features as the published evaluation computes them.

    Official: datasets.py, test_FoL.py.

    float32 in batches of 16; photos become float tensors, are normalised and then resized, in this process; the last
    block's attention is computed a second time as whole matrices; local features are padded to one length.
    """
    preprocessing = model.card.preprocessing
    descriptors, local = [], []
    for start in range(0, len(places), PUBLISHED_BATCH):
        photos = []
        for place in places[start : start + PUBLISHED_BATCH]:
            with Image.open(place.image) as image:
                pixels = torch.from_numpy(np.array(image.convert("RGB")))
            photo = preprocessing.normalise(pixels.permute(2, 0, 1).contiguous().float().div(255))
            photos.append(functional.interpolate(photo[None], preprocessing.image_size, mode="bilinear")[0])
        with whole_attention(network):
            features = network.features(torch.stack(photos).to(model.device))
        for one in features:
            missing = max(0, PADDED_TOKENS - len(one.local))
            local.append(functional.pad(one.local.descriptors, (0, 0, 0, missing)).cpu())
            descriptors.append(one.descriptor.cpu())
    return torch.stack(descriptors), local


@contextmanager
def whole_attention(network: FoL) -> Iterator[list[Tensor]]:
    """Compute the last block's attention ``[B, heads, N, N]`` beside the fused one (official: dinov2_FoL.py).

    Gives the class token's row of each forward pass over the patches, summed over heads: what is needed of it.
    """
    heads, rows = network.backbone.config.heads, list[Tensor]()

    def attend(_: nn.Module, __: Any, qkv: Tensor) -> None:
        query, key, _value = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        attention = ((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)).softmax(-1)
        rows.append(attention[:, :, 0, 1:].sum(1))

    last = network.backbone.get_submodule(f"blocks.{len(network.backbone.blocks) - 1}.attn.qkv")
    handle = last.register_forward_hook(attend)
    try:
        yield rows
    finally:
        handle.remove()


def _flops(model: PlaceModel) -> int:
    """Of one photo, two for a product and its sum."""
    with FlopCounterMode(display=False) as counter:
        model.extract(torch.zeros(1, 3, *model.card.preprocessing.image_size, dtype=torch.uint8))
    return int(counter.get_total_flops())
