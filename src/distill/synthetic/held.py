"""Families of pitched sounds that are held: strings, winds, voices together, pipes.

Functions of explicit parameters, as those of `distill.synthetic.families`. They begin and end at full level.
"""

import numpy as np
from scipy import signal

from distill.settings.geometry import SAMPLE_RATE
from distill.synthetic.families import NYQUIST_HZ, Samples, band, saw, scaled, times, wandering

VOWELS_HZ = (
    (270.0, 2290.0, 3010.0), (530.0, 1840.0, 2480.0), (660.0, 1720.0, 2410.0), (730.0, 1090.0, 2440.0),
    (570.0, 840.0, 2410.0), (300.0, 870.0, 2240.0), (490.0, 1350.0, 1690.0),
)  # fmt: skip
"""Formants of heed, head, had, hod, hawed, who'd, heard (men's averages, Peterson & Barney 1952)."""
STOPS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
"""Pipes of an organ's key, as multiples of its pitch: 16, 8, 5 1/3, 4, 2 2/3, 2, 1 3/5, 1 1/3 and 1 foot."""
BODY_HZ = (280.0, 460.0, 580.0, 1100.0, 2600.0)
"""Resonances of a violin's body, roughly (Fletcher & Rossing 1998, chapter 10)."""


def vowel(source: Samples, formants_hz: Samples) -> Samples:
    """A source [N] through a cascade of resonators, one for each formant (Klatt 1980)."""
    sections = []
    for formant_hz in formants_hz:
        radius = np.exp(-np.pi * (50.0 + 0.04 * formant_hz) / SAMPLE_RATE)
        denominator = [1.0, -2 * radius * np.cos(2 * np.pi * formant_hz / SAMPLE_RATE), radius**2]
        sections.append([sum(denominator), 0.0, 0.0, *denominator])
    return np.asarray(signal.sosfilt(sections, source), dtype=np.float64)


def vibrato(frequency_hz: float, seconds: float, depth_cents: float, rng: np.random.Generator) -> Samples:
    """A pitch in Hz [N] that swings by this much each way, 4 to 7 times a second, from a third of a second on."""
    time = times(seconds)
    swing = depth_cents * np.clip(time / 0.3, 0.0, 1.0) * np.sin(2 * np.pi * np.cumsum(_rates(rng, seconds)))
    return np.asarray(frequency_hz * 2.0 ** (swing / 1200), dtype=np.float64)


def bowed(frequency_hz: float, seconds: float, depth_cents: float, noise: float, rng: np.random.Generator) -> Samples:
    """A bowed string: a sawtooth with vibrato, on a body that resonates, and the bow's own noise in time with the string.

    Args:
        depth_cents: of the vibrato.
        noise: the bow's noise against the string, 0 to 1.
    """
    pitch_hz = vibrato(frequency_hz, seconds, depth_cents, rng)
    string = saw(pitch_hz)
    rasp = band(rng.standard_normal(len(string)), 800.0, 9000.0) * np.maximum(
        string, 0.0
    )  # the string sticks and slips
    body = 0.3 * string
    size = 440.0 / max(frequency_hz, 110.0)  # a low string has a large body
    for resonance_hz in BODY_HZ:
        low_hz, high_hz = (factor * resonance_hz * max(size, 0.6) for factor in (0.8, 1.25))
        body = body + band(string, low_hz, min(high_hz, 0.8 * NYQUIST_HZ))
    return scaled(body) + noise * scaled(rasp)


def breath(frequency_hz: float, seconds: float, width_hz: float, noise: float, rng: np.random.Generator) -> Samples:
    """A flute or a bottle: partials that are narrow noises, `width_hz` wide, and the breath around them.

    Args:
        noise: the breath against the partials, 0 to 1.
    """
    tone = np.zeros(round(seconds * SAMPLE_RATE))
    for partial in range(1, min(9, int(0.9 * NYQUIST_HZ / frequency_hz) + 1)):
        phase = 2 * np.pi * frequency_hz * partial * times(seconds) + rng.uniform(0.0, 2 * np.pi)
        moving, still = (_slow_noise(seconds, width_hz, rng) for _ in range(2))
        tone += partial**-1.5 * ((1.0 + 0.5 * moving) * np.sin(phase) + 0.5 * still * np.cos(phase))
    air = band(rng.standard_normal(len(tone)), 0.8 * frequency_hz, min(6.0 * frequency_hz, 12_000.0))
    return scaled(tone) + noise * scaled(air)


def choir(
    frequency_hz: float,
    seconds: float,
    voices: int,
    detuned_cents: float,
    formants_hz: Samples,
    rng: np.random.Generator,
) -> Samples:
    """Several voices on one note and one vowel, each with a pitch, a vibrato and a moment of its own.

    Args:
        detuned_cents: standard deviation of the voices' pitches.
        formants_hz: [F] of the vowel.
    """
    together = np.zeros(round(seconds * SAMPLE_RATE))
    for off_cents in detuned_cents * _spread(voices):
        own_hz = frequency_hz * 2.0 ** (off_cents / 1200)
        pitch_hz = vibrato(own_hz, seconds, rng.uniform(0.0, detuned_cents), rng)
        together += wandering(0.6, 1.0, seconds, 1.0, rng) * saw(pitch_hz, rng.uniform())
    return vowel(band(together, 0.0, 2500.0), formants_hz) + 0.01 * band(together, 3000.0, 12_000.0)


def organ(frequency_hz: float, seconds: float, levels: Samples, beat_hz: float, rng: np.random.Generator) -> Samples:
    """An organ: two ranks of pipes, sines of the `STOPS` at these `levels` [9], so far apart that the 8-foot pipes beat
    `beat_hz` times a second."""
    key = np.zeros(round(seconds * SAMPLE_RATE))
    for rank in (-0.5, 0.5):
        own_hz = frequency_hz + rank * beat_hz
        for ratio, level in zip(STOPS, levels, strict=True):
            if ratio * own_hz < 0.9 * NYQUIST_HZ:
                key += level * np.sin(2 * np.pi * ratio * own_hz * times(seconds) + rng.uniform(0.0, 2 * np.pi))
    return key


def _spread(voices: int) -> Samples:
    """[voices], evenly spread about 0 with a standard deviation of 1; one voice is in tune."""
    places = np.linspace(-1.0, 1.0, voices) if voices > 1 else np.zeros(1)
    return np.asarray(places / max(float(places.std()), 1e-9), dtype=np.float64)


def _rates(rng: np.random.Generator, seconds: float) -> Samples:
    """Turns of a vibrato a sample."""
    return wandering(4.0, 7.0, seconds, 1.0, rng) / SAMPLE_RATE


def _slow_noise(seconds: float, width_hz: float, rng: np.random.Generator) -> Samples:
    """Noise below half of `width_hz`, of standard deviation 1: [N]."""
    length = round(seconds * SAMPLE_RATE)
    knots = max(4, round(seconds * width_hz) + 2)
    drawn = signal.resample(rng.standard_normal(knots), 16 * knots)
    return np.asarray(
        np.interp(np.linspace(0.0, 1.0, length), np.linspace(0.0, 1.0, len(drawn)), drawn), dtype=np.float64
    )
