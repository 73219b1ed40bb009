"""How much each loss moves the network: norms of the gradients of its terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fol.losses.fol_loss import FoLLoss
from fol.models.fol import FoL


@dataclass(frozen=True)
class TermGradient:
    """One term of the total on one batch.

    ``value`` and the norms are of the unweighted term; times ``weight`` they are its share of the step. Euclidean:
    ``parameters`` of the gradient of all of the network's parameters, ``local_head`` of those of the local head alone,
    ``region_maps`` of both region maps ``[B, n]`` together, without the part that is the same for all patches of an
    image: the maps sum to 1 in either form, so that part cannot move them.
    """

    value: float
    weight: float
    parameters: float
    local_head: float
    region_maps: float


def gradient_norms(
    network: FoL,
    losses: FoLLoss,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator | None = None,
) -> Mapping[str, TermGradient]:
    """Gradients of every term that is on, by name, for ``images [B, 3, H, W]`` of the places ``labels [B]``.

    One forward pass and one backward pass per term; the ``.grad`` of the parameters is left alone.
    """
    output = network(images, training=True)
    terms = losses(output, labels, generator=generator).terms
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    maps = [output.maps.aggregation, output.maps.extraction]
    inputs = [p for _, p in named] + maps
    head = {f"local_head.{name}" for name, _ in network.local_head.named_parameters()}
    report = {}
    for name, value in terms.items():
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(value, inputs, retain_graph=True, allow_unused=True)
        of_parameters = dict(zip([n for n, _ in named], gradients, strict=False))
        report[name] = TermGradient(
            value=float(value.detach()),
            weight=losses.options.weights[name],
            parameters=_norm(of_parameters.values()),
            local_head=_norm(g for n, g in of_parameters.items() if n in head),
            region_maps=_norm(None if g is None else g - g.mean(1, keepdim=True) for g in gradients[len(named) :]),
        )
    return report


def _norm(gradients: Iterable[Tensor | None]) -> float:
    squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
