"""Two processes with half of the batch each compute what one process with the joint batch computes."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fol.losses import FOL_LOSSES, FoLLoss
from fol.models.aggregation import AggregationConfig
from fol.models.architecture import Architecture, initialise
from fol.models.backbone import BackboneConfig
from fol.training.distributed import gather_batch, rank, world_size

LABELS = torch.arange(8) // 2


def network() -> nn.Module:
    architecture = Architecture(
        "fol",
        BackboneConfig(16, 4, 2, 32, position_grid=4, trainable_blocks=4),
        AggregationConfig(16, clusters=6, cluster_dim=4, token_dim=4, hidden=8, dropout=0.0),
        local_hidden=8,
        local_dim=4,
    )
    net = architecture.build("fol")
    initialise(net, 5)
    return net.train()


def photos() -> Tensor:
    return torch.rand(8, 3, 56, 56, generator=torch.Generator().manual_seed(1))


def loss_and_gradients(net: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    output, labels = gather_batch(net(images, training=True)), gather_batch(labels)
    # The local terms would hide behind the global one with their usual weights.
    losses = FoLLoss(replace(FOL_LOSSES, alignment=1.0, pseudo_correspondence=1.0))
    terms = losses(output, labels, generator=torch.Generator().manual_seed(0))
    terms.total.backward()
    gradients = {name.removeprefix("module."): p.grad for name, p in net.named_parameters() if p.grad is not None}
    return terms.total.detach(), gradients


def one_rank(number: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=number, world_size=2)
    try:
        half = slice(4 * number, 4 * number + 4)
        net = DistributedDataParallel(network(), find_unused_parameters=True)
        total, gradients = loss_and_gradients(net, photos()[half], LABELS[half])
        torch.save({"total": total, "gradients": gradients, "rank": rank()}, Path(folder) / f"{number}.pt")
    finally:
        torch.distributed.destroy_process_group()


def test_two_ranks_give_the_loss_and_the_gradient_of_the_joint_batch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(one_rank, (port, str(tmp_path)), nprocs=2)
    total, gradients = loss_and_gradients(network(), photos(), LABELS)
    for number in range(2):
        found = torch.load(tmp_path / f"{number}.pt", weights_only=True)
        assert found["rank"] == number
        torch.testing.assert_close(found["total"], total, rtol=1e-6, atol=0)
        assert found["gradients"].keys() == gradients.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(found["gradients"][name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_without_a_process_group_a_batch_stays_as_it_is() -> None:
    assert (world_size(), rank()) == (1, 0)
    batch = torch.rand(3)
    assert gather_batch(batch) is batch
