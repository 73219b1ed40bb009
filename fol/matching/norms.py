"""Lengths of many rows, without copies of them."""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 2**20  # numbers converted at a time on a CPU


def row_norms(rows: Tensor) -> Tensor:
    """Euclidean length of every row ``[L]`` float32 of ``rows [L, D]``, in any floating-point type.

    Squares are added in float32, also those of float16, which would overflow.
    """
    rows = rows.detach()
    if rows.dtype == torch.float32 or rows.device.type != "cpu":
        norms: Tensor = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32)
        return norms
    out = torch.empty(rows.shape[0])
    step = max(1, _BLOCK // max(1, rows.shape[1]))
    for start in range(0, rows.shape[0], step):
        out[start : start + step] = torch.linalg.vector_norm(rows[start : start + step].float(), dim=1)
    return out
