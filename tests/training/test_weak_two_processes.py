"""SFRS in two processes: both get through every generation, stay alike, and go on from where they were stopped."""

from __future__ import annotations

import os
import runpy
import socket
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from fol.models import PlaceModel
from fol.training import keeper, setup, train
from fol.training.centres import CentresOptions
from fol.training.module import PlaceTraining
from fol.training.weak_batches import QUERY, ROLES

HELPERS = Path(__file__).with_name("conftest.py")


class Watched(PlaceTraining):
    """Keeps what a rank was given, and the last network."""

    batches: ClassVar[list[tuple[int, list[int], int]]] = []
    last: ClassVar[PlaceTraining]

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        Watched.last = self
        queries = batch.numbers[batch.roles % ROLES == QUERY].tolist()
        Watched.batches.append((batch_idx, queries, 0 if self.generations is None else self.generations.number))
        return super().training_step(batch, batch_idx)


def one_rank(number: int, port: int, places: Path, out: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), LOCAL_RANK=str(number))
    sfrs_setup = runpy.run_path(str(HELPERS))["sfrs_setup"]
    set_centres = setup.set_centres  # type: ignore[attr-defined]

    def rounded_otherwise(options: CentresOptions, model: PlaceModel, *rest: Any) -> None:
        set_centres(options, model, *rest)
        if number:  # as on another device
            model.network.aggregation.centroids.data.mul_(1.01)

    setup.set_centres, setup.PlaceTraining = rounded_otherwise, Watched  # type: ignore[attr-defined, misc]

    def weights() -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in Watched.last.network.state_dict().items()}

    found: dict[str, Any] = {"done": [train(sfrs_setup(places, devices=2), out / "run").done]}
    found |= {"batches": list(Watched.batches), "weights": weights()}
    out_of_time = keeper.RunKeeper._is_out_of_time
    # inside a round of the second generation, each epoch having 5 batches
    keeper.RunKeeper._is_out_of_time = lambda self, trainer: trainer.datamodule.done == 6  # type: ignore[method-assign]
    found["done"].append(train(sfrs_setup(places, devices=2), out / "stopped").done)
    keeper.RunKeeper._is_out_of_time = out_of_time  # type: ignore[method-assign]
    found["done"].append(train(sfrs_setup(places, devices=2), out / "stopped").done)
    found["resumed"] = weights()
    torch.save(found, out / f"{number}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory, place_folder: Path) -> list[dict[str, Any]]:
    """What each of the two processes found."""
    out = tmp_path_factory.mktemp("weak_two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(one_rank, (port, place_folder, out), nprocs=2)
    return [torch.load(out / f"{number}.pt", weights_only=True) for number in range(2)]


def test_both_finish_with_the_same_network(ranks: list[dict[str, Any]]) -> None:
    assert [rank["done"] for rank in ranks] == [[10, 6, 10]] * 2
    for name, tensor in ranks[0]["weights"].items():
        assert torch.equal(tensor, ranks[1]["weights"][name]), name


def test_each_query_is_learned_from_on_one_of_them(ranks: list[dict[str, Any]]) -> None:
    for epoch in range(2):
        seen = [
            query for rank in ranks for batch, queries, _ in rank["batches"] if batch // 5 == epoch for query in queries
        ]
        assert sorted(seen) == list(range(24, 36))
    for rank in ranks:
        assert [generation for _, _, generation in rank["batches"]] == [0] * 5 + [1] * 5


def test_resumed_they_end_where_they_would_have(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        for name, tensor in rank["weights"].items():
            assert torch.equal(tensor, rank["resumed"][name]), name
