"""How often sounds end: what a prior says of it, and what is added so that they end as often as recordings."""

import pytest
import torch

from distill.models.canvas import kept_columns
from distill.models.filling import sample_codes
from distill.models.lengths import end_log_odds, fit_end_logit
from distill.models.prior import BOS, MID, CodePrior
from distill.models.sampling import clip_generator
from distill.models.stepping import Stepper
from distill.settings.geometry import MOST_END_LOGIT
from distill.settings.prior import PriorConfig
from tiny import prior_that_ends

SMALL = PriorConfig(
    hidden_size=32, num_layers=1, num_heads=2, codebook_size=11, codebook_dim=5, seq_len=24, bands=4, rvq_levels=2,
    both_sides=True, traits=True, kinds=2,
)  # fmt: skip
LIMIT = 12


def drawn(prior: CodePrior, count: int, seed: int) -> list[torch.Tensor]:
    """Sounds of a prior, as far as LIMIT columns."""
    generators = [clip_generator(seed + number) for number in range(count)]
    *_, sounds = sample_codes(prior, generators, LIMIT, may_end_at_limit=True)
    return sounds


def how_often(sounds: list[torch.Tensor]) -> float:
    """Of the times that they are asked; hardly any ends just at the limit."""
    lengths = [len(codes) // 4 for codes in sounds]
    return sum(length < LIMIT for length in lengths) / sum(lengths)


@pytest.mark.parametrize("columns", [1, 5, 6, 7, 15])
def test_the_odds_of_an_end_are_those_that_it_is_drawn_by(columns: int) -> None:
    """Guards against odds of the place before, of another window, or with an end among the others; the oracle asks for each
    place anew, as sounds are drawn, in the window in which it is."""
    prior = prior_that_ends(SMALL, 0.0)
    codes = torch.randint(11, (columns * 4, 2), generator=torch.Generator().manual_seed(columns))
    found = end_log_odds(prior, codes)
    assert found.shape == (columns,)
    first = 0
    for column in range(1, columns + 1):
        if column - first >= prior.window:
            first = column - kept_columns(prior.window)
        with torch.no_grad():
            state = prior.begin(torch.tensor([MID if first else BOS]), codes[None, first * 4 : column * 4])
            logits = next(Stepper(prior).step(state))
        chance = float(logits[0].double().softmax(-1)[prior.eos])
        assert float(found[column - 1].sigmoid()) == pytest.approx(chance, rel=1e-4)


def test_sounds_end_as_often_as_recordings() -> None:
    """Guards against recordings that are longer than is looked at and count as over, or with all their columns; the oracle draws
    with what was found."""
    prior = prior_that_ends(SMALL, 3.0)
    asked = [end_log_odds(prior, codes) for codes in drawn(prior, 200, 0)]
    recorded = [3, 4, 5, 6, 7, 8, 20]
    prior.end_logit = fit_end_logit(asked, recorded, LIMIT)
    assert prior.end_logit < -1.0
    often = [how_often(drawn(prior, 200, 1000))]
    prior.end_logit = 0.0
    often += [how_often(drawn(prior, 200, 1000))]
    assert often[1] > 0.25
    assert often[0] == pytest.approx(6 / (33 + LIMIT), abs=0.02)


def test_what_is_added_has_bounds() -> None:
    """Guards against sounds that never end, or end at once, where nothing but ends or none were seen, and against figures from
    hardly any."""
    never = [torch.full((LIMIT,), -30.0, dtype=torch.float64)] * 9
    assert fit_end_logit(never, [2] * 9, LIMIT) == pytest.approx(MOST_END_LOGIT)
    assert fit_end_logit(never, [2] * 3 + [40] * 6, LIMIT) == 0.0
    assert fit_end_logit([], [2] * 9, LIMIT) == 0.0
