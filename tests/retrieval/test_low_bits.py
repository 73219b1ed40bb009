from __future__ import annotations

import numpy as np
import pytest

from fol.retrieval import low_bits


def _descriptors(length: int, dim: int, spread: float) -> np.ndarray:
    return (spread * np.random.default_rng(length + dim).normal(size=(length, dim))).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 2, 1])
@pytest.mark.parametrize("dim", [128, 9])
def test_codes_point_the_same_way_and_products_are_unbiased(bits: int, dim: int) -> None:
    centred = _descriptors(400, dim, 20.0)
    packed, scales = low_bits.pack(centred, bits)
    assert packed.shape == (400, -(-dim * bits // 8))
    codes = np.empty((400, dim), np.int8)
    low_bits.unpack(packed, scales, bits, codes)
    along = (codes * centred).sum(1) / (centred * centred).sum(1)
    assert abs(along.mean() - 1) < 0.02
    assert len(np.unique(abs(codes[0]))) <= 2 ** (bits - 1)
    if dim == 128:
        # Cosine between a Gaussian vector and its best levels: sqrt(1 - distortion), distortions as Max gives them.
        cosine = along * np.linalg.norm(centred, axis=1) / np.linalg.norm(codes.astype(float), axis=1)
        assert cosine.mean() == pytest.approx(np.sqrt(1 - {4: 0.009497, 2: 0.1175, 1: 0.3634}[bits]), abs=0.005)


@pytest.mark.parametrize("bits", [4, 2, 1])
def test_without_numba_the_same_codes(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, scales = low_bits.pack(_descriptors(300, 16, 30.0), bits)
    scales[:256] = np.arange(256)
    compiled, plain = (np.empty((300, 16), np.int8) for _ in range(2))
    low_bits.unpack(packed, scales, bits, compiled)
    monkeypatch.setattr(low_bits, "_kernel", lambda: None)
    low_bits.unpack(packed, scales, bits, plain)
    assert np.array_equal(compiled, plain)


@pytest.mark.parametrize("bits", [4, 2, 1])
def test_extremes(bits: int) -> None:
    centred = np.zeros((3, 8), np.float32)
    centred[1] = 127
    centred[2, 0] = 1e-20
    packed, scales = low_bits.pack(centred, bits)
    codes = np.empty((3, 8), np.int8)
    low_bits.unpack(packed, scales, bits, codes)
    assert not codes[0].any() and not codes[2].any()  # at the mean itself there is nothing to tell
    assert (codes[1] == codes[1, 0]).all() and abs(int(codes[1, 0]) - 127) <= 2
