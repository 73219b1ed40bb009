"""The process-wide switches come back as they were."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
import torch

from fol.matching.precision import exact_float32

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def restore():
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("setting", ["highest", "high", "medium"])
def test_settings_come_back(setting):
    torch.set_float32_matmul_precision(setting)
    with exact_float32(CPU):
        pass
    assert torch.get_float32_matmul_precision() == setting


def test_settings_come_back_after_an_error():
    torch.set_float32_matmul_precision("medium")
    with pytest.raises(ZeroDivisionError), exact_float32(CPU):
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == "medium"


def test_products_are_float32_inside():
    rows = torch.randn(256, 128, generator=torch.Generator().manual_seed(0))
    exact = rows @ rows.T
    torch.set_float32_matmul_precision("medium")
    with torch.autocast("cpu", dtype=torch.bfloat16), exact_float32(CPU):
        assert torch.equal(rows @ rows.T, exact)


def test_overlapping_threads_do_not_leave_their_switches_behind():
    torch.set_float32_matmul_precision("medium")
    inside, left = Barrier(2), Barrier(2)

    def early():
        with exact_float32(CPU):
            inside.wait(10)
        left.wait(10)

    def late():
        with exact_float32(CPU):
            inside.wait(10)
            left.wait(10)

    threads = [Thread(target=early), Thread(target=late)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert torch.get_float32_matmul_precision() == "medium"
