"""Generations of SFRS: who teaches, what each begins with, and that nothing of the one before stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from fol.errors import ConfigError, TrainingStopped
from fol.training import TrainingProgress, TrainingSetup, ValidationScores, keeper, train
from fol.training.centres import CentresOptions
from fol.training.generations import Generations
from fol.training.setup import assemble

MakeSetup = Callable[..., TrainingSetup]


def test_epochs_belong_to_generations() -> None:
    generations = Generations([1, 2, 3])
    assert generations.count == 3
    assert [generations.at(epoch) for epoch in range(7)] == [0, 1, 1, 2, 2, 2, 2]
    assert [generations.start(epoch) for epoch in range(7)] == [0, 1, 1, 3, 3, 3, 3]
    for epochs in ([], [1, 0], [-1]):
        with pytest.raises(ConfigError, match=r"weak\.generations=\["):
            Generations(epochs)


def test_a_generation_begins_with_the_first_weights_and_the_last_network_as_teacher() -> None:
    network = nn.Linear(2, 2)
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generations = Generations([1, 1], initial=first)
    with torch.no_grad():
        network.weight.add_(1)
    network(torch.ones(1, 2)).sum().backward()
    last = network.weight.detach().clone()
    parameter = network.weight
    generations.begin(1, network)
    assert network.weight is parameter and network.weight.requires_grad  # the optimiser knows it
    assert torch.equal(network.weight, first["weight"])
    teacher = generations.teacher
    assert isinstance(teacher, nn.Linear) and torch.equal(teacher.weight, last)
    assert not teacher.training and not any(p.requires_grad or p.grad is not None for p in teacher.parameters())
    with torch.no_grad():
        network.weight.add_(5)
    assert torch.equal(teacher.weight, last) and torch.equal(generations.initial["weight"], first["weight"])


def test_nothing_of_the_optimiser_reaches_the_next_generation(make_sfrs: MakeSetup, tmp_path: Path) -> None:
    module, _, _ = assemble(make_sfrs(), tmp_path)
    (optimizer,) = [torch.optim.SGD(module.network.parameters(), lr=0.1, momentum=0.9)]
    module._trainer = SimpleNamespace(optimizers=[optimizer])  # type: ignore[assignment]
    first = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
    assert module.begin_epoch(0) is False
    for _ in range(2):
        module.network(torch.ones(1, 3, 56, 56)).residuals.square().sum().backward()
        optimizer.step()
    last = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
    assert optimizer.state
    assert module.begin_epoch(1) is True
    assert not optimizer.state and all(p.grad is None for p in module.network.parameters())
    generations = module.generations
    assert generations is not None and generations.teacher is not None
    for name, tensor in module.network.state_dict().items():
        assert torch.equal(tensor, first[name]), name
        assert torch.equal(generations.teacher.state_dict()[name], last[name]), name
    teacher = generations.teacher
    assert module.begin_epoch(1) is True and generations.teacher is teacher  # a further round of the epoch
    # the teacher is saved beside the network, not as a part of it
    assert not [name for name in module.state_dict() if not name.startswith("network.")]


def run(make: MakeSetup, out: Path, **options: Any) -> tuple[list[float], dict[str, Any], dict[str, torch.Tensor]]:
    rates: list[float] = []

    def watch(progress: TrainingProgress) -> None:
        rates.append(progress.learning_rate)

    train(make(**options), out, watch=watch)
    state = torch.load(out / "last.ckpt", weights_only=True)
    return rates, state, torch.load(out / "initial.pt", weights_only=True)


def test_a_run_of_three_generations(make_sfrs: MakeSetup, tmp_path: Path) -> None:
    """Its parts are runs that end where a generation does: 7 batches an epoch."""
    options = {"generations": (1, 1, 1), "setup": {"validation": []}}
    rates, whole, first = run(make_sfrs, tmp_path / "whole", **options)
    # told after a step is the rate of the next one: from 0.05 to a tenth in 7 steps, in each generation
    falling = [0.05 * (1 - 0.9 * step / 7) for step in range(7)]
    assert rates == pytest.approx([*(falling * 3)[1:], 0.005])
    assert whole["generation"]["number"] == 2
    _, one, _ = run(make_sfrs, tmp_path / "one", steps=14, **options)
    assert one["generation"]["number"] == 1
    for name, tensor in whole["generation"]["teacher"].items():  # the last network of the second generation
        assert torch.equal(tensor, one["state_dict"][f"network.{name}"]), name
    _, none, _ = run(make_sfrs, tmp_path / "none", steps=7, **options)
    assert none["generation"] == {"number": 0, "teacher": None}
    for name, tensor in one["generation"]["teacher"].items():
        assert torch.equal(tensor, none["state_dict"][f"network.{name}"]), name
        assert not torch.equal(tensor, first[name]), name


def test_first_generation_is_sare_from_the_same_centres(
    make_sfrs: MakeSetup, make_weak: MakeSetup, tmp_path: Path
) -> None:
    setup = {"validation": []}
    _, sfrs, first = run(make_sfrs, tmp_path / "sfrs", steps=7, setup=setup)
    _, sare, same = run(make_weak, tmp_path / "sare", steps=7, setup={**setup, "centres": CentresOptions("all")})
    for name, tensor in first.items():
        assert torch.equal(tensor, same[name])
        torch.testing.assert_close(sfrs["state_dict"][f"network.{name}"], sare["state_dict"][f"network.{name}"])


def test_recall_may_fall_where_a_generation_begins(
    make_sfrs: MakeSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def follow(recalls: list[float], out: Path) -> int:
        left = iter(recalls)
        monkeypatch.setattr(
            keeper, "validate", lambda *_: ValidationScores({"set": {"global": dict.fromkeys((1, 5), next(left))}})
        )
        return train(make_sfrs((2, 2), sampling={"round": 12}), out).done

    assert follow([80.0, 90.0, 50.0, 55.0], tmp_path / "anew") == 4 * 6  # by more points than inside of one
    with pytest.raises(TrainingStopped, match=r"fell from 90\.0 to 20\.0"):
        follow([80.0, 90.0, 20.0], tmp_path / "collapsed")
    with pytest.raises(TrainingStopped, match=r"fell from 80\.0 to 45\.0.*max_recall_drop"):
        follow([80.0, 90.0, 80.0, 45.0], tmp_path / "fallen")


def test_fol_learns_by_its_regions(make_sfrs: MakeSetup, tmp_path: Path) -> None:
    """An extension: its own regions in place of NetVLAD's, whose centres are not there to be set."""
    options = {"backbone": "fol", "sampling": {"round": 12}, "setup": {"centres": None, "validation": []}}
    _, state, first = run(make_sfrs, tmp_path / "run", **options)
    names = [name for name, tensor in first.items() if not torch.equal(tensor, state["state_dict"][f"network.{name}"])]
    assert names and not [name for name in names if name.startswith("local_head")]
    assert state["generation"]["number"] == 1
