"""From channels to one: the mean, unless it would leave only the hiss."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.audio import reading
from distill.audio.reading import UnusableSound, read_audio

RATE = 48_000
RNG = np.random.default_rng(5)


def take(seconds: float = 1.5) -> np.ndarray:
    """[n]: a falling chord with attacks."""
    time = np.arange(round(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * hz * time + hz) for hz in (82.0, 311.0, 987.0))
    return 0.15 * chord * np.exp(-(time % 0.5) * 6)


def hiss(length: int, level: float = 0.002) -> np.ndarray:
    return level * RNG.standard_normal(length)


def mixed(tmp_path: Path, *channels: np.ndarray, subtype: str = "FLOAT") -> tuple[np.ndarray, tuple[str, ...]]:
    path = tmp_path / "take.wav"
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype=subtype)
    samples, info = read_audio(path)
    return samples, info.notes


def likeness(samples: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.corrcoef(samples, wanted)[0, 1])


@pytest.mark.parametrize("gain", [1.0, 0.99, 0.8, 0.5])
def test_an_inverted_microphone_is_turned_over(tmp_path: Path, gain: float) -> None:
    """Against learning the hiss of two microphones whose sound cancels 40 dB down."""
    sound = take()
    samples, notes = mixed(tmp_path, sound + hiss(len(sound)), -gain * sound + hiss(len(sound)))
    assert likeness(samples, sound) > 0.995
    assert notes == ("its channels cancel each other: the inverted one is turned over in the mix",)


@pytest.mark.parametrize("late", [1, 5])
def test_an_inverted_channel_that_is_late_too_leaves_the_sound(tmp_path: Path, late: int) -> None:
    """Against the bass cancelling while the rest goes through a comb."""
    sound = take()
    samples, notes = mixed(tmp_path, sound + hiss(len(sound)), -0.9 * np.roll(sound, late) + hiss(len(sound)))
    assert likeness(samples, sound) > 0.98
    assert len(notes) == 1
    assert "cancel each other" in notes[0]


def test_channels_that_cancel_in_a_part_only(tmp_path: Path) -> None:
    """Against the second take of two going missing because the first is fine."""
    sound = take(4.0)
    other = np.where(np.arange(len(sound)) < len(sound) // 2, sound, -sound) * 0.9
    samples, notes = mixed(tmp_path, sound, other)
    assert likeness(samples, sound) > 0.995
    assert notes == ("its channels cancel each other: only the louder one (left) is used",)


def test_the_sound_of_many_channels_is_kept(tmp_path: Path) -> None:
    sound = take()
    channels = [sound, -sound, sound, -sound]
    samples, notes = mixed(tmp_path, *channels)
    np.testing.assert_allclose(samples, sound, atol=1e-6)
    assert "turned over" in notes[0]


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0, -0.3])
def test_stereo_that_is_only_wide_is_averaged_as_ever(tmp_path: Path, share: float) -> None:
    """Against another mix than the mean where nothing cancels: figures and models depend on it."""
    sound, other = take(), np.roll(take(), 9_000) * np.linspace(0.2, 1.0, len(take()))
    right = share * sound + (1 - abs(share)) * other
    samples, notes = mixed(tmp_path, sound, right)
    stereo = np.stack([sound, right], axis=1).astype(np.float32)
    np.testing.assert_array_equal(samples, stereo.mean(axis=1, dtype=np.float64).astype(np.float32))
    assert notes == ()


def test_one_silent_channel_of_two_is_no_cancelling(tmp_path: Path) -> None:
    samples, notes = mixed(tmp_path, take(), np.zeros(len(take())))
    np.testing.assert_allclose(samples, take() / 2, atol=1e-7)
    assert notes == ()


@pytest.mark.parametrize("container", ["wav", "flac", "mp3"])
def test_a_long_file_is_looked_at_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str) -> None:
    """Against a mix that is chosen by the first minute alone."""
    monkeypatch.setattr(reading, "SURVEYED_SAMPLES", 2**16)
    sound = take(12.0)
    other = np.where(np.arange(len(sound)) < 2 * RATE, sound, -sound)
    path = tmp_path / f"long.{container}"
    soundfile.write(path, np.stack([sound, other], axis=1), RATE)
    samples, info = read_audio(path)
    assert "only the louder" in info.notes[0]
    assert likeness(samples[: 11 * RATE], sound[: 11 * RATE]) > 0.99


@pytest.mark.parametrize(
    ("subtype", "peak", "silent"),
    [
        ("FLOAT", 10 ** (-90 / 20), False),
        ("FLOAT", 1e-8, True),
        ("DOUBLE", 1e-5, False),
        ("PCM_24", 10 ** (-90 / 20), False),
        ("PCM_24", 2e-7, True),
        ("PCM_16", 10 ** (-90 / 20), True),
        ("PCM_16", 2e-4, False),
        ("PCM_U8", 1 / 128, True),
        ("PCM_U8", 0.05, False),
    ],
)
def test_silent_is_what_the_format_cannot_tell_from_silence(
    tmp_path: Path, subtype: str, peak: float, silent: bool
) -> None:
    """Against a float take at -90 dB called silent, and against learning the last bit of a 16-bit file."""
    path = tmp_path / "quiet.wav"
    soundfile.write(path, take() / np.abs(take()).max() * peak, RATE, subtype=subtype)
    if silent:
        with pytest.raises(UnusableSound, match="silent"):
            list(reading.decode_blocks(path))
    else:
        assert read_audio(path)[1].peak == pytest.approx(peak, rel=0.2)
