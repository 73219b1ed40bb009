"""NetVLAD as one product against the published form, which makes all K x D x N differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from fol.benchmarks.measuring import Timing, compare
from fol.benchmarks.peaks import Peaks
from fol.benchmarks.report import Report, rows_of
from fol.models.aggregation import NetVlad, NetVladConfig


def published_residuals(net: NetVlad, feature_map: Tensor) -> Tensor:
    """Residual sums ``[B, K, D]`` by broadcasting (official: OpenIBL netvlad.py, pytorch-NetVlad netvlad.py)."""
    features = functional.normalize(feature_map, dim=1)
    assignment = net.conv(features).softmax(1).flatten(2)
    differences: Tensor = features.flatten(2)[:, None] - net.centroids[None, :, :, None]
    differences *= assignment[:, :, None]
    return differences.sum(-1)


@dataclass(frozen=True)
class NetvladSize:
    """``images`` maps of ``channels`` x ``height`` x ``width`` cells, ``clusters``; each form ``rounds`` times.

    The defaults are one photo of 480x640 pixels through VGG16.
    """

    images: int = 1
    channels: int = 512
    height: int = 30
    width: int = 40
    clusters: int = 64
    rounds: int = 5


def measure(size: NetvladSize, peaks: Peaks | None = None) -> Report:
    """Forward and backward as in training, then forward alone as in extraction: each pair in one comparison."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(size.images, size.channels, size.height, size.width, generator=generator)
    net = NetVlad(NetVladConfig(size.channels, size.clusters))
    leaf = maps.clone().requires_grad_()
    forms: dict[str, Callable[[Tensor], Tensor]] = {
        "published, all differences": partial(published_residuals, net),
        "fol, one product": net.raw,
        "fol, nine regions": net.raw_regions,
    }

    def train(form: Callable[[Tensor], Tensor]) -> None:
        leaf.grad = None
        net.zero_grad()
        form(leaf).square().sum().backward()

    def extract(form: Callable[[Tensor], Tensor]) -> None:
        with torch.inference_mode():
            form(maps)

    training = compare({name: partial(train, form) for name, form in forms.items()}, size.rounds)
    forward = compare({f"{name}, forward": partial(extract, form) for name, form in forms.items()}, size.rounds)
    # Assignment and sums are two products; going back, each has two.
    products = 2 * 2.0 * size.images * size.clusters * size.channels * size.height * size.width
    floors: dict[str, float] = {}
    if peaks is not None:
        floors = dict.fromkeys(training, 3 * products / peaks.float32)
        floors |= dict.fromkeys(forward, products / peaks.float32)
    with torch.inference_mode():
        difference = float((published_residuals(net, maps) - net.raw(maps)).abs().max())
    return Report(
        "netvlad",
        f"{size.images} maps of {size.channels} x {size.height} x {size.width}, {size.clusters} clusters, "
        f"{torch.get_num_threads()} threads, median of {size.rounds}; forward and backward, then forward alone.",
        rows_of({**training, **forward}, floors, _less_memory(training) | _less_memory(forward)),
        (f"The forms differ by at most {difference:.1e}. Each is compared with the published one of its own kind.",),
    )


def _less_memory(timings: Mapping[str, Timing]) -> dict[str, str]:
    """How many times less extra memory each takes than the first, where the system tells."""
    first, *others = timings
    base = timings[first].peak_bytes
    return {
        name: f"{base / peak:.1f} times less memory"
        for name in others
        if base is not None and (peak := timings[name].peak_bytes)
    }
