"""Random network outputs in which the images of a place resemble each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fol.losses.fol_loss import FoLLoss
from fol.models.backbone import Tokens
from fol.models.fol import FoLOutput
from fol.models.regions import FOL_REGIONS, region_maps, select_patches

assert FoLLoss  # the package is there; a missing dependency should fail here and not in every test


def make_output(
    labels: Sequence[int],
    grid: tuple[int, int] = (5, 7),
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    noise: float = 0.5,
    channels: int = 12,
    clusters: int = 4,
    dim: int = 8,
) -> FoLOutput:
    """Leaves are ``descriptor``, ``dense_local``, ``tokens.patch_map``, ``assignment``, ``tokens.class_attention``."""
    generator = torch.Generator().manual_seed(seed)
    rows, (height, width) = len(labels), grid
    index = torch.tensor(labels) - min(labels)

    def alike(*shape: int, noise: float = noise) -> Tensor:
        base = torch.randn(int(index.max()) + 1, *shape, generator=generator, dtype=torch.float64)[index]
        return base + noise * torch.randn(rows, *shape, generator=generator, dtype=torch.float64)

    def leaf(tensor: Tensor) -> Tensor:
        return tensor.to(dtype).detach().requires_grad_()

    patches = height * width
    attention = leaf(alike(patches).softmax(1) * 4)
    assignment = leaf(alike(clusters, patches).softmax(1) * alike(1, patches).sigmoid())
    maps = region_maps(assignment, attention, FOL_REGIONS)
    combined = maps.combine("both")
    return FoLOutput(
        descriptor=leaf(functional.normalize(alike(32, noise=2.0), dim=1)),
        dense_local=leaf(functional.normalize(alike(4 * height - 3, 4 * width - 3, dim), dim=-1)),
        tokens=Tokens(leaf(alike(channels)), leaf(alike(channels, height, width)), attention),
        attention_guide=attention,
        assignment=assignment,
        maps=maps,
        region_map=combined.view(rows, height, width),
        selected=select_patches(combined, 0.5).view(rows, height, width),
    )


@pytest.fixture(scope="session")
def random_output() -> Callable[..., FoLOutput]:
    """``make_output(labels, grid, ...)``."""
    return make_output
