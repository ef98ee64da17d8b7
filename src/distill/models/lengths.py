"""How long new sounds are: how often a prior sees an end, beside how often recordings end.

Wherever a column would begin, a prior says how likely it is that the sound is over. After codes that it has drawn itself it is
sure too soon, or never, and one number that is added to the logit of every end makes up for that: the one with which it sees
an end as often, wherever sounds of its own are asked for one, as recordings end.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from distill.models.canvas import Shape, reaches
from distill.models.prior import BOS, MID, CodePrior
from distill.settings.geometry import MOST_END_LOGIT

LEAST_ENDINGS = 4
"""Recordings that end within the time looked at, without which nothing is said of how often they do."""
STEPS = 40


@torch.no_grad()
def end_log_odds(prior: CodePrior, codes: Tensor) -> Tensor:
    """The log odds that a prior gives to an end behind each column of a sound of codes [S, Q]: [C] float64, as it is asked
    when sounds are drawn, without what is added to them."""
    bands = prior.config.bands
    columns = len(codes) // bands
    found = torch.zeros(columns, dtype=torch.float64)
    for reach in reaches(Shape((), (), True), columns + 1, prior.window):
        start = torch.tensor([MID if reach.first else BOS])
        read = codes[reach.first * bands : (reach.first + prior.window) * bands]
        ends = prior(read[None], start)[0, ::bands, 0].double().softmax(-1)[:, prior.eos].logit()
        for place in reach.drawn:
            if reach.first + place > 0:
                found[reach.first + place - 1] = ends[place]
    return found


def fit_end_logit(asked: Sequence[Tensor], recorded: Sequence[int], most: int) -> float:
    """What is to be added to the logit of an end; 0 where too few recordings end.

    Args:
        asked: of each made sound `end_log_odds`, up to where it ended.
        recorded: how many columns each recording has.
        most: how many of them are looked at.
    """
    ended = sum(columns <= most for columns in recorded)
    if ended < LEAST_ENDINGS or not asked:
        return 0.0
    wanted = ended / sum(min(columns, most) for columns in recorded)
    odds, low, high = torch.cat(list(asked)), -MOST_END_LOGIT, MOST_END_LOGIT
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if float((odds + middle).sigmoid().mean()) < wanted else (low, middle)
    return (low + high) / 2.0
