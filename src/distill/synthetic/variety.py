"""An endless stream of sounds, far wider than the embedded corpus: something to learn sound in general from.

Everything that pre-training hears is made here, so that weights learned from it can be shipped with the package.
The families of `distill.synthetic.families` with random parameters, and families that are only here; then effects.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import soxr
from scipy import signal

from distill.settings.geometry import SAMPLE_RATE
from distill.synthetic.families import (
    NYQUIST_HZ,
    Samples,
    Sound,
    band,
    cymbal,
    decay,
    drone,
    drops,
    faded,
    finish,
    fm_bell,
    membrane,
    modes,
    noise_hit,
    pluck,
    saw,
    scaled,
    snare,
    swept_lowpass,
    times,
    wandering,
    wind,
)
from distill.synthetic.held import VOWELS_HZ, bowed, breath, choir, organ, vowel

SHORTEST_SECONDS = 0.1
LOWER_RATES = (8_000, 11_025, 16_000, 22_050, 32_000)
LOWER_RATE_SHARE = 0.3
LONGEST_SINGLE_SECONDS = 4.0
"""Longer sounds are phrases or loops of shorter ones: a pluck that is given 30 s would be mostly silence."""

ChoiceT = TypeVar("ChoiceT")

Family = Callable[[np.random.Generator, float], Samples]
"""Draws its own parameters; renders exactly round(seconds * SAMPLE_RATE) samples."""


def random_sound(rng: np.random.Generator, seconds: float | None = None) -> Sound:
    """One sound out of a wide variety, the same for the same generator state: [N] float32, mono 48 kHz, |x| <= 1.

    Args:
        seconds: the exact duration, at least 0.1; None draws one between 0.2 and 4 seconds.

    Raises:
        ValueError: `seconds` is below 0.1.
    """
    if seconds is None:
        seconds = log_uniform(rng, 0.2, LONGEST_SINGLE_SECONDS)
    if seconds < SHORTEST_SECONDS:
        raise ValueError(f"seconds must be at least {SHORTEST_SECONDS}, not {seconds}")
    family = _one_of(rng, FAMILIES if seconds <= LONGEST_SINGLE_SECONDS else LONG_FAMILIES)
    samples = _with_random_effects(scaled(family(rng, seconds)), rng)
    # Most sounds are loud; one in fifty is more than 30 dB down.
    return finish(samples, -0.5 - 45.0 * rng.beta(1.0, 3.0))


def random_recording(rng: np.random.Generator) -> Sound:
    """As `random_sound`, three in ten at a lower sample rate first, as recordings often are."""
    sound = random_sound(rng)
    if rng.random() >= LOWER_RATE_SHARE:
        return sound
    rate = int(rng.choice(LOWER_RATES))
    lower = soxr.resample(soxr.resample(sound, SAMPLE_RATE, rate), rate, SAMPLE_RATE)
    # Turned down, not clipped, which would bring back what the lower rate has taken away.
    return np.asarray(lower / max(1.0, float(np.abs(lower).max())), dtype=np.float32)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two positive bounds, even in octaves."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def pulse(frequency_hz: Samples, width: float) -> Samples:
    """A rectangle of moving frequency [N] that is high for this share of its period: the difference of two saws."""
    return saw(frequency_hz) - saw(frequency_hz, width)


def synth_note(source: Samples, cutoff_hz: tuple[float, float], filter_seconds: float, resonance: float) -> Samples:
    """Subtractive synthesis: a source [N] under a low-pass that falls from one cutoff to another."""
    seconds = len(source) / SAMPLE_RATE
    start_hz, end_hz = cutoff_hz
    return swept_lowpass(source, end_hz + (start_hz - end_hz) * decay(seconds, filter_seconds), resonance)


def syllable(pitch_hz: Samples, vowels_hz: tuple[Samples, Samples], breath: float, rng: np.random.Generator) -> Samples:
    """A voiced sound of moving pitch [N] that glides from one vowel to another; `breath` is its share of noise."""
    buzz = (1.0 - breath) * saw(pitch_hz) + breath * 0.3 * rng.standard_normal(len(pitch_hz))
    source = band(buzz, 0.0, 2500.0)
    gliding = np.linspace(0.0, 1.0, len(pitch_hz))
    first, second = (scaled(vowel(source, formants_hz)) for formants_hz in vowels_hz)
    # Four resonators leave nothing above 4 kHz, where a close microphone still hears breath and edge.
    return first * (1.0 - gliding) + second * gliding + rng.uniform(0.0, 0.04) * band(buzz, 4000.0, 12_000.0)


def sequenced(hits: Sequence[Samples], velocities: Samples, step_seconds: float, seconds: float) -> Samples:
    """Hits on a grid, over and over: `velocities` [H, S] gives the level of each hit at each step, 0 for none."""
    length = round(seconds * SAMPLE_RATE)
    longest = max(len(hit) for hit in hits)
    track = np.zeros(length + longest)
    for step in range(int(seconds / step_seconds) + 1):
        start = round(step * step_seconds * SAMPLE_RATE)
        for hit, velocity in zip(hits, velocities[:, step % velocities.shape[1]], strict=True):
            if velocity > 0.0 and start < length:
                track[start : start + len(hit)] += velocity * hit
    return track[:length]


def saturated(samples: Samples, drive: float) -> Samples:
    """An overdriven stage; a drive of 1 is hardly heard, 20 is nearly a square."""
    return np.asarray(np.tanh(drive * scaled(samples)), dtype=np.float64)


def taped(samples: Samples, top_hz: float, wow: float, rng: np.random.Generator) -> Samples:
    """An old tape: dull above `top_hz`, a little hiss, and a speed that wavers by the share `wow`."""
    time = np.arange(len(samples)) / SAMPLE_RATE
    wow_hz = rng.uniform(0.5, 6.0)
    moved = time + wow / (2 * np.pi * wow_hz) * np.sin(2 * np.pi * wow_hz * time)
    hiss = log_uniform(rng, 1e-4, 1e-2) * rng.standard_normal(len(samples))
    return band(np.interp(moved, time, samples) + hiss, 60.0, top_hz)


def reverberated(samples: Samples, t60_seconds: float, wet: float, rng: np.random.Generator) -> Samples:
    """A room: convolution with decaying noise (Moorer 1979), cut at the sound's own length."""
    room = decay(t60_seconds) * band(
        rng.standard_normal(round(t60_seconds * SAMPLE_RATE)), 150.0, rng.uniform(2e3, 12e3)
    )
    reverb = signal.fftconvolve(samples, room)[: len(samples)]
    return (1.0 - wet) * scaled(samples) + wet * scaled(reverb)


def with_gaps(samples: Samples, rng: np.random.Generator) -> Samples:
    """One to three stretches of silence, each a tenth of the sound, with ramps of 3 ms."""
    gate = np.ones(len(samples))
    for start in rng.uniform(0.0, 0.9, rng.integers(1, 4)) * len(samples):
        gate[int(start) : int(start + 0.1 * len(samples))] = 0.0
    ramp = np.hanning(2 * round(0.003 * SAMPLE_RATE))
    smooth = np.clip(signal.fftconvolve(gate, ramp / ramp.sum(), "same"), 0.0, 1.0)
    return np.asarray(samples * smooth, dtype=np.float64)


def _with_random_effects(samples: Samples, rng: np.random.Generator) -> Samples:
    if rng.random() < 0.15:
        samples = saturated(samples, log_uniform(rng, 1.5, 30.0))
    if rng.random() < 0.15:
        samples = taped(samples, log_uniform(rng, 1500.0, 10_000.0), log_uniform(rng, 1e-4, 1e-2), rng)
    if rng.random() < 0.25:
        samples = reverberated(samples, log_uniform(rng, 0.15, 2.0), rng.uniform(0.1, 0.7), rng)
    if rng.random() < 0.08:
        samples = with_gaps(samples, rng)
    if rng.random() < 0.2:
        noise_floor = band(rng.standard_normal(len(samples)), 20.0, log_uniform(rng, 1000.0, NYQUIST_HZ))
        samples = scaled(samples) + log_uniform(rng, 1e-5, 1e-2) * noise_floor
    return samples


def _ring_seconds(rng: np.random.Generator, seconds: float) -> float:
    """How long a struck sound rings within `seconds`: the rest of its time is silence."""
    return max(SHORTEST_SECONDS, seconds * rng.uniform(0.5, 1.0))


def _padded(samples: Samples, seconds: float) -> Samples:
    """`samples` [M], M at most N, with silence after it: [N]."""
    return np.pad(samples, (0, round(seconds * SAMPLE_RATE) - len(samples)))


def _pluck(rng: np.random.Generator, seconds: float) -> Samples:
    return pluck(log_uniform(rng, 40.0, 1800.0), seconds, rng.uniform(0.0, 1.0), rng)


def _bell(rng: np.random.Generator, seconds: float) -> Samples:
    ratio = rng.uniform(0.5, 5.0) if rng.random() < 0.7 else float(rng.integers(1, 5))
    frequency_hz = log_uniform(rng, 60.0, 3000.0)
    index = min(log_uniform(rng, 0.3, 10.0), 0.3 * NYQUIST_HZ / frequency_hz)
    return _padded(fm_bell(frequency_hz, _ring_seconds(rng, seconds), ratio, index), seconds)


def _drum(rng: np.random.Generator, seconds: float) -> Samples:
    ring_seconds = _ring_seconds(rng, min(seconds, 1.5))
    bend = rng.exponential(0.6)
    return _padded(membrane(log_uniform(rng, 35.0, 500.0), ring_seconds, bend, rng.uniform(0.0, 0.9)), seconds)


def _noise(rng: np.random.Generator, seconds: float) -> Samples:
    low_hz = log_uniform(rng, 20.0, 9000.0)
    high_hz = low_hz * log_uniform(rng, 1.5, 30.0)
    attack_seconds = log_uniform(rng, 0.0005, 0.3 * seconds)
    bursts = int(rng.integers(2, 5)) if rng.random() < 0.3 else 1
    return _padded(noise_hit(_ring_seconds(rng, seconds), low_hz, high_hz, rng, attack_seconds, bursts), seconds)


def _cymbal(rng: np.random.Generator, seconds: float) -> Samples:
    return cymbal(seconds, log_uniform(rng, 300.0, 9000.0), rng.uniform(0.1, 1.0), rng)


def _snare(rng: np.random.Generator, seconds: float) -> Samples:
    ring_seconds = min(seconds, rng.uniform(0.1, 0.8))
    return _padded(snare(log_uniform(rng, 120.0, 350.0), ring_seconds, rng.uniform(0.2, 0.95), rng), seconds)


def _impact(rng: np.random.Generator, seconds: float) -> Samples:
    """A click on something that resonates: wood, glass, metal."""
    count = int(rng.integers(3, 25))
    lowest_hz = log_uniform(rng, 80.0, 4000.0)
    frequencies_hz = lowest_hz * np.exp(rng.uniform(0.0, np.log(12.0), count))
    t60_seconds = seconds * log_uniform(rng, 0.15, 1.5) * (lowest_hz / frequencies_hz) ** rng.uniform(0.0, 1.0)
    body = modes(frequencies_hz, t60_seconds, rng.normal(0.0, 1.0, count), seconds)
    click = noise_hit(SHORTEST_SECONDS, 200.0, NYQUIST_HZ, rng) * decay(SHORTEST_SECONDS, log_uniform(rng, 0.002, 0.03))
    return scaled(body) + rng.uniform(0.0, 0.6) * scaled(_padded(click, seconds))


def _synth(rng: np.random.Generator, seconds: float) -> Samples:
    vibrato = 1.0 + rng.choice([0.0, 0.01]) * np.sin(2 * np.pi * rng.uniform(3.0, 7.0) * times(seconds))
    pitch_hz = log_uniform(rng, 40.0, 1500.0) * vibrato
    source = saw(pitch_hz) if rng.random() < 0.5 else pulse(pitch_hz, rng.uniform(0.1, 0.5))
    if rng.random() < 0.4:
        source = source + saw(pitch_hz * rng.uniform(1.002, 1.02))
    low_hz = log_uniform(rng, 200.0, 8000.0)
    cutoff_hz = (min(low_hz * log_uniform(rng, 1.0, 16.0), 20_000.0), low_hz)
    note = synth_note(source, cutoff_hz, log_uniform(rng, 0.05, 2.0), log_uniform(rng, 0.7, 8.0))
    shape = decay(seconds) if rng.random() < 0.4 else decay(seconds, log_uniform(rng, seconds, 20 * seconds))
    return faded(shape * note, log_uniform(rng, 0.001, 0.3 * seconds), log_uniform(rng, 0.01, 0.5 * seconds))


def _voice(rng: np.random.Generator, seconds: float) -> Samples:
    """A few syllables of one speaker, each a hiss or a pop and a vowel."""
    size, speaker_hz, breath = rng.uniform(0.9, 1.35), log_uniform(rng, 70.0, 350.0), rng.uniform(0.0, 0.5)
    edges = np.linspace(0.0, seconds, max(1, round(seconds * rng.uniform(1.5, 5.0))) + 1)
    spoken = []
    for length in np.diff(np.round(edges * SAMPLE_RATE).astype(int)):
        duration = length / SAMPLE_RATE
        pitch_hz = wandering(speaker_hz * 0.8, speaker_hz * 1.3, duration, 3.0, rng)[:length]
        start, end = (size * np.array([*_one_of(rng, VOWELS_HZ), 3500.0]) for _ in range(2))
        onset = rng.uniform(0.02, 0.35) * duration
        voiced = faded(syllable(pitch_hz, (start, end), breath, rng), 0.3 * onset, rng.uniform(0.05, 0.4) * duration)
        voiced[: round(onset * SAMPLE_RATE)] *= 0.1
        low_hz = log_uniform(rng, 500.0, 6000.0)
        consonant = noise_hit(duration, low_hz, 3 * low_hz, rng, log_uniform(rng, 0.001, onset)) * decay(
            duration, 2 * onset
        )
        spoken.append(rng.uniform(0.4, 1.0) * voiced + rng.uniform(0.0, 0.5) * scaled(consonant))
    return np.concatenate(spoken)


def _drone(rng: np.random.Generator, seconds: float) -> Samples:
    root_hz = log_uniform(rng, 40.0, 600.0)
    chord_hz = [root_hz * 2.0 ** (semitones / 12) for semitones in rng.integers(0, 25, rng.integers(1, 4))]
    return drone(chord_hz, seconds, rng.uniform(0.3, 1.5), rng) * wandering(0.3, 1.0, seconds, 1.0, rng)


def _bowed(rng: np.random.Generator, seconds: float) -> Samples:
    depth_cents = log_uniform(rng, 5.0, 50.0) if rng.random() < 0.7 else 0.0
    note = bowed(log_uniform(rng, 40.0, 1600.0), seconds, depth_cents, log_uniform(rng, 0.01, 0.6), rng)
    return _swelled(rng, note, seconds)


def _breath(rng: np.random.Generator, seconds: float) -> Samples:
    note = breath(log_uniform(rng, 110.0, 2000.0), seconds, log_uniform(rng, 0.5, 40.0), rng.uniform(0.05, 1.0), rng)
    return _swelled(rng, note, seconds)


def _choir(rng: np.random.Generator, seconds: float) -> Samples:
    formants_hz = rng.uniform(0.9, 1.35) * np.array([*_one_of(rng, VOWELS_HZ), 3500.0])
    voices = int(rng.integers(3, 9))
    note = choir(log_uniform(rng, 80.0, 700.0), seconds, voices, log_uniform(rng, 3.0, 30.0), formants_hz, rng)
    return _swelled(rng, note, seconds)


def _organ(rng: np.random.Generator, seconds: float) -> Samples:
    levels = rng.uniform(0.0, 1.0, 9) ** 2
    levels[1] = 1.0
    root_hz, beat_hz = log_uniform(rng, 40.0, 800.0), log_uniform(rng, 0.3, 7.0)
    chord = [root_hz * 2.0 ** (semitones / 12) for semitones in (0, *rng.integers(1, 20, rng.integers(0, 3)))]
    played = [organ(frequency_hz, seconds, levels, beat_hz, rng) for frequency_hz in chord]
    return _swelled(rng, np.sum(played, axis=0), seconds)


def _swelled(rng: np.random.Generator, note: Samples, seconds: float) -> Samples:
    """A held note as it is played: it comes slowly or at once, its level wanders, it is let go of."""
    level = wandering(10.0 ** -rng.uniform(0.0, 0.5), 1.0, seconds, 1.0, rng)
    return faded(level * note, log_uniform(rng, 0.005, 0.3 * seconds), log_uniform(rng, 0.01, 0.3 * seconds))


def _wind(rng: np.random.Generator, seconds: float) -> Samples:
    low_hz = log_uniform(rng, 60.0, 5000.0)
    return wind(seconds, low_hz, low_hz * log_uniform(rng, 1.1, 10.0), log_uniform(rng, 0.7, 12.0), rng)


def _drops(rng: np.random.Generator, seconds: float) -> Samples:
    root_hz = log_uniform(rng, 100.0, 4000.0)
    frequencies_hz = [root_hz * log_uniform(rng, 1.0, 4.0) for _ in range(6)]
    per_second = max(log_uniform(rng, 3.0, 200.0), 3.0 / seconds)
    rain = scaled(drops(frequencies_hz, seconds, per_second, log_uniform(rng, 0.02, 0.6), rng))
    return rain + rng.uniform(0.0, 0.3) * scaled(_wind(rng, seconds))


def _sweep(rng: np.random.Generator, seconds: float) -> Samples:
    ends_hz = (log_uniform(rng, 30.0, 18_000.0), log_uniform(rng, 30.0, 18_000.0))
    frequency_hz = np.geomspace(*ends_hz, round(seconds * SAMPLE_RATE))
    sine = np.sin(2 * np.pi * np.cumsum(frequency_hz) / SAMPLE_RATE)
    return sine if rng.random() < 0.6 or max(ends_hz) > 5000.0 else saw(frequency_hz)


def _loop(rng: np.random.Generator, seconds: float) -> Samples:
    step_seconds = 60.0 / rng.uniform(70.0, 180.0) / rng.choice([2, 3, 4])
    kit = [faded(_single(rng, log_uniform(rng, 0.1, 0.7)), 0.0, 0.01) for _ in range(rng.integers(2, 6))]
    velocities = rng.uniform(0.2, 1.0, (len(kit), 16)) * (rng.random((len(kit), 16)) < rng.uniform(0.15, 0.6))
    velocities[0, 0] = 1.0  # the one is never empty, however sparse the pattern
    return sequenced(kit, velocities, step_seconds, seconds)


def _phrase(rng: np.random.Generator, seconds: float) -> Samples:
    """Unrelated sounds one after another, some with a pause between."""
    length, start = round(seconds * SAMPLE_RATE), 0
    phrase = np.zeros(length)
    while start < length:
        piece = faded(_single(rng, log_uniform(rng, 0.12, 1.5)), 0.0005, 0.01)[: length - start]
        phrase[start : start + len(piece)] = piece * log_uniform(rng, 0.1, 1.0)
        start += len(piece) + (round(rng.uniform(0.02, 0.2) * SAMPLE_RATE) if rng.random() < 0.3 else 0)
    return phrase


def _single(rng: np.random.Generator, seconds: float) -> Samples:
    return scaled(_one_of(rng, SINGLE_FAMILIES)(rng, seconds))


def _one_of(rng: np.random.Generator, choices: Sequence[ChoiceT]) -> ChoiceT:
    return choices[int(rng.integers(len(choices)))]


STRUCK_FAMILIES: tuple[Family, ...] = (_pluck, _bell, _drum, _noise, _cymbal, _snare, _impact)
HELD_FAMILIES: tuple[Family, ...] = (_synth, _voice, _drone, _wind, _drops, _sweep, _bowed, _breath, _choir, _organ)
SINGLE_FAMILIES = STRUCK_FAMILIES + HELD_FAMILIES
LONG_FAMILIES: tuple[Family, ...] = (_loop, _phrase)
# Voices, synths, loops and phrases are closest to what people record, so they come twice.
FAMILIES = SINGLE_FAMILIES + 2 * LONG_FAMILIES + (_voice, _synth)
