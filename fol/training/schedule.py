"""Optimiser and learning rate over the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate as cumulated
from itertools import pairwise

import torch
from torch import nn

from fol.errors import ConfigError
from fol.training.options import OptimizerOptions, ScheduleOptions


def learning_rate_factor(options: ScheduleOptions, total: int) -> Callable[[int], float]:
    """Factor of the base learning rate at a step (0-based) of a run of ``total`` optimiser steps."""
    end = max(options.steps or total, options.warmup + 1)

    def factor(step: int) -> float:
        if step < options.warmup:
            return (step + 1) / (options.warmup + 1)
        if options.name == "constant":
            return 1.0
        if options.name == "step":
            return float(options.final ** ((step - options.warmup) // (options.steps or total)))
        done = min(1.0, (step - options.warmup) / (end - options.warmup))
        if options.name == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return 1.0 + (options.final - 1.0) * done

    return factor


def restarted(options: ScheduleOptions, lengths: Sequence[int]) -> Callable[[int], float]:
    """``learning_rate_factor`` of several parts of a run, of ``lengths`` steps, each of which begins it anew."""
    ends = list(cumulated(lengths))
    factors = [learning_rate_factor(options, length) for length in lengths]

    def factor(step: int) -> float:
        part = next((number for number, end in enumerate(ends) if step < end), len(ends) - 1)
        return factors[part](step - (ends[part] - lengths[part]))

    return factor


def optimizer_steps(batches: Sequence[int], accumulate: int) -> list[int]:
    """Optimiser steps of each part of a run of so many ``batches``; one that two parts share is the later one's."""
    ends = [end // accumulate for end in cumulated(batches)]
    ends[-1] = -(-sum(batches) // accumulate)
    return [end - start for start, end in pairwise([0, *ends])]


def build_optimizer(parameters: Iterable[tuple[str, nn.Parameter]], options: OptimizerOptions) -> torch.optim.Optimizer:
    """The optimiser over the named parameters that require a gradient, and over no others."""
    trained = [(name, p) for name, p in parameters if p.requires_grad]
    if not trained:
        raise ConfigError("nothing to train: every parameter is frozen; raise trainable_blocks")
    if options.decay_matrices_only:
        matrices = [p for name, p in trained if p.ndim > 1 and not name.endswith(("pos_embed", "cls_token"))]
        chosen = {id(p) for p in matrices}
        groups = [
            {"params": matrices, "weight_decay": options.weight_decay},
            {"params": [p for _, p in trained if id(p) not in chosen], "weight_decay": 0.0},
        ]
    else:
        groups = [{"params": [p for _, p in trained], "weight_decay": options.weight_decay}]
    if options.name == "sgd":
        return torch.optim.SGD(groups, lr=options.lr, momentum=options.betas[0])
    if options.name == "adam":
        return torch.optim.Adam(groups, lr=options.lr, betas=options.betas)
    if options.name == "adamw":
        return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas)
    raise ConfigError(f"optimizer.name={options.name!r} is unknown; choose adamw, adam or sgd")
