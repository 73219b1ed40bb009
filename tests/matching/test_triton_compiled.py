"""What the compiler makes of the Triton kernels: gates that need no GPU.

The quick tests compile what takes the time of a match, for one architecture; ``make test-slow`` compiles every kernel
in every configuration that is launched, for three.
"""

from __future__ import annotations

import os

import pytest

pytest.importorskip("triton")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("an interpreted kernel is not compiled", allow_module_level=True)

from fol.matching.backends.triton_kernels.offline import (  # compiling needs the import only where triton is
    CAPABILITIES,
    DIMS,
    builds,
    compile_offline,
)

TENSOR_CORE = {80: "IMMA", 90: "IGMMA", 100: "UTCIMMA"}  # integer products, by compute capability
SHARED_PER_MULTIPROCESSOR = {80: 164 * 1024, 90: 228 * 1024, 100: 228 * 1024}
RESERVED = 1024  # bytes of it that the system takes for every program


def check(build, capability):
    report = compile_offline(build, capability)
    assert report.spilled == 0
    assert not {"STL", "LDL"} & set(report.instructions)  # nothing goes through local memory
    tensor_core = {name for name in report.instructions if name.endswith("MMA")}
    if build.kernel == "nearest_int8":
        assert tensor_core == {TENSOR_CORE[capability]}
        # Older tensor cores take their operands from registers, which 256 dimensions fill: one program at a time.
        crowded = capability == 80 and build.constants["D"] > 128
        assert report.registers <= (168 if crowded else 128)
        programs = 1 if crowded else 2
    elif build.kernel == "nearest_float32":
        assert not tensor_core  # they would round to tf32
        # Each cell of a tile once per dimension of a step: no product is computed twice or by other means.
        tile = build.constants["BLOCK_X"] * build.constants["BLOCK_Y"] * build.constants["BLOCK_D"]
        assert report.instructions["FFMA"] == tile // report.threads
        assert report.registers <= 168
        programs = 3
    else:
        assert report.registers <= 64
        programs = 8
    assert report.programs_per_multiprocessor >= programs
    assert programs * (report.shared + RESERVED) <= SHARED_PER_MULTIPROCESSOR[capability]


QUICK = [build for build in builds(128) if build.kernel.startswith("nearest") and not build.constants["LISTED"]]


@pytest.mark.parametrize("build", QUICK, ids=lambda build: build.label)
def test_the_two_that_take_the_time(build):
    check(build, 90)


@pytest.mark.slow
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("dim", DIMS)
def test_all_kernels_everywhere(dim, capability):
    for build in builds(dim):
        check(build, capability)
