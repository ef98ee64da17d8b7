"""Numbers that lie at whole places, read between them."""

from torch import Tensor


def between(values: Tensor, places: Tensor, goes_round: bool = False) -> Tensor:
    """Values [..., C] at places [n] between its numbers: [..., n].

    Args:
        goes_round: whether the last number leads to the first; else it is beyond both as it is there.
    """
    count = values.shape[-1]
    if not goes_round:
        places = places.clamp(0.0, float(count - 1))
    under = places.floor()
    share = (places - under).to(values.dtype)
    first = under.long()
    here, next_one = (
        values.index_select(-1, each.remainder(count) if goes_round else each.clamp_max(count - 1))
        for each in (first, first + 1)
    )
    return here * (1.0 - share) + next_one * share
