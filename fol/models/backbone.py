"""DINOv2: patch tokens, class token, and the class attention of one block as a single row.

Sources: DINOv2 ``vision_transformer.py`` (positional embedding), FoL ``backbone/dinov2_FoL.py`` (attention tap).
The parameters live in timm's ViT blocks, whose names are DINOv2's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from timm.layers import PatchEmbed, SwiGLUPacked
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional

from fol.errors import ConfigError

PATCH_SIZE = 14
#: DINOv2 adds this to the grid size before it divides by the trained one (``interpolate_offset``).
POSITION_OFFSET = 0.1

AttentionName = Literal["sdpa", "xformers"]
#: Queries, keys and values ``[B, heads, N, d]`` to outputs of the same shape.
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class BackboneConfig:
    """Size of a DINOv2 transformer. ``position_grid`` is the side of the trained positional grid.

    ``trainable_blocks`` counts from the last; all of them together with the embeddings when it is ``depth``. ``stem``:
    how a patch becomes a token: DINOv2's one matrix, or ``ConvolutionalStem``.
    """

    channels: int
    depth: int
    heads: int
    mlp_hidden: int
    ffn: Literal["mlp", "swiglu"] = "mlp"
    position_grid: int = 37
    trainable_blocks: int = 4
    stem: Literal["linear", "convolutional"] = "linear"
    takes_any_size: ClassVar[bool] = False  # sides are multiples of 14

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """``ConfigError`` for a size (height, width) whose sides are no multiples of 14."""
        if any(side < PATCH_SIZE or side % PATCH_SIZE for side in image_size):
            raise ConfigError(
                f"image_size {image_size[0]}x{image_size[1]}: both sides must be multiples of {PATCH_SIZE}"
            )

    def describe(self) -> str:
        """For people."""
        return f"{self.channels} channels, {self.depth} blocks, {self.heads} heads"


@dataclass(frozen=True, eq=False)
class Tokens:
    """Output of the backbone for a batch.

    ``class_token [B, C]`` and ``patch_map [B, C, h, w]`` after the final LayerNorm; ``class_attention [B, h*w]``: the
    class row of the last block's attention over the patches, summed over heads (so it sums to at most ``heads``).
    """

    class_token: Tensor
    patch_map: Tensor
    class_attention: Tensor


def resolve_attention(name: AttentionName) -> Attention:
    """The attention kernel by name; ``ConfigError`` when xformers is asked for and not installed."""
    if name == "sdpa":
        return _attend
    if name != "xformers":
        raise ConfigError(f"attention {name!r} is unknown; choose sdpa or xformers")
    try:
        from xformers.ops import memory_efficient_attention
    except ImportError as error:
        raise ConfigError("attention=xformers needs the package: pip install 'fol[gpu]'") from error

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        output = memory_efficient_attention(query, key, value)
        return torch.transpose(output, 1, 2)

    return attend


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    if query.requires_grad and query.dtype == torch.bfloat16 and query.device.type == "cpu":
        # torch's fused kernel for CPUs takes twice as long there as the plain products.
        return torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1), -1) @ value
    return functional.scaled_dot_product_attention(query, key, value)


def interpolate_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Patch positional embedding ``[1, M*M, C]`` resampled to ``[1, h*w, C]``, as DINOv2 does.

    Bicubic without antialias, with the scale factor (h + 0.1) / M given explicitly: the offset changes the
    sampling positions, so resizing to (h, w) does not give the same numbers.
    """
    side = round(positions.shape[1] ** 0.5)
    if grid == (side, side):
        return positions
    planes = positions.float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resampled: Tensor = functional.interpolate(
        planes,
        scale_factor=[(length + POSITION_OFFSET) / side for length in grid],
        mode="bicubic",
        antialias=False,
    )
    return resampled.flatten(2).transpose(1, 2).to(positions.dtype)


def class_attention(query: Tensor, key: Tensor) -> Tensor:
    """Attention of token 0 over tokens 1.., summed over heads: ``[B, heads, N, d]`` twice to ``[B, N-1]``.

    Only this row is computed; the softmax runs over all N tokens as in the full matrix.
    """
    logits = (query[:, :, :1] * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    return torch.softmax(logits, -1)[:, :, 0, 1:].sum(1)


class ConvolutionalStem(nn.Module):
    """Patches to tokens by two small convolutions and one of 7x7: ``[B, 3, H, W]`` to ``[B, h*w, C]``.

    Learns from scratch in far fewer steps than one matrix per patch (Xiao et al., "Early convolutions help transformers
    see better", NeurIPS 2021). Instance normalisation takes light and contrast of the photo out of the first filters
    (Pan et al., IBN-Net, ECCV 2018).
    """

    def __init__(self, channels: int, width: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.norm1 = nn.InstanceNorm2d(width, affine=True)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm2 = nn.InstanceNorm2d(2 * width, affine=True)
        self.conv3 = nn.Conv2d(2 * width, channels, PATCH_SIZE // 2, stride=PATCH_SIZE // 2)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens of the patches in raster order."""
        fine = functional.gelu(self.norm1(self.conv1(images)))
        fine = functional.gelu(self.norm2(self.conv2(fine)))
        patches: Tensor = self.conv3(fine)
        return patches.flatten(2).transpose(1, 2)


class DinoV2(nn.Module):
    """DINOv2 without register tokens, for any input whose sides are multiples of 14.

    The first ``depth - trainable_blocks`` blocks, and the embeddings before them, never get gradients, as in the
    published training; they run under ``no_grad``. Nothing is frozen when that number is zero (training from scratch).
    """

    def __init__(self, config: BackboneConfig, attention: AttentionName = "sdpa") -> None:
        super().__init__()
        self.config = config
        self._attend = resolve_attention(attention)
        channels = config.channels
        self.patch_embed = (
            ConvolutionalStem(channels)
            if config.stem == "convolutional"
            else PatchEmbed(None, PATCH_SIZE, 3, channels, strict_img_size=False)
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.position_grid**2 + 1, channels))
        swiglu = config.ffn == "swiglu"
        block = partial(
            Block,
            channels,
            config.heads,
            # timm counts gate and value together, and takes the width as a ratio.
            mlp_ratio=config.mlp_hidden * (2 if swiglu else 1) / channels,
            qkv_bias=True,
            init_values=1e-5,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            **({"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU} if swiglu else {}),
        )
        self.blocks = nn.ModuleList(block() for _ in range(config.depth))
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)

    def forward(self, images: Tensor) -> Tokens:
        """Tokens of ``images [B, 3, H, W]``; ``ConfigError`` when H or W is not a multiple of 14."""
        height, width = images.shape[-2:]
        self.config.check_image_size((height, width))
        grid = (height // PATCH_SIZE, width // PATCH_SIZE)
        frozen = len(self.blocks) - self.config.trainable_blocks
        with torch.set_grad_enabled(torch.is_grad_enabled() and frozen == 0):
            tokens = self._embed(images, grid)
            for block in self.blocks[:frozen]:
                tokens, _ = self._run(block, tokens)
        attention = tokens.new_zeros(())
        for block in self.blocks[frozen:]:
            tokens, attention = self._run(block, tokens, with_attention=block is self.blocks[-1])
        tokens = self.norm(tokens)
        patch_map = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
        return Tokens(tokens[:, 0], patch_map, attention)

    def frozen_parameters(self) -> Iterator[nn.Parameter]:
        """Those that never get a gradient: embeddings and all but the last ``trainable_blocks`` blocks."""
        frozen = len(self.blocks) - self.config.trainable_blocks
        if frozen:
            yield from (self.cls_token, self.pos_embed, *self.patch_embed.parameters())
            yield from self.blocks[:frozen].parameters()

    def _embed(self, images: Tensor, grid: tuple[int, int]) -> Tensor:
        patches = self.patch_embed(images) + interpolate_positions(self.pos_embed[:, 1:], grid)
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        return torch.cat([first, patches], dim=1)

    def _run(self, block: Block, tokens: Tensor, with_attention: bool = False) -> tuple[Tensor, Tensor]:
        """One pre-norm block; its class attention too when asked for, from the same queries and keys."""
        batch, length, channels = tokens.shape
        qkv = block.attn.qkv(block.norm1(tokens)).view(batch, length, 3, self.config.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = self._attend(query, key, value).transpose(1, 2).reshape(batch, length, channels)
        output = tokens + block.ls1(block.attn.proj(mixed))
        output = output + block.ls2(block.mlp(block.norm2(output)))
        return output, class_attention(query, key) if with_attention else tokens.new_zeros(())
