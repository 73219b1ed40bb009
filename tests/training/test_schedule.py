"""Learning rate and optimiser against hand-computed values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from fol.data.training import BatchAugmentation
from fol.errors import ConfigError
from fol.training import TrainingSetup
from fol.training.module import PlaceTraining
from fol.training.objectives import place_objective
from fol.training.options import OptimizerOptions, ScheduleOptions, TrainingOptions
from fol.training.schedule import build_optimizer, learning_rate_factor, optimizer_steps, restarted
from fol.training.setup import assemble


def test_published_schedule_ends_at_a_quarter_after_8336_of_10000_steps() -> None:
    factor = learning_rate_factor(ScheduleOptions(steps=10_000), 8336)
    assert factor(0) == 1.0
    assert factor(8336) == pytest.approx(1 - 0.9 * 0.8336)
    assert factor(10_000) == factor(20_000) == pytest.approx(0.1)


def test_warm_up_rises_then_the_rest_falls() -> None:
    factor = learning_rate_factor(ScheduleOptions(warmup=3, final=0.2), 11)
    assert [factor(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert factor(7) == pytest.approx(0.6)  # half of the 8 steps after the warm-up
    assert factor(11) == pytest.approx(0.2)


def test_cosine_is_halfway_in_the_middle() -> None:
    factor = learning_rate_factor(ScheduleOptions(name="cosine", final=0.0), 10)
    assert factor(5) == pytest.approx(0.5)
    assert factor(1) > 0.97
    assert learning_rate_factor(ScheduleOptions(name="constant"), 10)(9) == 1.0


def test_steps_halve_every_so_many_steps() -> None:
    factor = learning_rate_factor(ScheduleOptions(name="step", final=0.5, steps=5, warmup=2), 20)
    assert [factor(step) for step in range(13)] == [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_every_part_begins_the_schedule_anew() -> None:
    factor = restarted(ScheduleOptions(warmup=1, final=0.0), [3, 5])
    #                                                  after the last step Lightning asks once more
    assert [factor(step) for step in range(9)] == [0.5, 1, 0.5, 0.5, 1, 0.75, 0.5, 0.25, 0]
    alone = learning_rate_factor(ScheduleOptions(), 8)
    assert [restarted(ScheduleOptions(), [8])(step) for step in range(12)] == [alone(step) for step in range(12)]


def test_parts_share_out_the_steps_between_them() -> None:
    assert optimizer_steps([3, 5], 1) == [3, 5]
    # batches 0 1 2 | 3 4 5 6 7 in pairs: 01 23 45 67, the second step belongs to the second part
    assert optimizer_steps([3, 5], 2) == [1, 3]
    assert optimizer_steps([7], 2) == [4]  # Lightning makes a step of what is left at the end
    assert optimizer_steps([1, 1, 7], 3) == [0, 0, 3]


def test_only_what_is_trained_gets_into_the_optimiser() -> None:
    frozen, trained = nn.Linear(3, 3), nn.Linear(3, 2)
    frozen.requires_grad_(False)
    net = nn.ModuleDict({"frozen": frozen, "trained": trained})
    optimizer = build_optimizer(net.named_parameters(), OptimizerOptions(weight_decay=0.1))
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {
        id(trained.weight),
        id(trained.bias),
    }
    split = build_optimizer(net.named_parameters(), OptimizerOptions(weight_decay=0.1, decay_matrices_only=True))
    decays = {id(p): group["weight_decay"] for group in split.param_groups for p in group["params"]}
    assert decays == {id(trained.weight): 0.1, id(trained.bias): 0.0}
    with pytest.raises(ConfigError, match="every parameter is frozen"):
        build_optimizer(frozen.named_parameters(), OptimizerOptions())


def test_length_in_epochs(make_weak: Callable[..., TrainingSetup], tmp_path: Path) -> None:
    schedule = ScheduleOptions(name="step", final=0.5, epochs=5)
    assert schedule.resolved(1830, 1) == ScheduleOptions(name="step", final=0.5, steps=9150)
    assert ScheduleOptions(steps=7).resolved(1830, 1) == ScheduleOptions(steps=7)
    for accumulate, steps in ((1, 10), (2, 5)):  # epochs of 5 batches: rounds of 5, 5 and 2 queries in threes
        setup = make_weak(
            sampling={"tuples": 3}, options={"schedule": ScheduleOptions(epochs=2)}, accumulate=accumulate
        )
        assert assemble(setup, tmp_path)[0].options.schedule.steps == steps
    with pytest.raises(ConfigError, match=r"schedule\.steps=3 and schedule\.epochs=2 say the same"):
        TrainingOptions(schedule=ScheduleOptions(steps=3, epochs=2)).check()


def test_names_choose_the_optimiser() -> None:
    parameters = list(nn.Linear(2, 2).named_parameters())
    assert isinstance(build_optimizer(parameters, OptimizerOptions(name="sgd")), torch.optim.SGD)
    assert isinstance(build_optimizer(parameters, OptimizerOptions(name="adam")), torch.optim.Adam)
    assert isinstance(build_optimizer(parameters, OptimizerOptions()), torch.optim.AdamW)


class CountingScheduler:
    steps = 0

    def step(self) -> None:
        self.steps += 1


def test_schedule_waits_while_the_loss_scaler_skips_steps(
    make_setup: Callable[..., TrainingSetup], monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = make_setup()
    augmentation = BatchAugmentation(setup.augmentation)
    objective = place_objective(setup.losses, setup.sampler.places)
    module = PlaceTraining(setup.model, objective, augmentation, setup.options, [6])
    # the scale at the start and after each step: halved when the step was skipped, doubled from time to time
    scales = iter([8.0, 4.0, 4.0, 8.0, 4.0])
    monkeypatch.setattr(PlaceTraining, "_loss_scale", lambda self: next(scales))
    module.on_train_start()
    scheduler, counted = CountingScheduler(), []
    for _ in range(4):
        module.lr_scheduler_step(scheduler, None)
        counted.append(scheduler.steps)
    assert counted == [0, 1, 2, 2]
