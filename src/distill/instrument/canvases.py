"""What is asked for as canvases: a gap between sounds, a variation, a sound after another one, the end of a loop."""

import torch
from torch import Tensor

from distill.models.canvas import Canvas, Ends, Guide, open_canvas
from distill.models.prior import CodePrior

HEARD_AFTER = 4
"""Columns that follow a gap whose likelihood also says how well it was filled."""


def gap_canvas(before: Tensor, columns: int, after: Tensor, bands: int, begins: bool, ends: Ends) -> Canvas:
    """Known codes [S, Q], free columns, known codes [S', Q]."""
    hole = torch.zeros(columns * bands, before.shape[1], dtype=torch.long)
    codes = torch.cat([before, hole, after])
    free = torch.zeros(codes.shape, dtype=torch.bool)
    free[len(before) : len(before) + len(hole)] = True
    return Canvas(codes, free, bands, begins, ends)


def variation_canvas(codes: Tensor, amount: float, levels: int, bands: int, generator: torch.Generator) -> Canvas:
    """A sound [S, Q] of which a share is free: of its finest level some columns, then all, then of the next one, and at
    last the coarsest.

    What is free at some amount is so at every larger one. The image of a stereo sound (the level after the codec's) goes
    with the coarsest.

    Args:
        levels: of the codec.
    """
    columns = len(codes) // bands
    order = torch.randperm(columns, generator=generator)
    count = max(1, round(amount * columns * levels))
    free = torch.zeros(columns, bands, codes.shape[1], dtype=torch.bool)
    for level in range(levels - 1, -1, -1):
        chosen = order[: max(0, min(columns, count - (levels - 1 - level) * columns))]
        free[chosen, :, level] = True
        if level == 0:
            free[chosen, :, levels:] = True
    return Canvas(codes, free.view(codes.shape), bands, ends="known")


def guided_canvas(prior: CodePrior, codes: Tensor, strength: float, heard_levels: int) -> Canvas:
    """A new sound as long as a guide, and after it.

    Args:
        codes: [S, Q] of the guide.
        heard_levels: how many of its levels count: not the image where the guide is mono.
    """
    return mixed_canvas(prior, codes, codes, 0.0, strength, heard_levels)


def mixed_canvas(
    prior: CodePrior, first: Tensor, second: Tensor, way: float, strength: float, heard_levels: int
) -> Canvas:
    """A new sound as long as two guides, and after a mixture of them.

    Args:
        first, second: codes [S, Q] of the guides.
        way: the share of the second one.
        heard_levels: as for `guided_canvas`.
    """
    bands, levels = prior.config.bands, first.shape[1]
    canvas = open_canvas(len(first) // bands, bands, levels, "known")
    vectors = stood_for(prior, first)
    if way:
        vectors = torch.lerp(vectors, stood_for(prior, second), way)
    strengths = torch.full((canvas.columns, levels), strength)
    strengths[:, heard_levels:] = 0.0
    return Canvas(canvas.codes, canvas.free, bands, ends="known", guide=Guide(vectors, strengths))


def stood_for(prior: CodePrior, codes: Tensor) -> Tensor:
    """What codes [S, Q] stand for: [S, D]."""
    return torch.stack([prior.vectors[level][codes[:, level]] for level in range(codes.shape[1])]).sum(0)


def loop_end_canvas(begun: Tensor, columns: int, bands: int, window: int) -> Canvas:
    """A loop whose beginning [S, Q] is there: its last columns free, and behind them its beginning again."""
    before = begun[-window * bands :]
    again = begun[: window * bands]
    return gap_canvas(before, columns, again, bands, len(before) == len(begun), "never")
