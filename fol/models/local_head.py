"""Fine local descriptors on a grid four times denser than the patches, and where its cells lie in the image.

Source: FoL ``network_FoL.py:18-36``. The geometry follows from two transposed convolutions of stride 2: patch i is
centred on fine cell 4i, so the centre of fine cell j is at 3.5 j + 7 pixels, for any input size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fol.models.precision import at_least_float32

#: Fine cells per patch step.
UPSAMPLING = 4
#: Distance between the centres of neighbouring fine cells, and the first centre, in input pixels.
FINE_STRIDE = 3.5
FINE_OFFSET = 7.0


def fine_size(patches: int) -> int:
    """Cells along a side of ``patches`` patches: 16 -> 61, 23 -> 89, 36 -> 141."""
    return UPSAMPLING * patches - 3


def fine_positions(grid: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """Pixel centres (x, y) of the fine cells ``[fh, fw, 2]`` in the network's input."""
    rows, columns = (torch.arange(length, device=device) * FINE_STRIDE + FINE_OFFSET for length in grid)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1)


def patch_of_fine_cell(patches: int, centred: bool, device: torch.device | None = None) -> Tensor:
    """Patch index that each of the ``4 * patches - 3`` fine cells of a side belongs to, int64.

    ``centred``: patch i owns the cells 4i-2 .. 4i+1 around its true centre 4i. Otherwise the published
    nearest-neighbour resize of the patch mask (official: network_FoL.py:42), which is shifted by up to two cells.
    """
    cells = torch.arange(fine_size(patches), device=device)
    if centred:
        return (cells + 2) // UPSAMPLING
    identity = torch.arange(patches, device=device, dtype=torch.float32)[None, None]
    return functional.interpolate(identity, fine_size(patches), mode="nearest")[0, 0].long()


class LocalHead(nn.Module):
    """Two transposed convolutions: ``[B, C, h, w]`` patch features to ``[B, 4h-3, 4w-3, 128]`` unit descriptors."""

    def __init__(self, channels: int, hidden: int = 256, dim: int = 128) -> None:
        super().__init__()
        self.dim = dim
        self.upconv1 = nn.ConvTranspose2d(channels, hidden, 3, stride=2, padding=1)
        self.upconv2 = nn.ConvTranspose2d(hidden, dim, 3, stride=2, padding=1)

    def forward(self, patch_map: Tensor) -> Tensor:
        """Dense unit descriptors, channels last, float32 also where the convolutions are not."""
        fine = self.upconv2(functional.relu(self.upconv1(patch_map)))
        return functional.normalize(at_least_float32(fine.permute(0, 2, 3, 1)), dim=-1)
