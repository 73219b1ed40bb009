"""``fol benchmark``: how fast this machine does each part, beside the published formulation."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import torch
from omegaconf import DictConfig

from fol.benchmarks import SUBJECTS
from fol.benchmarks.peaks import measure_peaks
from fol.benchmarks.report import Report, draw_reports
from fol.cli.configuration import plain
from fol.cli.console import note, say
from fol.errors import ConfigError
from fol.files import write_atomically


def run(config: DictConfig) -> None:
    """Measure the subjects, print their tables, and write ``benchmark.md`` and ``benchmark.png`` into ``out``."""
    names = list(config.subjects or SUBJECTS)
    for name in names:
        if name not in SUBJECTS:
            raise ConfigError(f"unknown subject {name!r}; choose among {', '.join(SUBJECTS)}")
    settings = plain(config)
    threads = config.threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    peaks = measure_peaks()
    whole = "not measurable" if peaks.int8 is None else f"{peaks.int8 / 1e9:.0f} GOP/s"
    heading = (
        f"torch {torch.__version__}, {threads} threads, {datetime.now(UTC):%Y-%m-%d}. Peaks of this machine, measured: "
        f"float32 products {peaks.float32 / 1e9:.0f} GFLOP/s, int8 products {whole}, "
        f"reading {peaks.read / 1e9:.1f} GB/s."
    )
    say(heading)
    reports: list[Report] = []
    for name in names:
        note(f"measuring {name} ...")
        reports.append(SUBJECTS[name].measure(settings[name], peaks))
        say("\n" + reports[-1].markdown().rstrip())
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    text = "\n".join([heading + "\n", *(report.markdown() for report in reports)])
    write_atomically(out / "benchmark.md", text.encode())
    draw_reports(out / "benchmark.png", reports)
    say(f"\nwrote {out / 'benchmark.md'} and {out / 'benchmark.png'}")
