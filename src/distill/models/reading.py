"""In which order the prior reads the columns of a window, and what each step may look at directly.

Any order will do, as long as a column is read whole. Forward order is time. To fill a hole, what is known on both sides is
read first, then the hole from left to right ("prefix, suffix, middle", Bavarian et al., 2022, column by column). Every step
says which place it predicts, and its neighbours are the nearest *known* ones: on the left as ever, and on the right if
there are any.
"""

from typing import NamedTuple

import torch
from torch import Tensor

RIGHT = 4
"""Among the sources of a step: the nearest known column on the right (of priors that read both sides)."""


class Reading(NamedTuple):
    """The steps of R orders: step p predicts place `places[r, p]`, which is column * bands + band."""

    places: Tensor  # [R, P]
    source: Tensor  # [R, P, sources]: the places of its sources, 0 where there is none
    exists: Tensor  # [R, P, sources] bool
    left_gap: Tensor  # [R, P]: columns between it and the nearest known column on its left; 0 where that is next to it
    right_gap: Tensor  # [R, P]: columns to the nearest known column on its right; 0 where there is none

    def row(self, first: int, last: int) -> "Reading":
        """Steps first .. last - 1 of all orders."""
        return Reading(*(each[:, first:last] for each in self))


def read_in_order(
    order: Tensor, bands: int, both_sides: bool, partly: Tensor | None = None, period: Tensor | None = None
) -> Reading:
    """Lay out the steps of orders of columns.

    The sources of a step are the place read before it, the same band of the nearest known column on the left, the band
    below, the same band of the next but one on the left, and with `both_sides` those of the two on the right.

    Args:
        order: [R, C + 1], each row a permutation of 0 .. C that ends with C, the column in which nothing stands any more;
            only its first place is asked for.
        partly: [R or 1, C + 1] bool, columns of which some codes are known from the beginning: looked at from the left.
        period: [R], columns after which a sound comes round again; 0: it does not. Then two more sources follow: the same
            band of the nearest known column that is one or more periods back, and of that which is as many ahead.
    """
    rows, columns = order.shape
    number = torch.arange(columns, device=order.device)
    read_at = torch.empty_like(order).scatter_(1, order, number.expand(rows, -1))
    known = read_at[:, None, :] < number[None, :, None]  # [R, step, column]
    here = order[:, :, None]
    left = torch.where(known & (number < here), number, -1).amax(-1)
    farther = torch.where(known & (number < left[:, :, None]), number, -1).amax(-1)
    ahead = known if partly is None else known | partly[:, None, :]
    right = torch.where(ahead & (number > here), number, columns).amin(-1)
    beyond = torch.where(ahead & (number > right[:, :, None]), number, columns).amin(-1)
    before = torch.cat([order.new_full((rows, 1), -1), order[:, :-1]], dim=1)

    band = torch.arange(bands, device=order.device)
    previous = torch.where(band == 0, before[..., None] * bands + bands - 1, order[..., None] * bands + band - 1)
    there = torch.where(band == 0, (before >= 0)[..., None], torch.ones_like(band, dtype=torch.bool))
    below = (order[..., None] * bands + band - 1, (band > 0).expand(rows, columns, bands))

    def in_column(found: Tensor, exists: Tensor) -> tuple[Tensor, Tensor]:
        return found[..., None] * bands + band, exists[..., None].expand(rows, columns, bands)

    sources = [(previous, there), in_column(left, left >= 0), below, in_column(farther, farther >= 0)]
    if both_sides:
        sources += [in_column(right, right < columns), in_column(beyond, beyond < columns)]
    if period is not None:
        again = ((number - here) % period.clamp_min(1)[:, None, None] == 0) & (period > 0)[:, None, None]
        ago = torch.where(known & again & (number < here), number, -1).amax(-1)
        later = torch.where(ahead & again & (number > here), number, columns).amin(-1)
        sources += [in_column(ago, ago >= 0), in_column(later, later < columns)]
    exists = torch.stack([each for _, each in sources], dim=-1)
    index = torch.where(exists, torch.stack([each for each, _ in sources], dim=-1), 0)
    left_gap = torch.where(left >= 0, order - left - 1, 0)
    right_gap = torch.where(right < columns, right - order, 0)
    steps = (columns - 1) * bands + 1

    def of_steps(each: Tensor) -> Tensor:
        return each.reshape(rows, columns * bands, *each.shape[3:])[:, :steps]

    return Reading(
        of_steps(order[..., None] * bands + band),
        of_steps(index),
        of_steps(exists),
        of_steps(left_gap[..., None].expand(-1, -1, bands)),
        of_steps(right_gap[..., None].expand(-1, -1, bands)),
    )


def forward_order(columns: int, device: torch.device) -> Tensor:
    """[1, C + 1]: time."""
    return torch.arange(columns + 1, device=device)[None]


def order_around(known: Tensor) -> Tensor:
    """Known columns [R, C] bool -> [R, C + 1]: they first, then the others, both from left to right."""
    columns = known.shape[1]
    rank = torch.arange(columns, device=known.device) + columns * (~known).long()
    last = torch.full((len(known), 1), columns, device=known.device)
    return torch.cat([rank.argsort(dim=1), last], dim=1)
