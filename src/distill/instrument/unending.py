"""Codes column by column, for sounds that need not end.

    window 1   free ·························
    window 2            known ········ free ·············     the newest two thirds are kept, the rest is drawn
    window 3                        known ········ free ··

These are the windows in which `models.filling` fills one long canvas, so the codes are those of the canvas, to the letter. What
is kept is a window of codes, however long the sound gets.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from distill.instrument.wishes import Wishes
from distill.models.canvas import Canvas, Ends
from distill.models.filling import fill
from distill.models.prior import CodePrior
from distill.models.run_limit import SoundUnderLimit
from distill.models.stepping import Stepper
from distill.settings.generation import GenerationSettings

TOLD_WINDOWS = 3
"""Where a sound is over is told to a prior from so many windows before on: further off all ends are alike to it."""


class Course(NamedTuple):
    """How a long sound goes on."""

    again: bool
    """Whether another sound follows where one is over."""
    columns: int | None = None
    """Where it is over, if it is told; None: where it ends by itself."""


def columns_drawn(
    prior: CodePrior,
    generator: torch.Generator,
    settings: GenerationSettings,
    wishes: Wishes,
    course: Course,
    under_limit: Sequence[SoundUnderLimit] | None = None,
) -> Iterator[Tensor]:
    """Columns of codes [bands, Q] one after another, on the processor; ends only where the sound is over for good."""
    bands, window = prior.config.bands, prior.window
    stepper = Stepper(prior)
    by_level = [settings.at_level(level) for level in range(prior.config.rvq_levels)]
    nothing = torch.zeros(0, prior.config.rvq_levels, dtype=torch.long)
    heard, done, total = nothing, 0, 0
    while course.columns is None or done < course.columns:
        known = len(heard) // bands
        wanted, told = window - known, window - known
        ends: Ends = "never" if wishes.keeps_on(course.again) else "may"
        if course.columns is not None:
            wanted, told = (min(each, course.columns - done) for each in (wanted, TOLD_WINDOWS * window))
            ends = "known"
        free = torch.zeros(told * bands, nothing.shape[1], dtype=torch.long)
        codes = torch.cat([heard, free])
        is_free = torch.ones_like(codes, dtype=torch.bool)
        is_free[: len(heard)] = False
        asked = Canvas(codes, is_free, bands, done == 0, ends, first=total - known)
        canvas = wishes.of(asked, settings.strength, known - done, generator)
        filling, over = fill(prior, [canvas], [generator], by_level, stepper, under_limit), False
        for place in range(known, known + wanted):
            (so_far,) = next(filling)
            over = len(so_far) < (place + 1) * bands
            if over:
                break
            codes = so_far.cpu()
            yield codes[place * bands :]
            done, total = done + 1, total + 1
        filling.close()
        _ = stepper.exact  # a second prior in float64: made now, so that memory does not grow when it is first needed
        if over and not course.again:
            return
        kept = max(window * 2 // 3, int(window > 1))
        heard, done = (nothing, 0) if over else (codes[len(codes) - kept * bands :], done)
