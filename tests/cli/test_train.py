"""``fol train`` and ``fol sweep`` from the command line: the smoke experiment, kill -9, resume, evaluate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fol.cli import main
from fol.cli.sweep import Row, markdown, split_sweep


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke experiment's procedural cities, made once."""
    return tmp_path_factory.mktemp("cities")


def train_words(cities: Path, out: Path, *more: str) -> list[str]:
    return ["experiment=smoke", f"synthetic_folder={cities}", f"out={out}", *more]


def test_smoke_killed_resumed_and_evaluated(
    cities: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None
) -> None:
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    assert main(["train", *train_words(cities, alone)]) == 0
    printed = capsys.readouterr()
    assert "best validation R@1" in printed.out and "images/s" in printed.err

    process = subprocess.Popen(
        [sys.executable, "-m", "fol.cli", "train", *train_words(cities, killed)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (killed / "last.ckpt").is_file() and process.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "last.safetensors").exists(), "it had finished before it could be killed"
    assert main(["train", *train_words(cities, killed)]) == 0
    # the configuration in the header names the folder, so the tensors are compared, not the files
    assert tensors(killed / "last.safetensors") == tensors(alone / "last.safetensors")
    assert tensors(killed / "best.safetensors") == tensors(alone / "best.safetensors")

    city = next(cities.glob("*-val-*"))
    words = [f"model={alone / 'best.safetensors'}", f"data={city}", f"out={tmp_path / 'evaluation'}", "candidates=5"]
    assert main(["evaluate", *words]) == 0
    assert (tmp_path / "evaluation" / "results.json").is_file()

    assert main(["train", *train_words(cities, killed, "optimizer.lr=1e-5")]) == 1
    assert "optimizer.lr=0.0005, not 1e-05: it cannot be resumed with another setting" in capsys.readouterr().err


def tensors(path: Path) -> dict[str, bytes]:
    from safetensors.torch import load_file

    return {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}


def test_sweep_runs_every_combination_and_keeps_finished_ones(
    cities: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None
) -> None:
    words = train_words(cities, tmp_path, "loop.steps=1", "loss.alignment=0,0.01", "seed=1,2")
    assert main(["sweep", *words]) == 0
    table = (tmp_path / "sweep.csv").read_text().splitlines()
    assert table[0] == "loss.alignment,seed,global R@1,global R@5,re-ranked R@1,re-ranked R@5,match accuracy"
    assert [row.split(",")[:2] for row in table[1:]] == [["0", "1"], ["0", "2"], ["0.01", "1"], ["0.01", "2"]]
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("last.ckpt")}
    assert len(written) == 4
    assert main(["sweep", *words]) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("last.ckpt")} == written
    capsys.readouterr()
    assert main(["sweep", *train_words(cities, tmp_path)]) == 1
    assert "nothing to sweep over" in capsys.readouterr().err
    assert main(["sweep", *words, "loop.devices=1,2"]) == 1
    assert "loop.devices=2: a sweep trains on one device" in capsys.readouterr().err


def test_only_the_first_of_several_processes_talks(
    cities: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert main(["train", *train_words(cities, tmp_path, "loop.steps=1")]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert main(["train", *train_words(cities, tmp_path, "loop.epochs=0")]) == 1
    assert "error: loop.epochs=0" in capsys.readouterr().err


def test_seeds_are_one_line_with_their_spread() -> None:
    rows = [
        Row({"loss.contrast": "0", "seed": "1"}, [10.0, 15.0, 20.0, 30.0, None]),
        Row({"loss.contrast": "0", "seed": "2"}, [14.0, 15.0, 20.0, 33.0, None]),
        Row({"loss.contrast": "1", "seed": "1"}, [1.0, 1.5, 2.0, 3.0, 4.0]),
        Row({"loss.contrast": "1", "seed": "2"}, None),
    ]
    assert markdown(rows).splitlines() == [
        "| loss.contrast | runs | global R@1 | global R@5 | re-ranked R@1 | re-ranked R@5 | match accuracy |",
        "|---|---|---|---|---|---|---|",
        "| 0 | 2 | 12.0 ± 2.8 | 15.0 ± 0.0 | 20.0 ± 0.0 | 31.5 ± 2.1 | - |",  # sd of 10 and 14: sqrt(8)
        "| 1 | 2 | 1.0 | 1.5 | 2.0 | 3.0 | 4.0 |",
    ]


def test_words_with_several_values_are_swept() -> None:
    fixed, varied = split_sweep(
        ["experiment=smoke", "seed=0,1", "--loss.alignment=0,0.5", "batch.places=range(4,6)", "a=[1,2]", "out=a (b"]
    )
    assert fixed == ["experiment=smoke", "a=[1,2]", "out=a (b"]
    assert varied == {"seed": ["0", "1"], "loss.alignment": ["0", "0.5"], "batch.places": ["4", "5"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to learn from: give places.folders"),
        (["experiment=smok"], "smok"),
        (["places.folders=[nowhere]"], "nowhere"),
        (["experiment=smoke", "trainable_blocks=7"], "trainable_blocks=7: fol_tiny_untrained has 6 blocks"),
        (["experiment=smoke", "loop.epochs=0"], "loop.epochs=0: it must be at least 1"),
        (
            ["experiment=smoke", "loop.precision=16-mixed", "loop.accelerator=cpu", "places.folders=[nowhere]"],
            "loop.precision=16-mixed needs a CUDA device: on a CPU use bf16-mixed or 32-true",
        ),
        (["experiment=smoke", "loop.steps=-1"], "loop.steps=-1: it must be above 0"),
        (["experiment=smoke", "places.folders=x"], "places.folders='x': that is not a list"),
        (["experiment=smoke", "batch.places=few"], "batch.places='few': that is not a whole number"),
        (["experiment=smoke", "loss.contrst=1"], "loss.contrst"),
        (["experiment=smoke", "model=hog"], "hog is a baseline without a network"),
        (["experiment=smoke", "backbone_weights=nowhere.pth"], "nowhere.pth: no such file"),
        (["model=densernet_tiny_untrained", "backbone_weights=branch1.pth,branchm.pth"], "branch1.pth: no such file"),
        (["experiment=smoke", "places.synthetic=[{level: esay}]"], "esay"),
    ],
)
def test_mistakes_get_one_line(
    words: list[str], message: str, cities: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words, f"out={tmp_path / 'run'}", f"synthetic_folder={cities}"]) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1 and message in error[0]
