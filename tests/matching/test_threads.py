from __future__ import annotations

import threading

import pytest
import torch

from fol.matching.threads import map_single_threaded


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_order_and_settings(threads: int, count: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seen = map_single_threaded(lambda i: (i, torch.get_num_threads(), torch.is_grad_enabled()), range(count))
        assert [i for i, _, _ in seen] == list(range(count))
        assert all(inside == 1 for _, inside, _ in seen)
        assert threads == 1 or not any(gradients for _, _, gradients in seen)
        assert torch.get_num_threads() == threads
        inherited: list[int] = []
        fresh = threading.Thread(target=lambda: inherited.append(torch.get_num_threads()))
        fresh.start()
        fresh.join()
        assert inherited == [threads], "later threads of the process are not slowed down"
    finally:
        torch.set_num_threads(before)


def test_errors_come_through_and_settings_come_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            map_single_threaded(lambda i: 1 // i, [1, 0, 2])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
