"""What this processor can do, as LLVM names it: ``avx512vnni``, ``avx2``, ``dotprod`` and so on."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache

from llvmlite import binding
from numba.core import config

VARIABLE = "FOL_CPU_FEATURES"


def cpu_features() -> frozenset[str]:
    """Names of the features that compiled code may use.

    The environment variable ``FOL_CPU_FEATURES``, a list with commas, takes away all others: for tests, and for
    machines whose wide registers slow down everything else. It cannot add what the processor lacks.
    """
    features = {name for name, present in binding.get_host_cpu_features().items() if present}
    if "amx-tile" in features and not _may_use_tiles():
        features.discard("amx-tile")
    if config.CPU_NAME not in (None, "", binding.get_host_cpu_name()) or config.CPU_FEATURES is not None:
        # numba was told to compile for another processor
        features &= {name.lstrip("+") for name in (config.CPU_FEATURES or "").split(",") if name.startswith("+")}
    allowed = os.environ.get(VARIABLE)
    return frozenset(features if allowed is None else features & {name.strip() for name in allowed.split(",")})


@cache
def _may_use_tiles() -> bool:
    """Ask the kernel for AMX, whose registers it saves only for processes that want them (Linux 5.16 and later)."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18  # Linux: arch/x86/include/uapi/asm/prctl.h
    return bool(ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0)
