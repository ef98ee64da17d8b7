"""Windows: the stretches of codes that the prior reads at once, and batches of them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from distill.audio.traits import TRAITS
from distill.models.prior import IGNORED, NOTHING, Given, at_places
from distill.models.reading import order_around
from distill.settings.prior import PriorConfig


class Window(NamedTuple):
    """A stretch of one sequence of codes: columns first .. first + columns - 1."""

    codes: Tensor  # [S, Q], the whole sequence
    first: int
    columns: int
    start: int  # BOS or MID
    hole: tuple[int, int] | None = None
    """Columns of the window that are read after all others, with what lies on both sides known; None: read in time."""
    end_known: bool = False
    """Whether the prior is told where the sequence ends."""
    traits: Tensor | None = None  # [columns, 4], what is wished for; None: nothing
    kind: int = 0
    period: int = 0
    """Columns after which the sequence comes round again, where the prior is told; 0: it is not."""


class CodeBatch(NamedTuple):
    """Windows as the prior reads them, and what it should say."""

    codes: Tensor  # [B, S, Q], 0 after the end
    start: Tensor  # [B], BOS or MID
    targets: Tensor  # [B, S + 1, Q] in the order of reading, IGNORED after the end
    hidden: Tensor  # [B, S, Q] bool, known codes the prior must do without
    given: Given = NOTHING


def make_batch(windows: Sequence[Window], settings: PriorConfig) -> CodeBatch:
    """Windows as one batch.

    The target after the last code of a file is EOS where the prior is to find that out; inside a file there is none. A stereo
    image that columns share is a target in the first of them.
    """
    columns = max(window.columns for window in windows)
    longest = columns * settings.bands
    codes = torch.zeros(len(windows), longest, settings.rvq_levels, dtype=torch.long)
    targets = torch.full((len(windows), longest + 1, settings.rvq_levels), IGNORED)
    for row, window in enumerate(windows):
        last = (window.first + window.columns) * settings.bands
        found = window.codes[window.first * settings.bands : last]
        codes[row, : len(found)] = found
        targets[row, : len(found)] = found
        repeated = image_repeated(window.first, window.columns, settings.image_columns, settings.bands)
        targets[row, : len(found)][repeated, -1] = IGNORED
        in_time = window.hole is None or window.hole[1] == window.columns
        if last == len(window.codes) and in_time and not window.end_known:
            targets[row, len(found), 0] = settings.codebook_size
    start = torch.tensor([window.start for window in windows])
    given = _given(windows, columns, settings)
    if given.order is not None:
        places = given.order[..., None] * settings.bands + torch.arange(settings.bands)
        targets = at_places(targets, places.flatten(1)[:, : longest + 1])
    return CodeBatch(codes, start, targets, torch.zeros_like(codes, dtype=torch.bool), given)


def image_repeated(first: int, columns: int, image_columns: int, bands: int) -> Tensor:
    """Whether the positions [S] of columns, the `first` of a sound and those after it, have the image of the column before."""
    return (torch.arange(first, first + columns) % image_columns > 0).repeat_interleave(bands)


def _given(windows: Sequence[Window], columns: int, settings: PriorConfig) -> Given:
    order = end = traits = kind = period = None
    if any(window.hole is not None for window in windows):
        known = torch.zeros(len(windows), columns, dtype=torch.bool)
        for row, window in enumerate(windows):
            if window.hole is not None:
                known[row, : window.columns] = True
                known[row, window.hole[0] : window.hole[1]] = False
        order = order_around(known)
    if any(window.end_known for window in windows):
        ends = [len(w.codes) // settings.bands - w.first if w.end_known else -1 for w in windows]
        end = torch.tensor(ends)
    if settings.traits:  # also where nothing is told: of several processes all must hear of the same weights
        traits = torch.full((len(windows), columns + 1, len(TRAITS)), math.nan)
        for row, window in enumerate(windows):
            if window.traits is not None:
                traits[row, : len(window.traits)] = window.traits
    if settings.kinds:
        kind = torch.tensor([window.kind for window in windows])
    if settings.periods:
        period = torch.tensor([window.period for window in windows])
    return Given(order=order, end=end, traits=traits, kind=kind, period=period)
