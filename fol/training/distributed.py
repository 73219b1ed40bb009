"""What the ranks of a run know of each other: one joint batch out of their parts, with gradients."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar, cast

import torch
from torch import Tensor
from torch.distributed.nn.functional import all_gather

T = TypeVar("T")


def world_size() -> int:
    """Number of ranks; 1 without a process group."""
    return torch.distributed.get_world_size() if _initialised() else 1


def rank() -> int:
    """Number of this process among the ranks."""
    return torch.distributed.get_rank() if _initialised() else 0


def wait_for_all() -> None:
    """Until all ranks are here."""
    if world_size() > 1:
        torch.distributed.barrier()


def gather_objects(value: T) -> list[T]:
    """The values of all ranks, in their order."""
    if world_size() == 1:
        return [value]
    found: list[T | None] = [None] * world_size()
    torch.distributed.all_gather_object(found, value)
    return cast(list[T], found)


def launched_rank() -> int:
    """Number that torchrun or Lightning started this process with; known before there is a process group."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


def gather_batch(value: T) -> T:
    """The batch of all ranks, in their order: every tensor of a (nested) dataclass along its first dimension.

    Ranks hold equally many images. Every rank then computes the same loss on the joint batch; the gradient that flows
    back to a rank's part is the sum over the ranks, which DDP's averaging turns into the gradient of one process with
    the joint batch.
    """
    if world_size() == 1:
        return value
    if isinstance(value, Tensor):
        whole = value.contiguous()
        if whole.requires_grad:
            return torch.cat(all_gather(whole))  # type: ignore[return-value]
        parts = [torch.empty_like(whole) for _ in range(world_size())]
        torch.distributed.all_gather(parts, whole)
        return torch.cat(parts)  # type: ignore[return-value]
    if is_dataclass(value) and not isinstance(value, type):
        gathered = {field.name: gather_batch(getattr(value, field.name)) for field in fields(value)}
        return replace(value, **gathered)
    return value


def _initialised() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
