"""Registers, spills, shared memory and tensor core instructions of the GPU kernels, as a Markdown table.

python tools/kernels.py [dim=128]

Compiles every kernel of the "triton" matching backend for compute capabilities 8.0, 9.0 and 10.0; no GPU is needed.
"""

from __future__ import annotations

import sys

from fol.matching.backends.triton_kernels.offline import CAPABILITIES, builds, compile_offline


def main(arguments: list[str]) -> None:
    """Print the table."""
    options = dict(argument.split("=", 1) for argument in arguments)
    dim = int(options.pop("dim", "128"))
    if options:
        sys.exit(f"unknown option {next(iter(options))!r}; usage: python tools/kernels.py [dim=128]")
    print("| kernel | compute capability | registers | spilled | shared memory | programs per SM | products |")
    print("|---|---|---|---|---|---|---|")
    for build in builds(dim):
        for capability in CAPABILITIES:
            report = compile_offline(build, capability)
            products = [
                f"{count} {name}"
                for name, count in sorted(report.instructions.items())
                if name.endswith("MMA") or (name == "FFMA" and build.kernel == "nearest_float32")
            ]
            print(
                f"| {build.label} | {capability / 10} | {report.registers} | {report.spilled} | {report.shared} B | "
                f"{report.programs_per_multiprocessor} | {', '.join(products)} |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
