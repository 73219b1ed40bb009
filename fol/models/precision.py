"""The numbers that a network computes in when it extracts features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from fol.errors import ConfigError

#: What a network computes in; weights, regions, transport plan and features are float32 in each.
NetworkPrecision = Literal["float32", "bfloat16", "float16"]


def resolve_precision(name: str, device: torch.device) -> NetworkPrecision:
    """A precision by its name; ``auto`` is the fast one that ``device`` has units for: bfloat16, else float32.

    CUDA devices without bfloat16 get float16. ``ConfigError`` for a name that there is not.
    """
    for known in get_args(NetworkPrecision):
        if name == known:
            return known  # type: ignore[no-any-return]
    if name != "auto":
        raise ConfigError(f"precision {name!r} is unknown; choose {', '.join(get_args(NetworkPrecision))} or auto")
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "bfloat16" if device.type == "cpu" and _cpu_multiplies_bfloat16() else "float32"


def network_precision(name: NetworkPrecision, device: torch.device) -> torch.autocast:
    """The context in which a network on ``device`` computes in ``name``; float32 changes nothing."""
    if name == "float32":
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, torch.bfloat16 if name == "bfloat16" else torch.float16)


def at_least_float32(values: Tensor) -> Tensor:
    """``values``, those of half precision as float32: before what their rounding would show in, such as a norm."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for it; without them it is slower than float32."""
    ask: Callable[[], dict[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)  # older versions do not say
    capabilities = ask()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
