"""One process's share of the work, and what they have to tell each other. Where one process trains alone, its share is
everything and nothing is told."""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as group
from torch import Tensor

ItemT = TypeVar("ItemT")


def together() -> bool:
    """Whether this process trains with others, and has met them."""
    return group.is_available() and group.is_initialized() and group.get_world_size() > 1


def rank() -> int:
    """The number of this process, from 0."""
    return group.get_rank() if together() else 0


def count() -> int:
    """How many processes train together."""
    return group.get_world_size() if together() else 1


def share(items: Sequence[ItemT]) -> Sequence[ItemT]:
    """This process's share: every item is in exactly one."""
    return share_of(items, rank(), count())


def share_of(items: Sequence[ItemT], number: int, of: int) -> Sequence[ItemT]:
    """The share of process `number` of `of` processes; their sizes differ by one at most."""
    return items[number::of]


def row_count(batch: Any) -> int:
    """Rows of a batch, a tensor or a named tuple of tensors."""
    return len(batch) if isinstance(batch, Tensor) else len(batch[0])


def rows_of(batch: Any, number: int, of: int) -> Any:
    """The share of a batch, by rows: of a tensor, or of a named tuple of batches, some of which may be None."""
    if batch is None:
        return None
    if isinstance(batch, Tensor):
        return batch[number::of]
    return type(batch)(*(rows_of(part, number, of) for part in batch))


def summed(tensor: Tensor, device: torch.device | None = None) -> Tensor:
    """The sum over all processes, in each of them.

    Args:
        device: where they talk to each other, if the tensor is somewhere else.
    """
    if not together():
        return tensor
    total = tensor.detach().to(device or tensor.device, copy=True)
    group.all_reduce(total)
    return total


def drawn_rows(mine: Tensor, number: int) -> Tensor:
    """Rows of all processes' [N, D] drawn without replacement, the same in each of them: [number, D], or all there are."""
    sizes = summed(torch.eye(count(), dtype=torch.long, device=mine.device)[rank()] * len(mine))
    drawn = torch.randperm(int(sizes.sum()), device=mine.device)[:number]
    as_the_first([drawn])
    place = drawn - sizes[: rank()].sum()
    is_mine = (place >= 0) & (place < len(mine))
    rows = mine.new_zeros(len(drawn), mine.shape[1])
    rows[is_mine] = mine[place[is_mine]]
    return summed(rows)


def gathered(mine: Sequence[ItemT], total: int) -> list[ItemT]:
    """The inverse of `share`: all items again, in each process."""
    if not together():
        return list(mine)
    shares: list[Sequence[ItemT]] = [[] for _ in range(count())]
    group.all_gather_object(shares, mine)
    return [shares[place % count()][place // count()] for place in range(total)]


def any_process(said: bool, device: torch.device) -> bool:
    """Whether any process says so: they go on, or stop, together."""
    return bool(summed(torch.tensor(float(said), device=device)) > 0) if together() else said


def as_the_first(tensors: Sequence[Tensor]) -> None:
    """Give every process the first one's values, in place."""
    if together():
        for tensor in tensors:
            group.broadcast(tensor, src=0)
