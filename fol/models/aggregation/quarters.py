"""Nine regions of a photo from its four quarters (SFRS, ECCV 2020): what is a sum over locations can be added up.

The order is OpenIBL's: full, top, bottom, left, right, and the quarters top-left, top-right, bottom-left, bottom-right.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

REGIONS = 9


def quarters(values: Tensor) -> Iterator[Tensor]:
    """The quarters ``[B, C, n_q]`` of maps ``[B, C, h, w]``; rows are split at h // 2, columns at w // 2.

    Odd grids are fine: the quarters cover every location once.
    """
    height, width = values.shape[-2:]
    for rows in (slice(None, height // 2), slice(height // 2, None)):
        for columns in (slice(None, width // 2), slice(width // 2, None)):
            yield values[:, :, rows, columns].flatten(2)


def add_quarters(sums: Tensor) -> Tensor:
    """Sums over the quarters ``[B, 4, ...]`` to sums over the nine regions ``[B, 9, ...]``."""
    first, second, third, fourth = sums.unbind(1)
    top, left = first + second, first + third
    return torch.stack(
        [top + (third + fourth), top, third + fourth, left, second + fourth, first, second, third, fourth], dim=1
    )
