"""Sounds that are held: that they are what they are called."""

from collections.abc import Callable

import numpy as np
import pytest

from distill.settings.geometry import SAMPLE_RATE
from distill.synthetic.families import Samples, pluck
from distill.synthetic.held import VOWELS_HZ, bowed, breath, choir, organ
from distill.synthetic.variety import HELD_FAMILIES, SINGLE_FAMILIES, random_sound

SECONDS, NOTE_HZ = 2.0, 220.0
VOWEL_HZ = np.array([*VOWELS_HZ[3], 3500.0])
STOPPED = np.array([0.2, 1.0, 0.0, 0.5, 0.3, 0.2, 0.1, 0.1, 0.1])


def bow(rng: np.random.Generator) -> Samples:
    return bowed(NOTE_HZ, SECONDS, 15.0, 0.05, rng)


def blow(rng: np.random.Generator) -> Samples:
    return breath(NOTE_HZ, SECONDS, 4.0, 0.1, rng)


def sing(rng: np.random.Generator) -> Samples:
    return choir(NOTE_HZ, SECONDS, 5, 8.0, VOWEL_HZ, rng)


def pull(rng: np.random.Generator) -> Samples:
    return organ(NOTE_HZ, SECONDS, STOPPED, 2.0, rng)


HELD = pytest.mark.parametrize("make", [bow, blow, sing, pull])


def spectrum(samples: Samples) -> tuple[Samples, Samples]:
    """Hz and power of a sound [N]."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE), power


def harmonic_share(samples: Samples, note_hz: float) -> float:
    """Share of what lies below 3 kHz that is within 15 Hz of a multiple of half the note."""
    hz, power = spectrum(samples)
    off_hz = np.abs(hz - np.maximum(np.round(hz / (note_hz / 2)), 1) * note_hz / 2)
    return float(power[(off_hz < 15.0) & (hz < 3000.0)].sum() / power[hz < 3000.0].sum())


@HELD
def test_it_is_pitched_and_held(make: Callable[[np.random.Generator], Samples]) -> None:
    """Guards against noise, or a note that dies away as a plucked one does, under the name of one that is held."""
    sound = make(np.random.default_rng(1))
    assert len(sound) == round(SECONDS * SAMPLE_RATE)
    assert harmonic_share(sound, NOTE_HZ) > 0.8
    thirds = [10 * np.log10(np.square(part).mean()) for part in np.array_split(sound, 3)]
    assert max(thirds) - min(thirds) < 5.0
    plucked = pluck(NOTE_HZ, SECONDS, 0.5, np.random.default_rng(1))
    falls = [10 * np.log10(np.square(part).mean()) for part in np.array_split(plucked, 3)]
    assert falls[0] - falls[2] > 20.0  # what would not pass


@HELD
def test_a_seed_is_a_sound(make: Callable[[np.random.Generator], Samples]) -> None:
    """Guards against randomness from elsewhere, and against one sound for every seed."""
    first, again, other = (make(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def width_cents(samples: Samples, partial_hz: float) -> float:
    """Standard deviation in cents of the energy within a semitone of a partial."""
    hz, power = spectrum(samples)
    near = np.abs(hz / partial_hz - 1.0) < 0.03
    cents = 1200 * np.log2(hz[near] / partial_hz)
    weight = power[near] / power[near].sum()
    return float(np.sqrt((weight * (cents - (weight * cents).sum()) ** 2).sum()))


def test_voices_are_as_far_out_of_tune_as_asked_for() -> None:
    """Guards against a choir of one voice: partials are as wide as the voices are spread."""
    widths = [
        width_cents(choir(NOTE_HZ, SECONDS, 6, cents, VOWEL_HZ, np.random.default_rng(2)), 4 * NOTE_HZ)
        for cents in (1.0, 8.0, 16.0)
    ]
    assert widths[0] < 3.0
    assert widths[1] == pytest.approx(8.0, rel=0.5)
    assert widths[2] == pytest.approx(16.0, rel=0.5)


def test_formants_are_where_the_vowel_has_them() -> None:
    """Guards against voices without a mouth."""
    hod, who = (
        choir(110.0, SECONDS, 4, 5.0, np.array([*vowel, 3500.0]), np.random.default_rng(5))
        for vowel in (VOWELS_HZ[3], VOWELS_HZ[5])
    )

    def level_db(sound: Samples, around_hz: float) -> float:
        hz, power = spectrum(sound)
        return float(10 * np.log10(power[np.abs(hz / around_hz - 1.0) < 0.2].sum() / power.sum()))

    assert level_db(hod, 730.0) > level_db(who, 730.0) + 6.0
    assert level_db(hod, 2440.0) > level_db(who, 2440.0) + 3.0
    assert level_db(who, 300.0) > level_db(hod, 300.0) + 3.0


@pytest.mark.parametrize("beat_hz", [1.5, 4.0])
def test_pipes_beat_as_often_as_asked_for(beat_hz: float) -> None:
    """Guards against two ranks in tune."""
    levels = np.eye(9)[1]
    sound = organ(NOTE_HZ, 4.0, levels, beat_hz, np.random.default_rng(1))
    envelope = np.array([np.abs(part).max() for part in np.array_split(sound, 400)])
    swing = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(400)))
    # Half a swing is under the sound's level twice a beat at most: the strongest line is the beat itself.
    assert np.fft.rfftfreq(400, 0.01)[swing.argmax()] == pytest.approx(beat_hz, abs=0.3)


def test_vibrato_and_bow_noise_are_as_strong_as_asked_for() -> None:
    """Guards against parameters that nothing depends on."""
    still, swinging = (
        width_cents(bowed(NOTE_HZ, SECONDS, cents, 0.0, np.random.default_rng(1)), 3 * NOTE_HZ) for cents in (0.0, 25.0)
    )
    assert still < 2.0 < 10.0 < swinging < 25.0
    clean, rasping = (
        harmonic_share(bowed(NOTE_HZ, SECONDS, 0.0, n, np.random.default_rng(1)), NOTE_HZ) for n in (0, 0.6)
    )
    assert clean > 0.9999 > 0.995 > rasping
    pure, breathy = (
        harmonic_share(breath(NOTE_HZ, SECONDS, 4.0, n, np.random.default_rng(1)), NOTE_HZ) for n in (0.0, 0.8)
    )
    assert pure > 0.99 > 0.9 > breathy
    narrow, wide = (
        width_cents(breath(NOTE_HZ, SECONDS, width, 0.0, np.random.default_rng(1)), NOTE_HZ) for width in (1.0, 20.0)
    )
    assert wide > 2 * narrow


def test_pre_training_hears_them() -> None:
    """Guards against families that nothing draws: four of the ten that are held are these, of any length."""
    ours = [family for family in HELD_FAMILIES if family.__name__ in ("_bowed", "_breath", "_choir", "_organ")]
    assert len(ours) == 4
    assert set(ours) <= set(SINGLE_FAMILIES)
    for family in ours:
        for seconds in (0.1, 0.9):
            made = family(np.random.default_rng(7), seconds)
            assert made.shape == (round(seconds * SAMPLE_RATE),)
            assert np.isfinite(made).all()
            assert np.abs(made).max() > 0
    assert len(random_sound(np.random.default_rng(0), 0.2)) == 9_600
