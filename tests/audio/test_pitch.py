"""The pitch track: known tones are heard to the cent, noise has no pitch."""

import numpy as np
import pytest

from distill.audio.pitch import pitch_track

RATE = 48_000


def tone(hz: float, seconds: float = 0.5, partials: int = 8) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.sum([np.sin(2 * np.pi * hz * n * time + n) / n for n in range(1, partials + 1)], axis=0)


@pytest.mark.parametrize("hz", [55.0, 110.0, 196.3, 440.0, 987.8, 1760.0])
def test_a_harmonic_tone_is_heard_to_the_cent(hz: float) -> None:
    """Guards against octave errors and against periods rounded to samples (35 cents at 1,760 Hz)."""
    found = pitch_track(tone(hz, partials=1 if hz > 1500 else 8), RATE)
    inside = slice(5, -5)
    assert found.voiced[inside].all()
    cents = 1200 * np.log2(found.hz[inside] / hz)
    assert np.abs(cents).max() < 5.0
    assert found.harmonic_db[inside].min() > 20.0


def test_a_missing_fundamental_is_still_the_pitch() -> None:
    time = np.arange(24_000) / RATE
    found = pitch_track(sum(np.sin(2 * np.pi * 200.0 * n * time) for n in (3, 4, 5)), RATE)
    assert np.median(found.hz[5:-5]) == pytest.approx(200.0, rel=0.005)


def test_noise_has_no_pitch_and_a_tone_in_noise_less_harmony() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(24_000)
    assert pitch_track(noise, RATE).voiced.mean() < 0.05
    harmony = [
        np.median(pitch_track(tone(220.0) + share * noise, RATE).harmonic_db[5:-5]) for share in (0.0, 0.05, 0.3)
    ]
    assert harmony[0] > harmony[1] > harmony[2]
    energy = (tone(220.0) ** 2).mean()
    assert harmony[1] == pytest.approx(10 * np.log10(energy / 0.05**2), abs=2.0)


def test_the_tail_of_a_sound_and_silence_have_no_pitch() -> None:
    """Guards against pitch in what cannot be heard, and against a division by zero in silence."""
    fading = tone(330.0, 1.0) * np.geomspace(1.0, 1e-5, RATE)
    assert pitch_track(fading, RATE).voiced.mean() < 0.7
    assert not pitch_track(np.zeros(RATE // 2), RATE).voiced.any()
    assert len(pitch_track(np.zeros(10), RATE).hz) == 1
