from __future__ import annotations

import importlib.util

import pytest
import torch
from timm.layers import SwiGLUPacked

from fol.errors import ConfigError
from fol.models.architecture import initialise
from fol.models.backbone import BackboneConfig, DinoV2, class_attention, interpolate_positions
from fol.models.cards import CARDS, dinov2

SMALL = BackboneConfig(channels=32, depth=5, heads=2, mlp_hidden=64, position_grid=5, trainable_blocks=2)


def cubic_kernel(x: float, a: float = -0.75) -> float:
    """Keys' cubic convolution with the parameter that torch uses."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def small_backbone() -> DinoV2:
    backbone = DinoV2(SMALL)
    initialise(backbone, seed=0)
    return backbone.eval()


def test_class_attention_is_the_first_row_of_the_full_matrix():
    query, key = torch.randn(2, 3, 3, 10, 4, dtype=torch.float64).unbind(0)
    full = torch.softmax(torch.einsum("bhid,bhjd->bhij", query, key) / 2.0, dim=-1)
    torch.testing.assert_close(class_attention(query, key), full[:, :, 0, 1:].sum(1))


def test_positions_of_the_trained_grid_are_untouched_and_others_are_sampled_with_the_offset():
    positions = torch.randn(1, 25, 8)
    assert interpolate_positions(positions, (5, 5)) is positions
    # A ramp over x has slope 1 per cell; with scale s = (7 + 0.1)/5 output j samples (j + 0.5)/s - 0.5.
    ramp = torch.arange(5.0).repeat(5, 1).reshape(1, 25, 1)
    sampled = interpolate_positions(ramp, (5, 7)).reshape(5, 7)
    position = (3 + 0.5) / (7.1 / 5) - 0.5
    weights = [cubic_kernel(position - tap) for tap in range(5)]
    assert sum(weights) == pytest.approx(1)
    assert sampled[2, 3].item() == pytest.approx(sum(w * tap for tap, w in enumerate(weights)), abs=1e-5)


@pytest.mark.parametrize("size", [(70, 70), (70, 98), (14, 28)])
def test_shapes_follow_the_input(size):
    tokens = small_backbone()(torch.randn(2, 3, *size))
    grid = (size[0] // 14, size[1] // 14)
    assert tokens.class_token.shape == (2, 32)
    assert tokens.patch_map.shape == (2, 32, *grid)
    assert tokens.class_attention.shape == (2, grid[0] * grid[1])
    assert (tokens.class_attention.sum(1) < SMALL.heads).all()


@pytest.mark.parametrize("size", [(70, 71), (0, 70)])
def test_sides_must_be_multiples_of_14(size):
    with pytest.raises(ConfigError, match="multiples of 14"):
        small_backbone()(torch.randn(1, 3, *size))


def test_only_the_last_blocks_get_gradients():
    backbone = small_backbone()
    tokens = backbone(torch.randn(1, 3, 70, 70))
    (tokens.patch_map.sum() + tokens.class_attention.sum()).backward()
    with_gradient = {
        name.split(".")[1] for name, p in backbone.named_parameters() if p.grad is not None and "blocks" in name
    }
    assert with_gradient == {"3", "4"}
    assert backbone.pos_embed.grad is None and backbone.norm.weight.grad is not None


def test_swiglu_blocks_for_the_giant():
    config = BackboneConfig(channels=48, depth=1, heads=2, mlp_hidden=128, ffn="swiglu", trainable_blocks=1)
    block = DinoV2(config).blocks[0]
    assert isinstance(block.mlp, type(SwiGLUPacked(48, 256)))
    assert block.mlp.fc1.weight.shape == (256, 48) and block.mlp.fc2.weight.shape == (48, 128)
    half = torch.randn(3, 48)
    gate, value = block.mlp.fc1(half).chunk(2, -1)
    torch.testing.assert_close(block.mlp(half), block.mlp.fc2(torch.nn.functional.silu(gate) * value))


# Totals of the published networks, which also carry DINOv2's unused mask token of C values.
@pytest.mark.parametrize(
    ("size", "published"),
    [("vits14", 24_057_792), ("vitb14", 90_056_256), ("vitl14", 308_827_456), ("vitg14", 1_142_905_664)],
)
def test_parameter_counts_are_the_published_ones(size, published):
    with torch.device("meta"):
        network = CARDS[f"fol_{size}_untrained"].architecture.build()
    assert sum(p.numel() for p in network.parameters()) + dinov2(size).channels == published


def test_xformers_is_an_option_that_says_how_to_install_it():
    if importlib.util.find_spec("xformers"):
        reference, other = small_backbone(), DinoV2(SMALL, "xformers").eval()
        other.load_state_dict(reference.state_dict())
        images = torch.randn(1, 3, 70, 70)
        torch.testing.assert_close(other(images).patch_map, reference(images).patch_map, atol=1e-4, rtol=1e-4)
    else:
        with pytest.raises(ConfigError, match=r"fol\[gpu\]"):
            DinoV2(SMALL, "xformers")
    with pytest.raises(ConfigError, match="sdpa or xformers"):
        DinoV2(SMALL, "flash")  # type: ignore[arg-type]
