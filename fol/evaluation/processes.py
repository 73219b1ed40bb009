"""Several processes that evaluate together, as torchrun starts them: each takes its share, all see the same result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch.distributed

_Item = TypeVar("_Item")
_PATIENCE = timedelta(days=7)  # others may extract for days while one waits


@dataclass(frozen=True)
class Processes:
    """``rank`` of this process among ``count``."""

    rank: int = 0
    count: int = 1

    @staticmethod
    def join() -> Processes:
        """The processes that torchrun started this one with; one alone where it did not.

        Call it before a model is loaded: "cuda" is a GPU of its own for each process from then on.
        """
        count = int(os.environ.get("WORLD_SIZE") or 1)
        if count == 1:
            return Processes()
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK") or 0) % torch.cuda.device_count())
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo", timeout=_PATIENCE)
        return Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())

    def share(self, items: Sequence[_Item]) -> list[_Item]:
        """This process's part of ``items``."""
        return list(items[self.rank :: self.count])

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            torch.distributed.barrier()
