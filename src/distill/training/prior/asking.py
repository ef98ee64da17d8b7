"""What the prior is told of a training window, drawn anew each time: holes between known sides, the end, wishes.

All of it is left out often, so that a prior that is asked for nothing predicts as one that was never told anything; and
wishes are smoothed as often, so that they may be followed loosely (a constant is the mean of the whole sound).
"""

import math

import numpy as np
import torch
from torch import Tensor

from distill.audio.traits import LOUDNESS, PITCH, TRAITS
from distill.settings.prior import PriorConfig
from distill.training.prior.codes import CodeView
from distill.training.prior.windows import Window

HOLES = 0.5
"""Share of windows in which a hole is filled; the others are read in time."""
PERIODS = 0.75
"""Share of windows that are told after how many columns their sound comes round again, where it does."""
ENDS = 0.25
"""Share of windows that are told where the sound ends."""
WISHING, EACH = 0.5, 0.6
"""Share of windows that are told anything of their traits or kind, and in those the chance of each."""
WHOLE, SMOOTHED = 0.7, 0.15
"""Chances that a trait is told as the mean of the sound, or smoothed over a few columns; else as it is."""
SMOOTHED_COLUMNS = 3
STRETCH = 0.25
"""Chance that a trait is told for a part of the window only."""


def asked(window: Window, view: CodeView, kind: int, config: PriorConfig, rng: np.random.Generator) -> Window:
    """The window with what the prior is told of it."""
    if config.both_sides and window.columns > 1 and rng.random() < HOLES:
        length = int(rng.integers(1, window.columns))
        first = int(rng.integers(0, window.columns - length + 1))
        window = window._replace(hole=(first, first + length))
    if config.both_sides and rng.random() < ENDS:
        window = window._replace(end_known=True)
    if config.periods and view.period and rng.random() < PERIODS:
        window = window._replace(period=view.period)
    if rng.random() < WISHING:
        if config.kinds and rng.random() < EACH:
            window = window._replace(kind=kind)
        if config.traits and view.traits is not None and view.whole is not None:
            traits = view.traits[window.first : window.first + window.columns]
            window = window._replace(traits=_wished(traits, view.whole, rng))
    return window


def _wished(traits: Tensor, whole: Tensor, rng: np.random.Generator) -> Tensor:
    """Traits [C, 4] of a window and what the whole sound is like [4] -> what is told of them, NaN: nothing."""
    told = torch.full_like(traits, math.nan)
    for trait in range(len(TRAITS)):
        chance, how, part = rng.random(), rng.random(), rng.random(2)
        if chance >= EACH:
            continue
        values = traits[:, trait]
        if how < WHOLE:
            if trait == LOUDNESS:
                continue  # of the whole sound it is no matter of codes
            values = whole[trait].expand(len(values))
        elif how < WHOLE + SMOOTHED:
            values = smoothed(values, trait)
        told[:, trait] = values
        if part[0] < STRETCH:
            first = int(part[1] * len(values))
            told[:first, trait] = math.nan
    return told


def smoothed(values: Tensor, trait: int) -> Tensor:
    """Values [C] of a trait, each the mean (of pitch the median) of those around that are known; NaN where none is."""
    margin = SMOOTHED_COLUMNS // 2
    padded = torch.nn.functional.pad(values, (margin, margin), value=math.nan).unfold(0, SMOOTHED_COLUMNS, 1)
    return padded.nanmedian(-1).values if trait == PITCH else padded.nanmean(-1)
