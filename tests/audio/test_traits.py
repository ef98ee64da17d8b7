"""Traits: sounds whose loudness, brightness, pitch and onsets are known, and sounds that have none."""

import numpy as np
import pytest
import torch
from scipy import signal

from distill.audio.mel import log_mel
from distill.audio.traits import (
    BRIGHTNESS,
    LOUDNESS,
    ONSETS,
    PITCH,
    TRAITS,
    column_traits,
    frame_traits,
    k_weighting,
    sound_traits,
    traits_of,
)
from distill.settings.geometry import SpectrogramConfig, columns
from tiny import RATE

SPECTROGRAM = SpectrogramConfig()


def time(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE)) / RATE


def tone(hz: float, seconds: float = 1.0, gain: float = 0.5) -> np.ndarray:
    return (gain * np.sin(2 * np.pi * hz * time(seconds))).astype(np.float32)


def noise(seconds: float = 1.0, low: float = 100.0, high: float = 8000.0, seed: int = 0) -> np.ndarray:
    white = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    band = signal.sosfiltfilt(signal.butter(4, [low, high], "band", fs=RATE, output="sos"), white)
    return (0.1 * band / band.std()).astype(np.float32)


def hits(count: int, apart: float = 0.25, hz: float = 300.0) -> np.ndarray:
    """Decaying tones, the first at once."""
    since = time(count * apart) % apart
    return (0.5 * np.sin(2 * np.pi * hz * since) * np.exp(-since * 30)).astype(np.float32)


def frames_of(samples: np.ndarray) -> torch.Tensor:
    return frame_traits(log_mel(torch.from_numpy(samples), SPECTROGRAM).T, samples, SPECTROGRAM)


def k_weighted_db(samples: np.ndarray) -> float:
    """In the spectrum of the whole sound, independent of mels."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    weighted = power * k_weighting(np.fft.rfftfreq(len(samples), 1 / RATE))
    return 10 * np.log10(2 * weighted.sum() / len(samples) ** 2)


@pytest.mark.parametrize("samples", [noise(), noise(1.0, 1000, 16000), noise(1.0, 40, 200), tone(220.0), tone(1000.0)])
def test_loudness_is_the_k_weighted_power(samples: np.ndarray) -> None:
    """Guards against mel values summed without their bands' widths, and against a scale of its own."""
    assert sound_traits(samples).loudness == pytest.approx(k_weighted_db(samples), abs=2.0)


def test_k_weighting_is_that_of_the_standard() -> None:
    """Guards against swapped coefficients: BS.1770 gives 997 Hz 0.69 dB, the highs 4 dB, and the lows less."""
    decibels = 10 * np.log10(k_weighting(np.array([20.0, 997.0, 10_000.0])))
    assert decibels == pytest.approx([-13.3, 0.69, 4.0], abs=0.3)


def test_gain_changes_loudness_alone() -> None:
    """Guards against brightness, pitch or onsets that depend on how loud a sound is."""
    loud = hits(4) + 0.01 * noise()
    soft = loud * np.float32(0.1)
    a, b = sound_traits(loud), sound_traits(soft)
    assert a.loudness - b.loudness == pytest.approx(20.0, abs=0.1)
    assert (a.brightness, a.pitch) == pytest.approx((b.brightness, b.pitch), abs=0.02)
    assert a.onsets == b.onsets == 4


def test_brightness_is_where_the_power_is() -> None:
    """Guards against a centroid of decibels, which the noise floor decides."""
    assert sound_traits(tone(1000.0)).brightness == pytest.approx(np.log2(1000.0), abs=0.1)
    dull, bright = (sound_traits(noise(1.0, 100, high)).brightness for high in (1000, 8000))
    assert dull is not None and bright is not None and bright - dull > 2.0


def test_a_tail_of_noise_has_its_own_brightness() -> None:
    """Guards against frames all of whose bands lie under what counts, and whose centroid is that of nothing."""
    fading = np.concatenate([tone(200.0), np.float32(8e-3) * noise(1.0, 3000, 9000)])
    brightness = frames_of(fading)[:, BRIGHTNESS]
    assert brightness.isfinite().all() and brightness[-10] > 11.5
    assert sound_traits(fading).brightness == pytest.approx(np.log2(200.0), abs=0.2)


@pytest.mark.parametrize("midi", [33, 45, 60.25, 69, 93, 105])
def test_pitch_is_a_note_number(midi: float) -> None:
    """Guards against the wrong note, and against high notes (up to C8) heard an octave lower."""
    hz = 440 * 2 ** ((midi - 69) / 12)
    near = 0.1 if midi < 100 else 0.2
    assert sound_traits(tone(hz)).pitch == pytest.approx(midi, abs=near)
    assert sound_traits(tone(hz), 44_100).pitch == pytest.approx(midi + 12 * np.log2(44_100 / 48_000), abs=near)


def test_what_has_no_pitch_has_none() -> None:
    assert sound_traits(noise()).pitch is None
    half = np.concatenate([tone(220.0, 0.2), noise(0.8)])
    assert sound_traits(half).pitch is None


def test_a_note_that_dies_away_for_long_keeps_its_pitch() -> None:
    """Guards against tails too soft for a pitch that outvote the note."""
    dying = tone(330.0, 3.0) * np.geomspace(1.0, 0.1, 3 * RATE) ** (1 + np.linspace(0, 2, 3 * RATE))
    hiss = noise(3.0, 100, 15_000) * np.float32(0.012)
    found = sound_traits((dying * np.repeat([1.0, 0.01], [RATE, 2 * RATE]) + hiss).astype(np.float32))
    assert found.pitch == pytest.approx(64.02, abs=0.1)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_onsets_are_counted(count: int) -> None:
    """Guards against a first hit that is missed, and hits that are counted twice."""
    assert sound_traits(hits(count)).onsets == count
    delayed = np.concatenate([np.zeros(12_345, np.float32), hits(count)])
    assert sound_traits(delayed).onsets == count


def test_what_goes_on_has_one_onset() -> None:
    """Guards against onsets in vibrato, in noise, and where a sound is cut off."""
    bent = 440 * 2 ** (0.7 * np.sin(2 * np.pi * 6 * time(2.0)) / 12)
    phase = 2 * np.pi * np.cumsum(bent) / RATE
    vibrato = np.sum([0.1 * np.sin(n * phase) / n for n in range(1, 12)], axis=0)
    assert [sound_traits(samples).onsets for samples in (vibrato, noise(2.0), tone(333.3))] == [1, 1, 1]


def test_onsets_are_counted_in_their_columns() -> None:
    """Guards against onsets between two columns that both or neither count, and onsets in another column."""
    for apart in (0.1, 0.17, 0.2135):
        samples = hits(9, apart)
        frames = frames_of(samples)
        by_column = column_traits(frames, columns(len(frames)))[:, ONSETS]
        assert by_column.sum() == traits_of(frames, 1.0).onsets == 9
        begun = np.arange(9) * apart * RATE / 8192  # columns
        clear = np.abs(begun - begun.round()) > 0.1
        assert (by_column[begun[clear].astype(int)] >= 1).all() and by_column.max() <= np.ceil(0.18 / apart)


def test_columns_say_what_is_in_them() -> None:
    """Guards against traits of another column, and against a mean of decibels for loudness."""
    samples = np.concatenate([np.zeros(8192, np.float32), tone(220.0, 8192 / RATE), noise(8192 / RATE, 2000, 8000)])
    found = column_traits(frames_of(samples), 4)
    assert found.shape == (4, len(TRAITS)) and found.dtype == torch.float32
    assert found[0, LOUDNESS] < -30 and found[3, LOUDNESS] == -100.0
    assert found[3].isnan().tolist() == [False, True, True, False]
    assert found[1, PITCH] == pytest.approx(57.0, abs=0.1) and found[2, PITCH].isnan()
    assert found[1, BRIGHTNESS] < 8.5 < 11.0 < found[2, BRIGHTNESS]
    alternating = torch.tensor([[0.0, 9.0, torch.nan, 0.0], [-60.0, 12.0, torch.nan, 0.0]]).repeat(8, 1)
    mean = column_traits(alternating, 1)[0]
    assert mean[LOUDNESS] == pytest.approx(-3.0, abs=0.1) and mean[BRIGHTNESS] == pytest.approx(9.0, abs=0.01)
    assert mean[PITCH].isnan()


@pytest.mark.parametrize("length", [0, 1, 511, 513, 4000])
@pytest.mark.parametrize("gain", [0.0, 1e-7, 0.5])
def test_silence_and_the_shortest_sounds(length: int, gain: float) -> None:
    """Guards against divisions by zero and empty medians."""
    samples = (gain * np.ones(length)).astype(np.float32)
    found = sound_traits(samples)
    assert np.isfinite(found.loudness)
    if gain < 0.1:
        assert found.loudness < -95 and (found.brightness, found.pitch, found.onsets) == (None, None, 0)
    if length:
        frames = frames_of(samples)
        assert frames.shape == (SPECTROGRAM.frames(length), 4)
        assert column_traits(frames, 0).shape == (0, 4)
        assert not column_traits(frames, 2)[:, [LOUDNESS, ONSETS]].isnan().any()


def test_a_long_sound_has_its_pitch_to_its_end() -> None:
    """Guards against blocks of pitch that drift against the frames."""
    samples = np.concatenate([tone(220.0, 61.0), tone(330.0, 1.0)])
    pitch = frames_of(samples)[:, PITCH]
    edge = round(61.0 * RATE / SPECTROGRAM.hop_length)
    assert (pitch[10 : edge - 5] - 57.0).abs().max() < 0.1
    assert (pitch[edge + 5 : -10] - 64.02).abs().max() < 0.1
