"""What is done to a sound on its way into a file: known sounds in, lengths, levels and ends out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from distill.audio.finishing import at_rate, faded, finished, trimmed
from distill.audio.normalising import CEILING_DB, as_loud_as, at_peak, lufs, true_peak_db
from distill.audio.writing import write_audio
from distill.settings.generation import GenerationSettings, generation_settings
from tiny import RATE, hit

Samples = npt.NDArray[np.float32]


def sine(hz: float, seconds: float, rate: int = RATE, phase: float = 0.0) -> Samples:
    time = np.arange(round(seconds * rate)) / rate
    return np.sin(2 * np.pi * hz * time + phase).astype(np.float32)[None]


def test_what_nothing_is_asked_of_stays_as_it_is(tmp_path: Path) -> None:
    """Guards against defaults that change a sample, and a file of other bytes than before there was anything to ask."""
    sound = np.stack([hit(1), hit(2)])
    made, rate, softer = finished(sound, GenerationSettings())
    assert made is sound
    assert (rate, softer) == (RATE, 0.0)
    write_audio(tmp_path / "a.wav", made.T, rate, bits=GenerationSettings().bits)
    whole = np.rint(sound.T.astype(np.float64) * 2**23).clip(-(2**23), 2**23 - 1).astype(np.int32) << 8
    soundfile.write(tmp_path / "b.wav", whole, RATE, subtype="PCM_24")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize(
    ("name", "bits"), [("wav", "16"), ("flac", "16"), ("aiff", "16"), ("flac", "24"), ("wav", "32")]
)
def test_bits(tmp_path: Path, name: str, bits: Any) -> None:
    """Guards against a file of other bits than it says, and 16 bit that are cut off rather than dithered."""
    quiet = 1.5 * 2.0**-15 * sine(440, 0.5)  # a step and a half: without dither all of its shape is distortion
    sound = np.concatenate([0.5 * sine(440, 0.5), np.zeros((1, 500), np.float32), quiet], axis=1)
    path = tmp_path / f"a.{name}"
    write_audio(path, sound.T, 44_100, bits=bits)
    with soundfile.SoundFile(path) as file:
        assert file.subtype == {"16": "PCM_16", "24": "PCM_24", "32": "FLOAT"}[bits]
        assert file.samplerate == 44_100
        read = file.read(dtype="float64")
    error = read - sound[0]
    assert np.abs(error).max() < {"16": 1.51 * 2.0**-15, "24": 2.0**-23, "32": 1e-9}[bits]
    assert not read[24_000:24_500].any()
    if bits == "16":
        heard, wanted = read[24_500:], quiet[0].astype(np.float64)
        left = heard - wanted * (heard @ wanted) / (wanted @ wanted)
        third = np.abs(np.fft.rfft(left * np.hanning(len(left))))[3 * 220]  # 1,320 Hz
        assert third < 8.0 * np.median(np.abs(np.fft.rfft(left * np.hanning(len(left)))))
        write_audio(tmp_path / "again.wav", sound.T, 44_100, bits=bits)
        assert np.array_equal(soundfile.read(tmp_path / "again.wav")[0], read)


def test_trimming_leaves_all_that_is_not_softer() -> None:
    """Guards against a threshold of full scale instead of the peak, a cut attack, and a sound that is cut to nothing."""
    silence = np.full((2, 4800), 1e-5, np.float32)
    middle = np.stack([0.01 * hit(1), 0.02 * hit(2)])
    sound = np.concatenate([silence, middle, silence], axis=1)
    cut = trimmed(sound, -40.0)
    loud = np.flatnonzero(np.abs(sound).max(0) >= np.abs(sound).max() * 0.01)
    before, after = round(0.001 * RATE), round(0.005 * RATE)
    assert cut.shape[1] == loud[-1] + 1 - loud[0] + before + after
    np.testing.assert_array_equal(cut[:, before:-after], sound[:, loud[0] : loud[-1] + 1])
    assert not cut[:, 0].any()
    assert not cut[:, -1].any()
    assert trimmed(cut, -40.0).shape == cut.shape
    nothing = np.zeros((1, 480), np.float32)
    assert trimmed(nothing, -60.0) is nothing


def test_fades() -> None:
    """Guards against a fade at the wrong end, of another length, or past the sound."""
    ones = np.ones((2, RATE), np.float32)
    made = faded(ones, 0.25, 0.5)
    assert made[0, 0] == made[0, -1] == 0.0
    assert made[0, 6_000] == pytest.approx(0.5, abs=1e-3)
    assert (made[:, 12_000:24_000] == 1.0).all()
    assert made[1, 36_000] == pytest.approx(0.5, abs=1e-3)
    assert faded(ones, 9.0, 0.0)[0, RATE // 2] == pytest.approx(0.5, abs=1e-3)
    assert (ones == 1.0).all()


def test_another_rate() -> None:
    """Guards against a sound that is faster at another rate, aliases, and channels that are mixed up."""
    made, rate, _ = finished(
        np.concatenate([sine(1000, 0.5), 0.5 * sine(21_000, 0.5)]), generation_settings(rate=22_050)
    )
    assert (made.shape, rate) == ((2, 11_025), 22_050)
    np.testing.assert_allclose(made[0, 500:-500], 0.98 / 1.0 * sine(1000, 0.5, 22_050)[0, 500:-500], atol=0.03)
    assert np.abs(made[1, 500:-500]).max() < 1e-3
    loud, _, _ = finished(np.sign(sine(1000, 0.2)) * np.float32(0.98), generation_settings(rate=44_100))
    assert np.abs(loud).max() <= 0.9801  # what is between the samples of a square wave is higher than they are


def test_a_loop_at_another_rate_is_as_many_samples_and_runs_into_itself() -> None:
    """Guards against a loop that is a sample off its beats, and silence around its ends in the resampler."""
    settings = generation_settings(loop=True, bpm=123, bars=1, beats=3, rate=44_100, normalise="peak")
    length = round(settings.loop_seconds * RATE)
    loop = np.sin(2 * np.pi * 300 * np.arange(length) / length + 1.0).astype(np.float32)[None] * np.float32(0.5)
    made, _, _ = finished(loop, settings)
    assert made.shape == (1, round(3 * 60 / 123 * 44_100))
    twice = np.tile(made[0], 2)
    wanted = 10 ** (CEILING_DB / 20) * np.sin(2 * np.pi * 300 * np.arange(len(twice)) / made.shape[1] + 1.0)
    assert np.abs(twice - wanted).max() < 3e-3  # it begins up to half a sample off
    straight = soxr.resample(loop[0], RATE, 44_100)
    assert np.abs(straight[:8] / 0.5 - wanted[:8] / wanted.max()).max() > 0.01  # what the test would see


@pytest.mark.parametrize("rate", [22_050, 48_000, 96_000])
def test_loudness_is_that_of_the_standard(rate: int) -> None:
    """Guards against another scale: a sine of 997 Hz at full scale in one channel has -3.01 LUFS (BS.1770-4)."""
    tone = sine(997, 2.0, rate)
    assert lufs(tone, rate) == pytest.approx(-3.01, abs=0.1)
    assert lufs(np.concatenate([tone, tone]), rate) == pytest.approx(0.0, abs=0.1)
    made, softer = as_loud_as(tone, rate, -18.0)
    assert lufs(made, rate) == pytest.approx(-18.0, abs=0.02)
    assert softer == 0.0


def test_a_sound_that_is_shorter_than_a_block_is_measured_as_it_plays() -> None:
    """Guards against an error, or no gain at all, for what is shorter than the meter's 400 ms; and against a jump there."""
    tone = sine(997, 1.0)
    assert lufs(tone[:, :9_600], RATE) == pytest.approx(-3.01 - 10 * math.log10(2), abs=0.1)
    assert lufs(tone[:, :19_199], RATE) == pytest.approx(lufs(tone[:, :19_201], RATE), abs=0.01)
    short, softer = as_loud_as(tone[:, :4_800] * np.float32(0.01), RATE, -30.0)
    assert lufs(short, RATE) == pytest.approx(-30.0, abs=0.02)
    assert softer == 0.0
    assert lufs(tone[:, :0], RATE) == -math.inf


def test_a_loop_is_measured_as_it_plays() -> None:
    """Guards against a loop of 0.2 s that counts as one hit with silence after it, and so is made 3 dB too loud."""
    tone = sine(1000, 0.2)
    assert lufs(tone, RATE, loop=True) == pytest.approx(lufs(sine(1000, 3.0), RATE), abs=0.01)


def test_peaks_between_samples_count() -> None:
    """Guards against the highest sample for a peak: a sine of a quarter of the rate, between whose samples its peaks are."""
    hidden = sine(RATE / 4, 0.5, phase=math.pi / 4)
    assert np.abs(hidden).max() == pytest.approx(math.sqrt(0.5), abs=1e-3)
    assert true_peak_db(hidden[:, 100:-100], loop=True) == pytest.approx(0.0, abs=0.05)
    assert true_peak_db(at_peak(hidden, loop=True), loop=True) == pytest.approx(CEILING_DB, abs=0.05)
    made, softer = as_loud_as(hit(3)[None], RATE, -6.0)
    assert true_peak_db(made) == pytest.approx(CEILING_DB, abs=1e-3)
    assert lufs(made, RATE) == pytest.approx(-6.0 - softer, abs=0.02)
    assert softer > 1.0
    silence = np.zeros((2, 4_800), np.float32)
    assert not at_peak(silence).any()
    assert as_loud_as(silence, RATE, -18.0)[1] == 0.0


def test_loudness_comes_last() -> None:
    """Guards against fades and rates that change a loudness that was reached before them."""
    sound = np.concatenate([np.zeros((1, RATE), np.float32), 0.2 * sine(440, 1.0), 0.5 * sine(15_000, 1.0)], axis=1)
    made, rate, _ = finished(sound, generation_settings(rate=22_050, normalise="lufs", trim=-40, fade_out=1.0))
    assert lufs(made, rate) == pytest.approx(-23.0, abs=0.02)
    assert made.shape[1] < 2.1 * rate
    assert at_rate(sound[:, :0], 44_100, 0).shape == (1, 0)
