"""The losses of one training step, forward and backward from the network's output, against plain loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from fol.benchmarks.measuring import compare
from fol.benchmarks.peaks import Peaks
from fol.benchmarks.report import Report, rows_of
from fol.losses import FOL_LOSSES, OFFICIAL_LOSSES, FoLLoss
from fol.losses.alignment import official_alignment
from fol.losses.mining import official_hard_triplets
from fol.losses.multi_similarity import multi_similarity
from fol.losses.official_pseudo_correspondence import official_pseudo_correspondence
from fol.models.backbone import Tokens
from fol.models.fol import FoLOutput
from fol.models.local_head import fine_size, patch_of_fine_cell
from fol.models.regions import OFFICIAL_REGIONS, RegionMaps, region_maps, select_patches, upsample_map

#: The published code pads the local features of an image to this many.
PADDED_TOKENS = 3600
#: Widths of the published network on ViT-B.
CHANNELS, CLUSTERS, LOCAL_DIM, DESCRIPTOR_DIM, HEADS = 768, 64, 128, 8448, 12


def random_output(places: int, images: int, size: int) -> FoLOutput:
    """Output of a network on ``places * images`` photos; those of a place are alike. Leaves take gradients."""
    generator = torch.Generator().manual_seed(0)
    side, count = size // 14, places * images
    fine = fine_size(side)

    def alike(*shape: int) -> Tensor:
        place = torch.randn(places, 1, *shape, generator=generator).expand(-1, images, *shape)
        return (place + 0.6 * torch.randn(places, images, *shape, generator=generator)).flatten(0, 1)

    attention = (HEADS * alike(side * side).softmax(1)).requires_grad_()
    assignment = (alike(CLUSTERS, side * side) * 2).softmax(1).mul(alike(1, side * side).sigmoid()).requires_grad_()
    maps: RegionMaps = region_maps(assignment, attention, OFFICIAL_REGIONS)
    combined = maps.combine("both")
    return FoLOutput(
        descriptor=functional.normalize(alike(DESCRIPTOR_DIM), dim=1).requires_grad_(),
        dense_local=functional.normalize(alike(fine, fine, LOCAL_DIM), dim=-1).requires_grad_(),
        tokens=Tokens(alike(CHANNELS), alike(CHANNELS, side, side), attention),
        attention_guide=attention,
        assignment=assignment,
        maps=maps,
        region_map=combined.view(count, side, side),
        selected=select_patches(combined, OFFICIAL_REGIONS.selection).view(count, side, side),
    )


def padded_tokens(output: FoLOutput) -> Tensor:
    """Local features of the selected patches, padded with zeros to a common length (official: network_FoL.py:42-68)."""
    cells = patch_of_fine_cell(output.selected.shape[1], centred=False)
    fine = output.selected[:, cells][:, :, cells]
    sets = [x[mask] for x, mask in zip(output.dense_local, fine, strict=True)]
    length = max(PADDED_TOKENS, *(len(x) for x in sets))
    return torch.stack([functional.pad(x, (0, 0, 0, length - len(x))) for x in sets])


def similarity_of_two(first: Tensor, second: Tensor) -> Tensor:
    """Mean cosine of mutual nearest neighbours above 0.7: one whole matrix per pair (official: loss.py:204-239)."""
    matrix = torch.matmul(first, second.T)
    to_second, to_first = matrix.argmax(1), matrix.argmax(0)
    mutual = torch.nonzero(to_first[to_second] == torch.arange(len(first))).squeeze(1)
    cosine = (first[mutual] * second[to_second[mutual]]).sum(1)
    cosine = cosine[cosine > 0.7]
    return cosine.mean() if len(cosine) else first.sum() * 0


def published_step(output: FoLOutput, labels: Tensor, partner: list[int]) -> Tensor:
    """All terms image by image and triplet by triplet, two whole similarity matrices per triplet."""
    tokens = padded_tokens(output)
    triplets = zip(*(t.tolist() for t in official_hard_triplets(output.descriptor, labels)), strict=True)
    local = torch.zeros(())
    for anchor, positive, negative in triplets:
        to_positive = similarity_of_two(tokens[anchor], tokens[positive])
        to_negative = similarity_of_two(tokens[anchor], tokens[negative])
        local = local + functional.relu(to_negative - to_positive)
    fine = upsample_map(output.region_map, (output.dense_local.shape[1], output.dense_local.shape[2]))

    def prototype(image: int, inside: bool) -> Tensor:
        weight = fine[image] if inside else 1 - fine[image]
        return functional.normalize((output.dense_local[image].detach() * weight[..., None]).sum((0, 1)), dim=0)

    contrast = torch.zeros(())
    for image, other in enumerate(partner):
        foreground = 1 - prototype(image, True) @ prototype(other, True)
        background = 1 - prototype(image, False) @ prototype(other, False)
        contrast = contrast + 0.7 * foreground + 0.3 * background
    pseudo, _ = official_pseudo_correspondence(
        functional.normalize(output.tokens.patch_map.flatten(2), dim=1),
        output.assignment.detach(),
        output.dense_local,
        output.attention_guide.detach(),
        labels,
        (output.selected.shape[1], output.selected.shape[2]),
    )
    return (
        multi_similarity(output.descriptor, labels, OFFICIAL_LOSSES.multi_similarity_options)
        + local
        + 5e-3 * official_alignment(output.maps.aggregation, output.maps.extraction)
        + contrast / len(labels)
        + 1e-2 * pseudo
    )


@dataclass(frozen=True)
class LossesSize:
    """``places`` x ``images`` photos of ``size`` pixels; every formulation ``rounds`` times."""

    places: int = 4
    images: int = 4
    size: int = 322
    rounds: int = 1


def measure(size: LossesSize, peaks: Peaks | None = None) -> Report:
    """All losses forward and backward, ours batched (256 tokens per image, and every token) against the loops."""
    output = random_output(size.places, size.images, size.size)
    labels = torch.arange(size.places).repeat_interleave(size.images)
    first = torch.arange(size.places).repeat_interleave(size.images) * size.images
    partner = first + (torch.arange(len(labels)) + 1) % size.images
    local = FOL_LOSSES.local_triplet_options
    every = replace(local, stride=1, max_tokens=PADDED_TOKENS, similarity="mean", margin=0.0, pairs_at_once=4)
    forms: dict[str, Callable[[], Tensor]] = {
        "published, loops": lambda: published_step(output, labels, partner.tolist()),
        "fol, batched": lambda: FoLLoss(FOL_LOSSES)(output, labels).total,
        "fol, batched, every token": lambda: (
            FoLLoss(replace(FOL_LOSSES, local_triplet_options=every))(output, labels).total
        ),
    }
    values: dict[str, float] = {}

    def step(name: str) -> None:
        output.dense_local.grad = None
        total = forms[name]()
        total.backward(retain_graph=True)
        values[name] = float(total.detach())

    timings = compare({name: partial(step, name) for name in forms}, size.rounds)
    expected = float(FoLLoss(OFFICIAL_LOSSES)(output, labels, cel_partner=partner).total.detach())
    return Report(
        "losses",
        f"Forward and backward from the network's output, {size.places} places x {size.images} photos at {size.size} "
        f"px, {torch.get_num_threads()} threads, median of {size.rounds}.",
        rows_of(timings),
        (f"The loops and loss.form=official differ by {abs(values['published, loops'] - expected):.1e}.",),
    )
