"""How many threads of the processor the networks run on: the one place that says it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def training_threads() -> int:
    """Half the processor's cores: the networks are small, and threads that wait for a busy core lose most.

    On two cores the second thread gains 15 % where nothing else runs, and costs 130 % beside one busy program.
    """
    return max(1, torch.get_num_threads() // 2)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run what follows on `count` threads of the processor."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
