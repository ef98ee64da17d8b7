"""Windows: the stretches of codes that the prior reads at once, and batches of them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from distill.models.prior import IGNORED
from distill.settings.prior import PriorConfig


class Window(NamedTuple):
    """A stretch of one sequence of codes: columns first .. first + columns - 1."""

    codes: Tensor  # [S, Q], the whole sequence
    first: int
    columns: int
    start: int  # BOS or MID


class CodeBatch(NamedTuple):
    """Windows as the prior reads them, and what it should say."""

    codes: Tensor  # [B, S, Q], 0 after the end
    start: Tensor  # [B], BOS or MID
    targets: Tensor  # [B, S + 1, Q], IGNORED after the end
    hidden: Tensor  # [B, S, Q] bool, past codes the prior must do without


def make_batch(windows: Sequence[Window], settings: PriorConfig) -> CodeBatch:
    """Windows as one batch. The target after the last code of a file is EOS; inside a file there is none."""
    longest = max(window.columns for window in windows) * settings.bands
    codes = torch.zeros(len(windows), longest, settings.rvq_levels, dtype=torch.long)
    targets = torch.full((len(windows), longest + 1, settings.rvq_levels), IGNORED)
    for row, window in enumerate(windows):
        last = (window.first + window.columns) * settings.bands
        found = window.codes[window.first * settings.bands : last]
        codes[row, : len(found)] = found
        targets[row, : len(found)] = found
        if last == len(window.codes):
            targets[row, len(found), 0] = settings.codebook_size
    start = torch.tensor([window.start for window in windows])
    return CodeBatch(codes, start, targets, torch.zeros_like(codes, dtype=torch.bool))
