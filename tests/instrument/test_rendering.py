"""From codes to a finished sound: where it ends, how loud it is, and what it cannot hold."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.audio.griffin_lim import GriffinLim
from distill.audio.master import PEAK
from distill.instrument.choosing import Sampled
from distill.instrument.rendering import to_samples
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.models.endings import Endings
from distill.models.image import LEVEL_SCALE_DB, ImageCodebook
from distill.models.loudness import Loudness
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import FRAMES_PER_COLUMN, HOP_LENGTH

CODES = torch.arange(3 * 8 * 3).view(24, 3) * 5 % 16


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedVQModel:
    """A model whose sounds end in the fifth frame of their last column, at a root mean square of -30 dB."""
    endings, loudness = Endings(), Loudness(8)
    endings.bias[4] = 100.0
    loudness.bias.fill_(-30.0)
    loudness.bounds.copy_(torch.tensor([[-60.0, -60.0], [0.0, 0.0]]))
    model = load_model(tiny_model)
    assert model.endings is not None
    assert model.loudness is not None
    return replace(model, endings=endings, loudness=loudness)


def made(loaded: LoadedVQModel, ended: bool = True, seed: int = 1, **settings: object) -> np.ndarray:
    wanted = GenerationSettings(**settings)  # type: ignore[arg-type]
    synthesise = GriffinLim(loaded.card.spectrogram_config, 4)
    return to_samples(
        loaded, Sampled(CODES, ended, torch.zeros(CODES.shape)), synthesise, clip_generator(seed), wanted
    )[0]


def test_it_ends_where_it_ends(loaded: LoadedVQModel) -> None:
    """Guards against durations of whole columns, and against a sound that would go on and is cut short."""
    lengths = {len(made(loaded, seed=seed)) for seed in range(4)}
    assert len(lengths) > 1
    frames = [length / HOP_LENGTH - 2 * FRAMES_PER_COLUMN for length in lengths]
    assert all(4.0 <= place <= 5.01 for place in frames)
    whole = 3 * FRAMES_PER_COLUMN * HOP_LENGTH
    assert len(made(loaded, ended=False)) == whole
    assert len(made(replace(loaded, endings=None))) == whole
    assert len(made(loaded, seconds=0.2)) == 9_600


def test_it_is_as_loud_as_was_asked_for(loaded: LoadedVQModel) -> None:
    """Guards against a setting that nothing depends on; a model without loudness keeps the typical level."""

    def loudness(sound: np.ndarray) -> float:
        return float(10 * np.log10(np.square(sound, dtype=np.float64).mean()))

    match, highest = made(loaded), made(loaded, level="normalise")
    assert loudness(match) == pytest.approx(-30.0, abs=0.3)
    assert float(np.abs(highest).max()) == pytest.approx(PEAK, rel=1e-3)
    assert np.corrcoef(match, highest)[0, 1] > 0.999  # the same sound
    assert loudness(made(replace(loaded, loudness=None))) != pytest.approx(-30.0, abs=0.3)


def test_nothing_is_above_what_the_corpus_can_hold(loaded: LoadedVQModel) -> None:
    """Guards against a hiss above recordings of 8 kHz; of training files the highest rate counts."""

    def high(rate: int, val_rate: int = 8_000) -> float:
        manifest = loaded.card.corpus_manifest
        files = [
            file.model_copy(update={"native_rate": rate if file.split == "train" else val_rate})
            for file in manifest.files
        ]
        card = loaded.card.model_copy(
            update={"corpus_manifest": manifest.model_copy(update={"files": tuple(files)}), "texture_db": None}
        )
        sound = made(replace(loaded, card=card), ended=False)
        power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
        return float(power[np.fft.rfftfreq(len(sound), 1 / 48_000) > 4_000].sum() / power.sum())

    assert high(48_000) > 1e-4
    assert high(8_000) < 1e-8
    assert high(8_000, val_rate=48_000) < 1e-8


def test_a_channel_that_is_too_high_turns_nothing_else_down(loaded: LoadedVQModel) -> None:
    """Guards against stereo sounds softer than they were asked to be, against a limiter that moves the image, and against
    what a limiter adds above the recordings' Nyquist frequency."""
    image = ImageCodebook(16)
    image.vectors[1, 0:4] = 18.0 / LEVEL_SCALE_DB  # to the left
    assert loaded.loudness is not None
    loudness = deepcopy(loaded.loudness)
    loudness.bias.fill_(-16.0)
    manifest = loaded.card.corpus_manifest
    low = manifest.model_copy(
        update={"files": tuple(file.model_copy(update={"native_rate": 8_000}) for file in manifest.files)}
    )
    card = loaded.card.model_copy(update={"corpus_manifest": low})
    wide = replace(loaded, image=image, loudness=loudness, card=card)
    codes = torch.cat([CODES, torch.ones(24, 1, dtype=torch.long)], dim=1)
    one, both = (
        to_samples(
            wide,
            Sampled(codes, False, torch.zeros(codes.shape)),
            GriffinLim(card.spectrogram_config, 4),
            clip_generator(1),
            GenerationSettings(mono=mono),
        )
        for mono in (True, False)
    )
    assert np.abs(both).max() <= PEAK + 1e-6
    level = [10 * np.log10(np.square(sound.mean(0), dtype=np.float64).mean()) for sound in (one, both)]
    assert level[1] == pytest.approx(level[0], abs=1.0)  # what the filter after the limiter makes higher is turned down
    assert np.abs(one).max() * 1.5 > PEAK  # else nothing was limited
    ratio = np.square(both, dtype=np.float64).mean(1)
    assert 10 * np.log10(ratio[0] / ratio[1]) == pytest.approx(18.0, abs=2.0)
    power = np.abs(np.fft.rfft(both * np.hanning(both.shape[1]))) ** 2
    assert power[:, np.fft.rfftfreq(both.shape[1], 1 / 48_000) > 4_000].sum() < 1e-8 * power.sum()
