"""Lengths of many rows, without copies of them."""

from __future__ import annotations

import torch
from torch import Tensor

from fol.matching.threads import map_single_threaded

_BLOCK = 2**19  # numbers at a time on a CPU: 2 MB in float32


def row_norms(rows: Tensor) -> Tensor:
    """Euclidean length of every row ``[L]`` float32 of ``rows [L, D]``, in any floating-point type.

    Squares are added in float32, also those of float16, which would overflow.
    """
    rows = rows.detach()
    step = max(1, _BLOCK // max(1, rows.shape[1]))
    if rows.device.type != "cpu" or rows.shape[0] <= step:
        return _norms(rows)
    return torch.cat(map_single_threaded(_norms, rows.split(step)))


def _norms(rows: Tensor) -> Tensor:
    # A copy in float32 is several times as fast on a CPU as a conversion inside the sum.
    norms: Tensor = torch.linalg.vector_norm(rows.float(), dim=1)
    return norms
