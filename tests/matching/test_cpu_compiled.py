"""The tiles, compiled for processors that this machine need not be: are the right instructions in there?"""

from __future__ import annotations

import re

import pytest
from llvmlite import binding, ir

from fol.matching.backends import cpu_binary, cpu_float32, cpu_int8
from fol.matching.backends.cpu_amx import AmxGenerator
from fol.matching.backends.cpu_tiles import Generator

X86 = ("x86_64-unknown-linux-gnu", "+avx512f,+avx512bw,+avx512vl,+avx512vnni,+avx512vpopcntdq,+amx-tile,+amx-int8")
AVX_VNNI = ("x86_64-unknown-linux-gnu", "+avx2,+fma,+avxvnni")
AVX2 = ("x86_64-unknown-linux-gnu", "+avx2,+fma")
ARM = ("aarch64-unknown-linux-gnu", "+neon,+dotprod")


def assembly(tile, triple, features, generator):
    """Machine code of a function that takes the eight arrays as pointers, and three numbers."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    module = ir.Module()
    module.triple = triple
    arguments = [ir.IntType(8).as_pointer()] * 8 + [ir.IntType(64)] * 3
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), "scan")
    builder = ir.IRBuilder(function.append_basic_block())
    generator(tile, builder).loops(list(function.args[:8]), list(function.args[8:]))
    builder.ret_void()
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    machine = binding.Target.from_triple(triple).create_target_machine(features=features, opt=3)
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    manager = passes.getModulePassManager()
    manager.run(parsed, passes)
    return machine.emit_assembly(parsed)


@pytest.mark.parametrize(
    ("tile", "target", "instruction", "count"),
    [
        (cpu_float32._AVX512, X86, r"vfmadd231ps.*%zmm", 24),
        (cpu_float32._AVX2, AVX2, r"vfmadd231ps.*%ymm", 12),
        (cpu_float32._NEON, ARM, r"fmla\s", 24),
        (cpu_int8._AVX512, X86, r"vpdpbusd.*%zmm", 24),
        (cpu_int8._AVXVNNI, AVX_VNNI, r"vpdpbusd.*%ymm", 12),
        (cpu_int8._AVX2, AVX2, r"vpmaddwd.*%ymm", 12),
        (cpu_int8._NEON, ARM, r"sdot\s", 24),
        (cpu_binary._AVX512, X86, r"vpopcntd.*%zmm", 24),
    ],
    ids=["float32 avx512", "float32 avx2", "float32 neon", "vnni", "avx vnni", "avx2", "dotprod", "popcount"],
)
def test_one_instruction_per_register_of_the_tile_and_no_sum_in_memory(tile, target, instruction, count):
    code = assembly(tile, *target, Generator)
    assert len(re.findall(instruction, code)) == count
    # The innermost loop: from the last label before the first product to the jump after the last one.
    lines = code.splitlines()
    places = [k for k, line in enumerate(lines) if re.search(instruction, line)]
    begin = max(k for k in range(places[0]) if re.match(r"\.?L\S+:", lines[k]))
    end = min(k for k in range(places[-1], len(lines)) if re.match(r"\s+(j\w+|b\.\w+|cbn?z)\s", lines[k]))
    loop = lines[begin:end]
    assert len(loop) < 4 * count
    assert not [line for line in loop if re.search(r"[xyz]mm\d+,.*\(%rsp|str\s+q\d+, \[sp", line)]


def test_the_matrix_unit_is_set_up_used_and_given_back():
    code = assembly(cpu_int8._AMX, *X86, AmxGenerator)
    found = {name: len(re.findall(name, code)) for name in ("ldtilecfg", "tdpbssd", "tilerelease")}
    assert found == {"ldtilecfg": 1, "tdpbssd": 8, "tilerelease": 1}
