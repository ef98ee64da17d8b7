"""Wished pitches are heard in the sound as it comes out: whole, tuned, with its grain."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.audio.griffin_lim import GriffinLim
from distill.instrument import sampling
from distill.instrument.choosing import MOST_TUNING, Judged, Sampled, missed_pitch, nearest
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.tuning import MOST_HEARD, heard_whole
from distill.modelfile.opened import load_model
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig

WISHED = 57.0
"""A3."""


def tried(whole: float | None, quick_off: float) -> tuple[Judged, float | None]:
    """A sound that is heard `quick_off` semitones off at first, and is `whole` from the wish when it is untuned and whole."""
    sampled = Sampled(torch.zeros(8, 1, dtype=torch.long), False, torch.zeros(8, 1), quick_off)
    miss = missed_pitch(quick_off)
    return Judged(sampled, miss, miss), whole


def rendered(sounds: list[tuple[Judged, float | None]], heard: list[int]) -> Any:
    def render(sampled: Sampled) -> np.ndarray[Any, Any]:
        number = next(n for n, (each, _) in enumerate(sounds) if each.sampled.log_likelihood is sampled.log_likelihood)
        heard.append(number)
        off = sounds[number][1]
        if off is None:
            return np.random.default_rng(0).standard_normal((1, SAMPLE_RATE // 2)).astype(np.float32) / 8
        hz = 440.0 * 2.0 ** ((WISHED + off + sampled.tuning - 69.0) / 12.0)
        wave = np.mod(np.arange(SAMPLE_RATE // 2) * hz / SAMPLE_RATE, 1.0) - 0.5
        return np.asarray(wave[None] / 2, dtype=np.float32)

    return render


def test_a_sound_that_goes_on_to_another_note_is_not_taken_for_its_beginning() -> None:
    """Guards against wishes of a pitch that are judged by a sound's first moment: an octave off in the end."""
    sounds = [tried(12.0, 0.0), tried(-2.4, 2.0), tried(None, 1.0), tried(0.0, 3.0)]
    heard: list[int] = []
    best = nearest(heard_whole([each for each, _ in sounds], WISHED, rendered(sounds, heard), SpectrogramConfig()))
    assert best.sampled.log_likelihood is sounds[1][0].sampled.log_likelihood
    assert best.sampled.tuning == pytest.approx(2.4, abs=0.1)
    assert best.good
    assert set(heard) == {0, 1, 2}  # the last one cannot be nearer


def test_no_more_are_heard_than_is_quick_and_none_is_tuned_too_far() -> None:
    """Guards against a wish that renders all tries, and against a cello played as a flute."""
    sounds = [tried(-14.0, 0.01 * number) for number in range(2 * MOST_HEARD)]
    heard: list[int] = []
    found = heard_whole([each for each, _ in sounds], WISHED, rendered(sounds, heard), SpectrogramConfig())
    assert len(found) == MOST_HEARD
    assert all(abs(each.sampled.tuning) <= MOST_TUNING and not each.good for each in found)


def test_what_is_heard_is_what_comes_out(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against sounds that are heard without grain, cut elsewhere or with other noise than the one that is kept, and
    against a wish that nothing is heard for."""
    loaded = load_model(tiny_model)
    assert loaded.card.prior_config is not None
    config = loaded.card.prior_config.model_copy(update={"both_sides": True, "traits": True})
    scales = {"pitch": tuple(float(value) for value in np.linspace(48.0, 80.0, 33))}
    loaded = replace(loaded, card=loaded.card.model_copy(update={"trait_quantiles": scales, "prior_config": config}))
    heard: list[np.ndarray[Any, Any]] = []

    def first(tried: list[Judged], pitch: float, render: Any, _: Any) -> list[Judged]:
        assert pitch == WISHED
        heard.append(render(tried[0].sampled))
        return tried[:1]

    monkeypatch.setattr(sampling, "heard_whole", first)
    monkeypatch.setattr(sampling, "ROUNDS", 1)
    settings = GenerationSettings(count=2, seed=3, seconds=0.6, tries=2, pitch="A3")
    sounds = made_sounds(loaded, settings, GriffinLim(loaded.card.spectrogram_config, 2))
    made = [each.samples for each in sounds if isinstance(each, MadeSound)]
    assert len(heard) == 2
    for one, other in zip(heard, made, strict=True):
        assert np.array_equal(one, other)
