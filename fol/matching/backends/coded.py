"""What the integer precisions mean, for every backend to share: whole numbers decide, floats only report.

int8: two tokens have the key ``codes_q . codes_c + whole_bias_q + whole_bias_c``, an integer that grows with their
cosine; nearest means largest key. binary: nearest means the least Hamming distance between the signs of the codes.
Whatever computes these integers, in whatever order, gets the same matches, and from here the same similarities.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from fol.matching.quantisation import Quantiser

# Keys stay within int32 whatever the descriptors: the product of two codes of up to 2^15 dimensions is below 2^29.
MAX_BIAS = 2**29


def whole_bias(bias: Tensor, quantiser: Quantiser) -> Tensor:
    """``bias [L]`` in units of a product of codes, rounded half to even: int32 ``[L]``."""
    units = bias.double() * (quantiser.scale * quantiser.scale)
    return units.round().clamp(-MAX_BIAS, MAX_BIAS).to(torch.int32)


def int8_similarity(products: Tensor, query_bias: Tensor, candidate_bias: Tensor, quantiser: Quantiser) -> Tensor:
    """Cosines float32 of integer products ``codes_q . codes_c`` and the float32 biases of the same pairs.

    In float64 and in this order, so that equal integers give equal bits everywhere.
    """
    centred = products.double() / (quantiser.scale * quantiser.scale)
    return (centred + query_bias.double() + candidate_bias.double() - quantiser.squared_mean).float()


@lru_cache(maxsize=16)
def hamming_similarities(dim: int) -> Tensor:
    """``cos(pi H / D)`` for the Hamming distances H = 0..D: ``[D + 1]`` float32 on the CPU.

    The share of hyperplanes through the mean that separate two descriptors estimates the angle between them, seen from
    the mean: a centred cosine, not the one of the other precisions.
    """
    return torch.tensor([math.cos(math.pi * distance / dim) for distance in range(dim + 1)], dtype=torch.float32)


def binary_similarity(distances: Tensor, dim: int) -> Tensor:
    """Centred cosines float32 of integer Hamming ``distances``."""
    return hamming_similarities(dim).to(distances.device, non_blocking=True)[distances.long()]


def signs(codes: Tensor) -> Tensor:
    """The binary code of int8 ``codes [L, D]``: True where not negative."""
    return codes >= 0
