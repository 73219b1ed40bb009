"""Codes of descriptors that come without: the same bits as ``Quantiser.encode`` gives, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fol.matching.backends.cpu_compile import compiled
from fol.matching.backends.cpu_mutual import Array
from fol.matching.inputs import Codes, TokenSet
from fol.matching.quantisation import MAX_CODE, Quantiser

_NEAREST = np.float32(1.5 * 2**23)  # adding it to a small float32 rounds that to a whole number, half to even
_LIMIT = np.float32(MAX_CODE)


def encode(tokens: TokenSet, quantiser: Quantiser) -> tuple[Tensor, Tensor]:
    """As ``TokenSet.encoded``."""
    if isinstance(tokens.stored, Codes) or quantiser.rotation is not None:
        return tokens.encoded(quantiser)
    return encode_codes(tokens, quantiser), quantiser.bias(tokens.compact()[0])


def encode_codes(tokens: TokenSet, quantiser: Quantiser) -> Tensor:
    """Without the bias."""
    if isinstance(tokens.stored, Codes) or quantiser.rotation is not None:
        return tokens.encoded(quantiser)[0]
    rows = tokens.compact()[0].detach().float().contiguous()
    codes = np.empty(tuple(rows.shape), np.int8)
    _round(rows.numpy(), quantiser.mean.numpy(), np.float32(quantiser.scale), codes)
    return torch.from_numpy(codes)


@compiled
def _round(rows: Array, mean: Array, scale: Any, codes: Array) -> None:
    for i in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            value = (rows[i, k] - mean[k]) * scale
            value = min(max(value, -_LIMIT), _LIMIT)
            codes[i, k] = np.int8(np.int32((value + _NEAREST) - _NEAREST))
