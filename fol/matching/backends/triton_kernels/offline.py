"""What the compiler makes of every kernel, in every configuration that is launched, for GPUs that need not be there.

Registers decide how many programs a multiprocessor runs at once, spilled ones are lost time, and products of codes must
be tensor core instructions; the tests hold all three fast. Triton brings the assembler and the disassembler.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fol.matching.backends.triton_kernels import kernels
from fol.matching.backends.triton_kernels.launch import (
    LIST_BLOCK,
    MUTUAL_BLOCK,
    tile_bits,
    tiles,
)

CAPABILITIES = (80, 90, 100)
DIMS = (64, 128, 256)

_POINTERS = {
    "int64": ("x_start", "x_length", "y_start", "y_length", "start", "length", "count", "partner"),
    "int32": ("index", "back", "listed", "out", "x_addend", "y_addend"),
    "float64": ("numbers",),
    "float32": ("similarity", "bias", "x_bias", "y_bias"),
    "int8": ("marks",),
}
_SHORT = {"int64": "i64", "int32": "i32", "float64": "fp64", "float32": "fp32", "int8": "i8"}


@dataclass(frozen=True)
class Build:
    """One kernel as it is launched: ``constants`` and compiler ``options`` as the launch passes them."""

    kernel: str
    constants: Mapping[str, int]
    options: Mapping[str, int]

    @property
    def label(self) -> str:
        """For tables."""
        shown = ", ".join(f"{name}={int(value)}" for name, value in self.constants.items() if name in ("D", "LISTED"))
        return f"{self.kernel}({shown})" if shown else self.kernel


@dataclass(frozen=True)
class Report:
    """Of one build for one compute capability: per thread registers and bytes spilled, shared bytes per program,

    threads per program, and how often each instruction stands in the code.
    """

    registers: int
    spilled: int
    shared: int
    threads: int
    instructions: Counter[str]

    @property
    def programs_per_multiprocessor(self) -> int:
        """As registers allow (65536, given to warps in steps of 256) and threads (2048)."""
        warp = -(-self.registers * 32 // 256) * 256
        return min(65536 // (warp * self.threads // 32), 2048 // self.threads)


def builds(dim: int) -> Iterator[Build]:
    """All kernels for rows of ``dim`` (as padded)."""
    for listed in (0, 1):
        for name, dtype in (("nearest_float32", torch.float32), ("nearest_int8", torch.int8)):
            config = tiles(dtype, dim)
            constants = {"D": dim, "BLOCK_X": config.x, "BLOCK_Y": config.y}
            constants |= {"BLOCK_D": config.dim} if dtype == torch.float32 else {"BITS": tile_bits(dim)}
            yield Build(name, {**constants, "LISTED": listed}, {"num_warps": config.warps, "num_stages": config.stages})
    keys = {"TILE": tiles(torch.int8, dim).y, "BITS": tile_bits(dim)}
    yield Build("addends", {"BLOCK": LIST_BLOCK, **keys}, {})
    yield Build("list_marked", {"BLOCK": LIST_BLOCK}, {})
    yield Build("mutual_float32", {"BLOCK": MUTUAL_BLOCK}, {})
    yield Build("mutual_int8", {"BLOCK": MUTUAL_BLOCK, **keys}, {})


def compile_offline(build: Build, capability: int) -> Report:
    """Compile ``build`` for a compute capability (90 for 9.0) and look at the machine code."""
    kernel = getattr(kernels, build.kernel)
    constants = {name: bool(value) if name == "LISTED" else value for name, value in build.constants.items()}
    signature = {name: "constexpr" if name in constants else _type(build.kernel, name) for name in kernel.arg_names}
    aligned = [
        position
        for position, (name, kind) in enumerate(signature.items())
        if (kind[0] == "*" and name not in kernels.UNALIGNED)
    ]
    source = ASTSource(
        kernel, signature, constexprs=constants, attrs={(k,): [["tt.divisibility", 16]] for k in aligned}
    )
    built = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=dict(build.options))
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(built.asm["cubin"])
        file.flush()
        usage = _tool("cuobjdump", "--dump-resource-usage", file.name)
        code = _tool("nvdisasm", "-c", file.name)
    found = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    names = re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)", code, re.MULTILINE)
    return Report(
        found["REG"],
        found["STACK"] + found["LOCAL"],
        int(built.metadata.shared),
        32 * int(built.metadata.num_warps),
        Counter(names),
    )


def _type(kernel: str, name: str) -> str:
    codes = kernel.endswith("int8")
    if name in ("x", "y"):
        return "*i8" if codes else "*fp32"
    if name == "value":
        return "*i32" if codes else "*fp32"
    if name == "mark_above":
        return "i32" if codes else "fp32"
    if name == "threshold":
        return "fp32"
    for kind, names in _POINTERS.items():
        if name in names:
            return f"*{_SHORT[kind]}"
    return "i32"


def _tool(name: str, *arguments: str) -> str:
    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=True).stdout
