"""Which cells of the dense local descriptors the ``fol`` losses look at, and reading them.

Cells are numbered through a whole batch: cell (row, column) of image b is ``(b * fh + row) * fw + column``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fol.losses.options import LocalTripletOptions
from fol.models.local_head import UPSAMPLING, fine_size, patch_of_fine_cell
from fol.models.regions import upsample_map


def read_cells(dense_local: Tensor, *cells: Tensor) -> tuple[Tensor, ...]:
    """Descriptors ``[..., d]`` of several sets of cell numbers ``[...]``, from ``dense_local [B, fh, fw, d]``.

    They are read in one lookup, so that the backward pass writes one gradient of the size of ``dense_local`` instead of
    adding up one per set; that addition would cost more than all the rest of the losses.
    """
    dim = dense_local.shape[-1]
    rows = dense_local.reshape(-1, dim).index_select(0, torch.cat([c.flatten() for c in cells]))
    parts = rows.split([c.numel() for c in cells])
    return tuple(part.view(*c.shape, dim) for part, c in zip(parts, cells, strict=True))


def rows_of(features: Tensor, index: Tensor) -> Tensor:
    """Rows ``index [B, K]`` of ``features [B, N, d]``, as ``[B, K, d]``; backward adds whole rows, which is fast."""
    batch, count, dim = features.shape
    offset = torch.arange(batch, device=index.device).unsqueeze(1) * count
    return features.reshape(-1, dim).index_select(0, (index + offset).flatten()).view(*index.shape, dim)


@torch.no_grad()
def token_cells(region_map: Tensor, selected: Tensor, options: LocalTripletOptions) -> tuple[Tensor, Tensor]:
    """Cells in the selected patches, the same number of slots for every image: ``[B, K]`` and which are valid.

    Every ``stride``-th row and column of cells is a candidate; kept are the ``max_tokens`` with the largest
    ``region_map [B, h, w]`` that lie in a patch of ``selected [B, h, w]``. Slots left over are not valid. No size
    depends on the data, so nothing waits for the device.
    """
    device = selected.device
    fine = fine_size(selected.shape[1]), fine_size(selected.shape[2])
    rows, columns = (torch.arange(0, side, options.stride, device=device) for side in fine)
    patch_rows, patch_columns = (
        patch_of_fine_cell(patches, True, device)[kept]
        for patches, kept in zip(selected.shape[1:], (rows, columns), strict=True)
    )
    chosen = selected[:, patch_rows][:, :, patch_columns].flatten(1)
    strength = upsample_map(region_map, fine)[:, rows][:, :, columns].flatten(1)
    slots = min(options.max_tokens, chosen.shape[1])
    best = strength.masked_fill(~chosen, -torch.inf).topk(slots, dim=1).indices
    cells = (rows[:, None] * fine[1] + columns[None, :]).flatten()[best]
    image = torch.arange(len(selected), device=device).unsqueeze(1)
    return cells + image * (fine[0] * fine[1]), chosen.gather(1, best)


@torch.no_grad()
def patch_cells(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """One cell for each of the n = h*w patches of the images ``[S, B]`` (numbers in the batch): ``[S, B, n]``.

    It is the true centre of the patch (fine cell 4r) or a cell next to it: which of its sixteen (4r-2 .. 4r+1, held
    inside the map) goes round with the column of ``images``, so that all phases of the transposed convolutions are
    trained. Images that are compared with each other stand in one column and are read alike.
    """
    device = images.device
    fine = fine_size(grid[0]), fine_size(grid[1])
    column = torch.arange(images.shape[1], device=device).unsqueeze(1)
    phases = (column % UPSAMPLING, column // UPSAMPLING % UPSAMPLING)
    rows, columns = (
        (torch.arange(patches, device=device) * UPSAMPLING + phase - 2).clamp(0, side - 1)
        for patches, phase, side in zip(grid, phases, fine, strict=True)
    )
    cells = (rows.unsqueeze(2) * fine[1] + columns.unsqueeze(1)).flatten(1)
    return images.unsqueeze(2) * (fine[0] * fine[1]) + cells
