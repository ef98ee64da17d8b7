"""Wishes: words and shares in the corpus's own range, what a model cannot follow, and which of several sounds is kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.audio.griffin_lim import GriffinLim
from distill.audio.traits import BRIGHTNESS, ONSETS, PITCH, frame_traits, sound_traits, traits_of
from distill.errors import DistillError
from distill.instrument.choosing import MOST_TUNING, Judged, Sampled, judged, nearest
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.wishes import Wishes, wishes_of
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.encoding import decode_codes
from distill.settings.generation import GenerationSettings, generation_settings
from distill.settings.geometry import SAMPLE_RATE

LINE = tuple(float(value) for value in np.linspace(0.0, 32.0, 33))


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedVQModel:
    """A model with scales that are easy to reckon with, and two kinds."""
    found = load_model(tiny_model)
    scales = {
        "loudness": tuple(value - 40.0 for value in LINE),
        "brightness": tuple(7.0 + value / 8.0 for value in LINE),
        "pitch": tuple(48.0 + value for value in LINE),
        "onsets": tuple(1.0 + value / 8.0 for value in LINE),
        "length": tuple(0.1 + value / 32.0 for value in LINE),
    }
    assert found.card.prior_config is not None
    config = found.card.prior_config.model_copy(update={"both_sides": True, "traits": True, "kinds": 2})
    card = found.card.model_copy(update={"trait_quantiles": scales, "kinds": ("kick", "snare"), "prior_config": config})
    return replace(found, card=card)


def wished(loaded: LoadedVQModel, **settings: Any) -> Wishes:
    return wishes_of(loaded, generation_settings(seed=1, **settings))


def test_shares_are_of_the_corpus_own_range(loaded: LoadedVQModel) -> None:
    """Guards against shares of another trait's range, and counts of onsets that do not know how long the sound is."""
    assert wished(loaded) == Wishes()
    found = wished(loaded, brightness=0.5, onsets=1.0, loudness=0.25, length=1.0, seconds=2.0)
    assert found.traits is not None
    assert float(found.traits[BRIGHTNESS]) == 9.0
    assert float(found.traits[ONSETS]) == pytest.approx(5.0 * (512 * 16 / SAMPLE_RATE) / 1.1, rel=1e-3)
    assert found.loudness_db == -32.0
    assert found.samples == round(1.1 * SAMPLE_RATE)
    assert wished(loaded, length=1.0, seconds=0.5).samples == SAMPLE_RATE // 2  # --seconds is the limit


@pytest.mark.parametrize(("text", "note"), [("C#4", 61.0), ("61", 61.0), ("50%", 64.0), ("440 Hz", 69.0)])
def test_a_pitch_is_a_note_a_number_a_frequency_or_a_share(loaded: LoadedVQModel, text: str, note: float) -> None:
    """Guards against 61 that is read as a share, and 50% that is a note."""
    found = wished(loaded, pitch=text).traits
    assert found is not None
    assert float(found[PITCH]) == pytest.approx(note, abs=1e-4)


def test_a_kind_is_a_word_of_the_corpus(loaded: LoadedVQModel) -> None:
    """Guards against kinds that are off by one, and a misspelt word that makes whatever comes."""
    assert wished(loaded, kind="Snare").kind == 2
    with pytest.raises(DistillError, match=r"--kind snarre: .* Do you mean snare\? There are kick, snare\."):
        wished(loaded, kind="snarre")


@pytest.mark.parametrize("pitch", ["H2", "120%", "-1", ""])
def test_a_pitch_that_is_none_is_one_sentence(loaded: LoadedVQModel, pitch: str) -> None:
    """Guards against a traceback for a typing error."""
    with pytest.raises(DistillError):
        wished(loaded, pitch=pitch)


@pytest.mark.parametrize("pitch", ["0.2", "0:0.2,0.5:61"])
def test_a_share_that_would_be_a_note_of_8_hz_is_one_sentence(loaded: LoadedVQModel, pitch: str) -> None:
    """Guards against a wish that all sounds fail, because 0.2 is a share of everything else."""
    with pytest.raises(DistillError, match=r"as a note that is 8.3 Hz.* write 20%\."):
        wished(loaded, pitch=pitch)


def test_a_model_that_cannot_says_what_would_help(loaded: LoadedVQModel) -> None:
    """Guards against wishes that an older prior, or one without recordings, silently leaves out."""
    assert loaded.card.prior_config is not None
    for change, sentence in (
        ({"both_sides": False}, "older than wishes. Train its prior again: `distill train-prior"),
        ({"traits": False}, "trained without its recordings"),
    ):
        config = loaded.card.prior_config.model_copy(update=change)
        older = replace(loaded, card=loaded.card.model_copy(update={"prior_config": config}))
        with pytest.raises(DistillError, match=sentence):
            wished(older, brightness=0.3)
        with pytest.raises(DistillError, match=sentence):
            wished(older, loudness="0:0.3")  # a curve of one point, which the prior is asked for
    without = loaded.card.model_copy(update={"trait_quantiles": {}, "kinds": ()})
    with pytest.raises(DistillError, match="--pitch: the recordings of this model have no pitch"):
        wished(replace(loaded, card=without), pitch="C4")
    with pytest.raises(DistillError, match="knows no kinds"):
        wished(replace(loaded, card=without), kind="kick")


def test_the_nearest_is_kept_and_of_equally_near_ones_the_likeliest() -> None:
    """Guards against tries of which the first, the last or the least likely is taken."""
    codes = torch.zeros(8, 2, dtype=torch.long)
    sounds = [Sampled(codes, False, torch.full((8, 2), value)) for value in (-1.0, -3.0, -2.0)]
    assert (
        nearest([Judged(each, miss) for each, miss in zip(sounds, (1.0, 0.2, 0.2), strict=True)]).sampled is sounds[2]
    )
    assert Judged(sounds[0], 0.2).good
    assert not Judged(sounds[0], 0.5).good


def test_a_sound_is_judged_by_what_it_is_like(loaded: LoadedVQModel) -> None:
    """Guards against a judgement of another trait: the wish that is what the sound has misses by nothing."""
    assert loaded.prior is not None
    codes = (
        torch.arange(24)[:, None].repeat(1, loaded.card.vqvae_config.rvq_levels)
        % loaded.card.vqvae_config.codebook_size
    )
    sampled = Sampled(codes, False, torch.zeros(codes.shape))
    level = float(loaded.codec.typical_level_db)
    mel = decode_codes(loaded.codec, codes, level).T
    found = traits_of(frame_traits(mel, np.zeros(0), loaded.card.spectrogram_config), 0.0)
    assert found.brightness is not None
    nothing = torch.full((4,), float("nan"))
    for off in (0.0, 1.0, -2.0):
        traits = nothing.clone()
        traits[BRIGHTNESS] = found.brightness + off
        assert judged(loaded, sampled, Wishes(traits), None).miss == pytest.approx(abs(off), abs=1e-3)
    low = nothing.clone()
    low[PITCH] = 30.0
    synthesise = GriffinLim(loaded.card.spectrogram_config, 2)
    assert abs(judged(loaded, sampled, Wishes(low), synthesise).sampled.tuning) <= MOST_TUNING


def test_a_wish_for_loudness_and_length_is_kept_to_the_letter(loaded: LoadedVQModel) -> None:
    """Guards against loudness and length that are drawn all the same; a seed makes the same sound whatever is beside it."""

    def made(count: int, seed: int, **settings: Any) -> list[np.ndarray[Any, Any]]:
        asked_for = GenerationSettings(count=count, seed=seed, seconds=0.6, tries=2, **settings)
        sounds = made_sounds(loaded, asked_for, GriffinLim(loaded.card.spectrogram_config, 2))
        return [each.samples for each in sounds if isinstance(each, MadeSound)]

    soft, loud = (made(1, 3, loudness=share, length=0.2)[0] for share in (0.1, 0.6))
    assert soft.shape[1] == loud.shape[1] == round((0.1 + 0.2) * SAMPLE_RATE)
    off = sound_traits(loud, SAMPLE_RATE).loudness - sound_traits(soft, SAMPLE_RATE).loudness
    assert off == pytest.approx(16.0, abs=1.5)
    assert np.array_equal(made(3, 5, length=0.1)[2], made(1, 7, length=0.1)[0])
