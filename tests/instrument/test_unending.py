"""Codes column by column: those of the whole canvas, to the letter."""

from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from distill.instrument.sampling import sample_pieces
from distill.instrument.unending import Course, columns_drawn
from distill.instrument.wishes import IN_TIME, Wishes
from distill.modelfile.opened import LoadedVQModel
from distill.models.canvas import open_canvas
from distill.models.filling import fill
from distill.models.prior import BOS
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import COLUMN_SECONDS, SpectrogramConfig
from distill.settings.prior import PriorConfig
from tiny import exhausted, prior_that_ends

SMALL = PriorConfig(
    hidden_size=32, num_layers=1, num_heads=2, codebook_size=11, codebook_dim=5, seq_len=24, bands=4, rvq_levels=2,
    both_sides=True, traits=True, kinds=2, periods=True,
)  # fmt: skip
SETTINGS = GenerationSettings(seconds=40 * COLUMN_SECONDS, ending="exact", top_p=0.95, strength=1.0)


def loaded(*periods: int) -> LoadedVQModel:
    card = SimpleNamespace(spectrogram_config=SpectrogramConfig(), periods=periods)
    return cast(LoadedVQModel, SimpleNamespace(card=card))


LOADED, IN_PERIOD = loaded(), loaded(2, 3)


@pytest.mark.parametrize("model", [LOADED, IN_PERIOD], ids=["free", "in time"])
@pytest.mark.parametrize(("bias", "image_columns"), [(-20.0, 1), (2.0, 1), (-20.0, 3)])
def test_they_are_those_of_the_whole(bias: float, image_columns: int, model: LoadedVQModel) -> None:
    """Guards against windows that begin or slide elsewhere, and against another random number at their borders; with sounds
    that go on over many windows, with sounds that end all the time, and with images that columns share."""
    prior = prior_that_ends(SMALL.model_copy(update={"image_columns": image_columns}), bias)
    *_, (_, _, (whole,)) = sample_pieces(prior, [clip_generator(3)], model, SETTINGS)
    in_time = Wishes().in_time(model)
    columns = columns_drawn(prior, clip_generator(3), SETTINGS, in_time, Course(again=True))
    assert torch.equal(torch.cat(list(islice(columns, 40))), whole.codes)


def test_a_sound_that_ends_by_itself_is_over() -> None:
    """Guards against a stream that never ends although its sound has, and against one more column after the end."""
    prior = prior_that_ends(SMALL, 2.0)
    natural = SETTINGS.model_copy(update={"ending": "natural"})
    *_, (_, _, (whole,)) = sample_pieces(prior, [clip_generator(3)], LOADED, natural)
    assert whole.ended
    columns = columns_drawn(prior, clip_generator(3), natural, Wishes().in_time(LOADED), Course(again=False))
    assert torch.equal(torch.cat(list(columns)), whole.codes)


def test_ends_are_as_likely_as_they_are_made() -> None:
    """Guards against ends by the prior's own odds, and against odds that are changed inside a column or twice; the oracle is the
    plain forward."""
    prior, settings = prior_that_ends(SMALL, 2.0), GenerationSettings(seconds=2 * COLUMN_SECONDS, ending="natural")
    prior.end_logit = -1.4
    *_, (_, _, found) = sample_pieces(prior, [clip_generator(seed) for seed in range(300)], LOADED, settings)
    first = torch.stack([each.codes[:4] for each in found])
    with torch.no_grad():
        logits = prior(first, torch.full((300,), BOS))[:, 4, 0]
    own = float(logits.softmax(-1)[:, prior.eos].mean())
    logits[:, prior.eos] += prior.end_logit
    wanted = float(logits.softmax(-1)[:, prior.eos].mean())
    assert own > wanted + 0.2
    assert sum(len(each.codes) == 4 for each in found) / 300 == pytest.approx(wanted, abs=0.08)


def test_an_end_that_is_known_is_told_from_afar() -> None:
    """Guards against a prior that is told of the end of each window, or of none, and against wishes that get lost."""
    prior, wishes = prior_that_ends(SMALL, 0.0), Wishes(torch.tensor([-3.0, 8.0, torch.nan, 1.0]), 2)
    canvas = wishes.of(open_canvas(29, 4, 2, "known"), 1.0)
    (whole,) = exhausted(fill(prior, [canvas], [clip_generator(3)], SETTINGS))
    columns = columns_drawn(prior, clip_generator(3), SETTINGS, wishes, Course(again=False, columns=29))
    assert torch.equal(torch.cat(list(columns)), whole.codes)


def test_a_long_sound_keeps_one_period_that_its_seed_chooses() -> None:
    """Guards against short sounds that are held to a period, long ones that are not, all seeds with the same one, and
    a sound that ends on the way, so that another begins out of time."""
    prior, canvas = prior_that_ends(SMALL, 2.0), open_canvas(40, 4, 2, "never")
    short = SETTINGS.model_copy(update={"seconds": 6 * COLUMN_SECONDS})
    *_, (_, _, (untold,)) = sample_pieces(prior, [clip_generator(3)], IN_PERIOD, short)
    (plain,) = exhausted(fill(prior, [open_canvas(6, 4, 2, "may")], [clip_generator(3)], short))
    assert torch.equal(untold.codes, plain.codes)
    *_, (_, _, found) = sample_pieces(prior, [clip_generator(seed) for seed in range(8)], IN_PERIOD, SETTINGS)
    periods = [Wishes().in_time(IN_PERIOD).of(canvas, 1.0, generator=clip_generator(seed)).period for seed in range(8)]
    assert set(periods) == {2, 3}
    for seed, (period, each) in enumerate(zip(periods, found, strict=True)):
        in_time = replace(canvas, period=period, strength=IN_TIME)
        (alone,) = exhausted(fill(prior, [in_time], [clip_generator(seed)], SETTINGS))
        assert torch.equal(each.codes, alone.codes)
