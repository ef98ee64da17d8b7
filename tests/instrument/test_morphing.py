"""A morph: what each step is asked to be, that a step can be made alone, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.audio.griffin_lim import GriffinLim
from distill.instrument.asked import Asked
from distill.instrument.canvases import mixed_canvas, stood_for
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.morphing import morph_of, step_of
from distill.instrument.recordings import Recording
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.settings.generation import GenerationSettings, generation_settings, steps_of
from tiny import RATE, hit

Run = Callable[..., tuple[int, str, str]]
SHORT, LONG = (Recording(sound[None], "a.wav") for sound in (0.2 * hit(3, 0.4), hit(5, 0.9)))


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedVQModel:
    return load_model(tiny_model)


def made(loaded: LoadedVQModel, ways: tuple[float, ...], **settings: Any) -> list[MadeSound]:
    wanted = generation_settings(**{"seed": 3, "count": max(1, len(ways)), **settings})
    asked = Asked("morph", (SHORT, LONG), ways=ways)
    making = made_sounds(loaded, wanted, GriffinLim(loaded.card.spectrogram_config, 4), asked=asked)
    return [each for each in making if isinstance(each, MadeSound)]


def test_a_step_is_between_both_in_all_that_is_asked(loaded: LoadedVQModel) -> None:
    """Guards against a way that is turned round, and a trait, a length or a guide that stays with one of the two."""
    assert loaded.card.prior_config is not None
    config = loaded.card.prior_config.model_copy(update={"traits": True})
    able = replace(loaded, card=loaded.card.model_copy(update={"prior_config": config}))
    morph, settings = morph_of(able, Asked("morph", (SHORT, LONG))), GenerationSettings(seed=1)
    steps = [step_of(able, morph, way, settings) for way in (0.0, 0.5, 1.0)]
    assert [step.samples for step in steps] == [SHORT.samples, round((0.4 * 0.9) ** 0.5 * RATE), LONG.samples]
    assert [step.canvas.columns for step in steps] == [3, 4, 6]
    assert steps[0].loudness_db == morph.first.traits.loudness
    assert steps[2].loudness_db == morph.second.traits.loudness
    assert steps[1].loudness_db == pytest.approx((steps[0].loudness_db + steps[2].loudness_db) / 2)
    brightness = [float(step.wishes.traits[1]) for step in steps if step.wishes.traits is not None]
    assert brightness == pytest.approx(
        [morph.first.traits.brightness, sum(brightness[::2]) / 2, morph.second.traits.brightness], abs=1e-4
    )
    given = step_of(able, morph, 1.0, generation_settings(brightness=0.0)).wishes.traits
    assert given is not None
    assert float(given[1]) != pytest.approx(brightness[2], abs=1e-3)  # what is wished for goes before


def test_a_mixture_is_between_what_codes_stand_for(loaded: LoadedVQModel) -> None:
    """Guards against a guide that mixes the numbers of codes, or leaves one sound out."""
    prior = loaded.prior
    assert prior is not None
    one, other = (torch.full((16, prior.config.rvq_levels), code) for code in (1, 5))
    guide = mixed_canvas(prior, one, other, 0.25, 0.5, 3).guide
    assert guide is not None
    torch.testing.assert_close(guide.vectors, 0.75 * stood_for(prior, one) + 0.25 * stood_for(prior, other))
    assert float(guide.strength.max()) == 0.5


def test_steps_have_one_seed_and_can_be_made_alone(loaded: LoadedVQModel) -> None:
    """Guards against a step that depends on those beside it, across batches too, and on seeds that run on."""
    many = made(loaded, steps_of(18), like_strength=0.2)
    assert [each.seed for each in many] == [3] * 18
    assert [each.way for each in many] == list(steps_of(18))
    (alone,) = made(loaded, (steps_of(18)[17],), like_strength=0.2)
    np.testing.assert_array_equal(alone.samples, many[17].samples)
    two = made(loaded, (0.5,), count=2)
    assert [each.seed for each in two] == [3, 4]
    assert not np.array_equal(two[0].samples, two[1].samples)
