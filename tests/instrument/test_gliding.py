"""A pitch that is drawn over a sound: led along it, everything else where it was."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor

from distill.audio.griffin_lim import GriffinLim, Synthesiser
from distill.audio.traits import PITCH
from distill.instrument import choosing, rendering, sampling
from distill.instrument.asked import Asked
from distill.instrument.choosing import MOST_GLIDE, Judged, Sampled, judged, nearest
from distill.instrument.gliding import glided, missing_semitones
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.recordings import Recording
from distill.instrument.tags import tags_of
from distill.instrument.tuning import heard_whole
from distill.instrument.wishes import wishes_of
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.canvas import Canvas
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings, generation_settings
from distill.settings.geometry import COLUMN_SECONDS, FRAMES_PER_COLUMN, HOP_LENGTH, SAMPLE_RATE, SpectrogramConfig

COLUMNS = 9
FRAMES, SAMPLES = COLUMNS * FRAMES_PER_COLUMN, COLUMNS * FRAMES_PER_COLUMN * HOP_LENGTH - 300
RISING = torch.linspace(57.0, 69.0, COLUMNS)


class Sung(Synthesiser):
    """A tone whose note is in the first row of the mel, and whose level is in the second; with noise instead where there is no
    note."""

    hop = HOP_LENGTH

    def frames_of(
        self, mel: Tensor, first: int, count: int, known: Tensor, level_db: float, generator: torch.Generator
    ) -> Tensor:
        del known, level_db
        at = np.arange(count * HOP_LENGTH) / HOP_LENGTH
        note, level = (np.interp(at, np.arange(count), row) for row in mel[:2, first : first + count].double().numpy())
        wave = np.sin(2.0 * np.pi * np.cumsum(440.0 * 2.0 ** ((note - 69.0) / 12.0)) / SAMPLE_RATE)
        noise = torch.randn(len(at), generator=generator).double().numpy() / 4.0
        return torch.from_numpy(np.where(note > 0.0, wave, noise) * 10.0 ** (level / 20.0)).float()


def sung(notes: np.ndarray | float, level: np.ndarray | float = -6.0) -> Tensor:
    """The mel [2, T] of such a tone."""
    return torch.from_numpy(np.stack([np.broadcast_to(each, FRAMES) for each in (notes, level)])).float()


def led(mel: Tensor, notes: Tensor, rate: int = SAMPLE_RATE) -> Tensor:
    return glided(mel, notes, SAMPLES, Sung(), torch.Generator().manual_seed(0), rate)


def phase_notes(sound: Tensor) -> np.ndarray:
    """The note at each sample of a pure tone, by how fast the phase of its analytic signal turns."""
    turned = np.unwrap(np.angle(scipy.signal.hilbert(sound.double().numpy())))
    hz = scipy.signal.savgol_filter(turned, 1025, 2, deriv=1) * SAMPLE_RATE / (2.0 * np.pi)
    return 69.0 + 12.0 * np.log2(np.maximum(hz, 1.0) / 440.0)


def drawn_at_samples(notes: Tensor) -> np.ndarray:
    places = (np.arange(SAMPLES) / HOP_LENGTH + 0.5) / FRAMES_PER_COLUMN - 0.5
    return np.interp(places, np.arange(len(notes)), notes.double().numpy())


@pytest.mark.parametrize("own", [63.0, np.linspace(62.0, 66.0, FRAMES), 63.0 + np.sin(np.arange(FRAMES) / 30.0)])
@pytest.mark.parametrize("notes", [RISING, RISING.flip(0), torch.full((COLUMNS,), 60.0)])
def test_a_tone_is_led_along_the_curve(own: np.ndarray | float, notes: Tensor) -> None:
    """Guards against a glide that is turned round, late, in steps, or that adds to what the sound does by itself: 20 cents."""
    made = led(sung(own), notes)
    assert len(made) == SAMPLES
    inside = slice(3000, -3000)
    off = phase_notes(made)[inside] - drawn_at_samples(notes)[inside]
    assert np.median(np.abs(off)) < 0.1
    assert np.quantile(np.abs(off), 0.95) < 0.2


def test_everything_else_stays_where_it_was() -> None:
    """Guards against strokes that come early where a sound is played faster: with them loudness, image and end would move."""
    level = np.where(np.arange(FRAMES) < FRAMES // 2, -40.0, -6.0)
    made = led(sung(63.0, level), torch.linspace(70.0, 74.0, COLUMNS))
    power = np.convolve(np.square(made.double().numpy()), np.ones(480) / 480, mode="same")
    begun = int(np.flatnonzero(power > power.max() / 4)[0])
    assert abs(begun - FRAMES // 2 * HOP_LENGTH) < 1.5 * HOP_LENGTH


def test_what_is_in_tune_or_has_no_pitch_is_left_as_it_is() -> None:
    """Guards against sounds that are resampled for nothing, and against noise that is led along by what it was taken for."""
    for mel, notes in ((sung(60.0), torch.full((COLUMNS,), 60.05)), (sung(0.0), RISING)):
        assert torch.equal(led(mel, notes), Sung()(mel, torch.Generator().manual_seed(0))[:SAMPLES])


def test_no_further_than_it_may_be() -> None:
    """Guards against a sound of which nothing is left."""
    found = phase_notes(led(sung(48.0), torch.full((COLUMNS,), 90.0)))
    assert np.median(found) == pytest.approx(48.0 + MOST_GLIDE, abs=0.05)


def test_what_no_recording_holds_is_not_played_down_to_where_it_is_heard() -> None:
    """Guards against a hiss over recordings of 8 kHz that becomes a tone within them."""
    made = led(sung(np.where(np.arange(FRAMES) < FRAMES - 40, 63.0, 110.0)), torch.full((COLUMNS,), 55.0), 8_000)
    power = np.abs(np.fft.rfft(made[-30 * HOP_LENGTH :].numpy() * np.hanning(30 * HOP_LENGTH))) ** 2
    hz = np.fft.rfftfreq(30 * HOP_LENGTH, 1 / SAMPLE_RATE)
    whole = float(np.square(made.numpy()).sum())
    assert power[hz > 1_000.0].sum() < 1e-8 * whole * 30 * HOP_LENGTH


def test_where_there_is_no_pitch_what_is_around_it_decides() -> None:
    """Guards against a hole in a note that is played at its own speed, and against an octave too high for a moment that the
    whole sound is thrown down for."""
    notes = np.full(FRAMES, 63.0)
    notes[40:60] = 0.0
    samples = Sung()(sung(notes), torch.Generator().manual_seed(0))
    missing = missing_semitones(samples, np.full(FRAMES, 66.0), HOP_LENGTH)
    assert missing is not None
    assert missing == pytest.approx(3.0, abs=0.25)
    notes[:] = 63.0
    notes[70:73] = 75.0
    found = missing_semitones(Sung()(sung(notes), torch.Generator()), np.full(FRAMES, 66.0), HOP_LENGTH)
    assert found == pytest.approx(3.0, abs=0.25)


def test_a_sound_that_holds_a_note_is_led_rather_than_one_that_jumps(
    loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against sounds between two octaves, of which YIN hears one now and the other then."""
    codes = torch.zeros(6 * 8, loaded.card.vqvae_config.rvq_levels, dtype=torch.long)
    wishes = wishes_of(loaded, generation_settings(seed=1, pitch="C4,C4", seconds=6 * COLUMN_SECONDS))
    miss = {}
    for name, notes in (("held", [66.0] * 6), ("jumping", [54.0, 66.0] * 3)):
        columns = torch.full((6, 4), math.nan)
        columns[:, PITCH] = torch.tensor(notes)
        monkeypatch.setattr(choosing, "column_traits", lambda *_, found=columns: found.clone())
        miss[name] = judged(loaded, Sampled(codes, False, codes.float()), wishes, quick(loaded)).miss
    assert miss["jumping"] > miss["held"] + 0.25
    assert miss["held"] < 1.0


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedVQModel:
    found = load_model(tiny_model)
    assert found.card.prior_config is not None
    config = found.card.prior_config.model_copy(update={"both_sides": True, "traits": True})
    scales = {
        name: tuple(float(value) for value in np.linspace(low, high, 33))
        for name, low, high in (("pitch", 48.0, 80.0), ("brightness", 7.0, 11.0))
    }
    return replace(found, card=found.card.model_copy(update={"trait_quantiles": scales, "prior_config": config}))


def quick(loaded: LoadedVQModel) -> Synthesiser:
    return GriffinLim(loaded.card.spectrogram_config, 2)


def made(loaded: LoadedVQModel, asked: Asked | None = None, **settings: Any) -> list[MadeSound]:
    wanted = GenerationSettings(**{"seed": 3, "count": 1, "seconds": 0.6, "tries": 2, **settings})
    return [each for each in made_sounds(loaded, wanted, quick(loaded), asked=asked) if isinstance(each, MadeSound)]


@pytest.fixture
def glides(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, int]]:
    """What was led along which notes."""
    found: list[tuple[Tensor, int]] = []

    def noted(mel: Tensor, notes: Tensor, samples: int, *rest: Any) -> Tensor:
        found.append((notes, samples))
        return glided(mel, notes, samples, *rest)

    monkeypatch.setattr(rendering, "glided", noted)
    return found


@pytest.fixture
def canvases(monkeypatch: pytest.MonkeyPatch) -> list[Canvas]:
    """What the prior was asked for."""
    found: list[Canvas] = []
    real: Callable[..., Any] = sampling.filled

    def noted(prior: Any, asked: Any, generators: Any, settings: Any, wishes: Any, *rest: Any) -> Any:
        found.append(wishes.of(asked[0], 1.0))
        return real(prior, asked, generators, settings, wishes, *rest)

    monkeypatch.setattr(sampling, "filled", noted)
    return found


def test_a_drawn_pitch_reaches_the_sound(
    loaded: LoadedVQModel, glides: list[tuple[Tensor, int]], canvases: list[Canvas]
) -> None:
    """Guards against a curve that the prior alone is asked for, one that it is asked for all the same (it holds a note better), a
    sound that depends on what is made with it, and another length."""
    (alone,) = made(loaded, pitch="C3,C4")
    assert alone.samples.shape[1] == round(0.6 * SAMPLE_RATE)
    count = math.ceil(0.6 / COLUMN_SECONDS)
    notes, samples = glides[-1]
    assert notes.tolist() == pytest.approx(np.linspace(48.0, 60.0, count).tolist())
    assert samples == round(0.6 * SAMPLE_RATE)
    traits = canvases[0].traits
    assert traits is not None
    assert traits[:, PITCH].tolist() == [54.0] * count
    beside = made(loaded, pitch="C3,C4", seed=2, count=3)
    assert np.array_equal(beside[1].samples, alone.samples)
    assert made(loaded, pitch="0:C3,0.3:C4")[0].samples.shape == alone.samples.shape
    assert glides[-1][0].tolist() != notes.tolist()


def test_what_is_not_led_is_asked_for_the_curve(loaded: LoadedVQModel, canvases: list[Canvas]) -> None:
    """Guards against loops that are asked for one note and led nowhere; the copy test, which hears nothing, asks as sounds do."""
    assert loaded.prior is not None
    settings = generation_settings(seed=1, pitch="C3,C4", seconds=0.6, tries=1)
    wishes = wishes_of(loaded, settings)
    for given, same in ((wishes, False), (None, True)):
        list(sampling.sample_pieces(loaded.prior, [clip_generator(1)], loaded, settings, wishes=given))
        traits = canvases.pop().traits
        assert traits is not None
        assert bool((traits[:, PITCH] == traits[0, PITCH]).all()) == same


def test_like_a_sound_and_along_a_curve(loaded: LoadedVQModel, glides: list[tuple[Tensor, int]]) -> None:
    """Guards against a guide for which a drawn pitch is forgotten, or drawn over --seconds instead of over it."""
    guide = Recording(np.sin(np.arange(30_000) / 30.0).astype(np.float32)[None], "guide.wav")
    (sound,) = made(loaded, Asked("like", (guide,)), like=Path("guide.wav"), pitch="C3,C4")
    assert sound.samples.shape[1] == 30_000
    assert glides[-1][1] == 30_000
    assert len(glides[-1][0]) == math.ceil(math.ceil(30_000 / HOP_LENGTH) / FRAMES_PER_COLUMN)


def test_nothing_is_led_where_no_pitch_is_drawn(loaded: LoadedVQModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against other sounds than before for requests that have no such curve."""

    def never(*_: Any) -> Any:
        raise AssertionError("led along a curve that nobody drew")

    monkeypatch.setattr(rendering, "glided", never)
    for wish in ({}, {"pitch": "C4"}, {"brightness": "0,1"}, {"brightness": "0,1", "pitch": "C4"}):
        found = wishes_of(loaded, generation_settings(seed=3, seconds=0.6, **wish))
        assert found.glide is None
        assert found.led() is found
        made(loaded, **wish)
    assert wishes_of(loaded, generation_settings(seed=3, seconds=0.6, pitch="C4,C4")).glide is not None


def test_a_sound_that_is_led_from_note_to_note_has_no_root(loaded: LoadedVQModel) -> None:
    """Guards against samplers that are told the note in the middle of a glide."""
    tone = np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)[None]
    for pitch, root in (("A4", 69), ("A3,A4", None), (None, 69)):
        assert tags_of(loaded, generation_settings(seed=1, pitch=pitch), 1, tone, ()).root_note == root


def test_of_several_sounds_the_one_that_follows_is_kept() -> None:
    """Guards against tries that are judged before they are led along the curve: one may have a pitch in its decoded mel and none
    under its grain."""
    notes = torch.linspace(60.0, 66.0, 6)
    time = np.arange(6 * FRAMES_PER_COLUMN * HOP_LENGTH)
    drawn = np.interp(time / HOP_LENGTH / FRAMES_PER_COLUMN - 0.5, np.arange(6), notes.numpy())

    def tone(off: float) -> np.ndarray:
        hz = 440.0 * 2.0 ** ((drawn + off - 69.0) / 12.0)
        return np.sin(2.0 * np.pi * np.cumsum(hz) / SAMPLE_RATE).astype(np.float32)[None]

    sounds = [np.random.default_rng(0).standard_normal((1, len(time))).astype(np.float32), tone(5.0), tone(0.0)]
    codes = torch.zeros(48, 1, dtype=torch.long)
    tried = [Judged(Sampled(codes, False, torch.full((48, 1), -float(n))), 0.1 * n, 0.1 * n) for n in range(3)]

    def render(sampled: Sampled) -> np.ndarray:
        return sounds[-int(sampled.log_likelihood[0, 0])]

    best = nearest(heard_whole(tried, notes, render, SpectrogramConfig()))
    assert best.sampled is tried[2].sampled
    assert best.good
