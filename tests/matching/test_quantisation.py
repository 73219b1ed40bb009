"""Codes of descriptors, and what comes back."""

from __future__ import annotations

import pytest
import torch

from fol.matching import check_sets
from fol.matching.backends.cpu_encode import encode
from fol.matching.quantisation import MAX_SCALE, QuantisedLocalFeatures, Quantiser, random_rotation
from fol.types import LocalFeaturesBatch


def rows(count, dim=32, common=3.0, seed=0):
    """Unit rows that share a large vector."""
    noise = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(noise + common * torch.ones(dim), dim=1)


def packed(lengths=(3, 0, 5)):
    count = sum(lengths)
    return LocalFeaturesBatch(rows(count), torch.arange(2.0 * count).view(-1, 2), torch.ones(count), tuple(lengths))


def test_codes_by_hand():
    quantiser = Quantiser(torch.tensor([0.5, 0.0]), 100.0)
    codes, bias = quantiser.encode(torch.tensor([[0.6, 0.8], [0.505, -0.025], [0.5, 9.0]]))
    assert codes.dtype == torch.int8
    # 0.5 and -2.5 round to the even neighbour; 900 is cut
    assert codes.tolist() == [[10, 80], [0, -2], [0, 127]]
    torch.testing.assert_close(bias, torch.tensor([0.3, 0.2525, 0.25]))
    torch.testing.assert_close(quantiser.decode(codes[:1]), torch.tensor([[0.6, 0.8]]))


def test_the_fitted_scale_uses_all_codes_and_cuts_none():
    descriptors = rows(200)
    quantiser = Quantiser.fit(descriptors)
    torch.testing.assert_close(quantiser.mean, descriptors.mean(dim=0))
    assert quantiser.scale == MAX_SCALE  # differences are small here, finer steps than these would not pay
    spread = torch.eye(8) - torch.eye(8).roll(1, dims=0)
    assert int(Quantiser.fit(spread).encode(spread)[0].abs().max()) == 127
    assert Quantiser.fit(descriptors[:1]).scale == MAX_SCALE  # nothing to spread


@pytest.mark.parametrize("rotated", [False, True])
def test_codes_give_back_descriptors_and_cosines(rotated):
    descriptors = rows(100)
    quantiser = Quantiser.fit(descriptors, random_rotation(32, 1) if rotated else None)
    codes, bias = quantiser.encode(descriptors)
    half_step = 0.5 / quantiser.scale
    back = quantiser.decode(codes)
    assert float((back - descriptors).norm(dim=1).max()) <= half_step * 32**0.5 + 1e-5
    whole = codes.double() @ codes.double().T / quantiser.scale**2
    cosines = whole + bias[:, None] + bias - quantiser.squared_mean
    assert float((cosines - descriptors.double() @ descriptors.double().T).abs().max()) < 4 * half_step


def test_a_rotation_keeps_lengths_and_is_the_same_for_a_seed():
    rotation = random_rotation(16, 7)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(16), rtol=0, atol=1e-6)
    assert torch.equal(rotation, random_rotation(16, 7))
    assert not torch.equal(rotation, random_rotation(16, 8))


def test_packed_codes_are_a_sequence_of_features():
    features = packed()
    coded = QuantisedLocalFeatures.encode(features, Quantiser.fit(features.descriptors))
    assert len(coded) == 3
    assert [len(item) for item in coded] == [3, 0, 5]
    assert torch.equal(coded[2].positions, features[2].positions)
    assert torch.equal(coded[-1].descriptors, list(coded)[2].descriptors)
    torch.testing.assert_close(coded.decode().descriptors, features.descriptors, rtol=0, atol=0.01)
    with pytest.raises(IndexError):
        coded[3]


@pytest.mark.parametrize("dim", [1, 3, 31, 64, 128])
def test_the_compiled_encoder_gives_the_same_bits(dim):
    descriptors = rows(150, dim)
    descriptors[7] = 0.0  # padding, which is left out
    quantiser = Quantiser.fit(descriptors[20:40])  # others are cut
    tokens = check_sets(descriptors, [])[0]
    codes, bias = encode(tokens, quantiser)
    expected, expected_bias = quantiser.encode(tokens.compact()[0])
    assert len(codes) == 149
    assert torch.equal(codes, expected)
    assert torch.equal(bias, expected_bias)


def test_half_a_step_rounds_to_even_in_both_encoders():
    halves = torch.arange(-140, 140).view(-1, 1) / 2 + 0.5
    quantiser = Quantiser(torch.zeros(1), 1.0)
    with pytest.warns(UserWarning, match="not of unit length"):
        tokens = check_sets(halves[halves[:, 0] != 0], [])[0]
    assert torch.equal(encode(tokens, quantiser)[0], quantiser.encode(tokens.descriptors)[0])


def test_codes_that_move_to_a_device_twice_share_their_quantiser_there():
    quantiser = Quantiser(torch.tensor([0.5, 0.0]), 100.0, torch.eye(2))
    assert quantiser.to("cpu") is quantiser
    assert quantiser.to("meta") is quantiser.to("meta") is not quantiser
    assert quantiser.to("meta").rotation.device.type == "meta"
