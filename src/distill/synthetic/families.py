"""Families of sounds that the package renders itself, and the envelopes and filters that they are made with.

Each family is one small function of explicit parameters: `distill.synthetic.demo_sounds` has tables of them,
`distill.synthetic.variety` draws them at random. Families return float64 at any level and with any offset; `finish` makes a
sound of them. Randomness is an argument.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, signal, special

from distill.settings.geometry import SAMPLE_RATE

NYQUIST_HZ = SAMPLE_RATE / 2

Samples = NDArray[np.float64]
Sound = NDArray[np.float32]

_LN_1000 = float(np.log(1000.0))
"""Decay over `seconds` always means to -60 dB: exp(-_LN_1000 * t / seconds)."""


def times(seconds: float) -> Samples:
    """The moment of each sample, in seconds: [round(seconds * SAMPLE_RATE)]."""
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def decay(seconds: float, t60_seconds: float | None = None) -> Samples:
    """An exponential that falls by 60 dB in `t60_seconds` (by default in the whole of `seconds`): [N]."""
    return np.exp(-_LN_1000 * times(seconds) / (t60_seconds or seconds))


def scaled(samples: Samples, peak: float = 1.0) -> Samples:
    """The same sound with this largest magnitude; silence stays silence."""
    return samples * (peak / max(float(np.abs(samples).max(initial=0.0)), 1e-12))


def faded(samples: Samples, in_seconds: float, out_seconds: float) -> Samples:
    """Half-cosine ramps from and to exactly zero, each at most half the sound."""
    result = samples.copy()
    for seconds, view in ((in_seconds, result), (out_seconds, result[::-1])):
        length = min(round(seconds * SAMPLE_RATE), len(samples) // 2)
        view[:length] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / max(length, 1))
    return result


def finish(samples: Samples, peak_db: float) -> Sound:
    """A sound as it goes to a file: no DC, no clicks at the ends, peak at `peak_db` dBFS (0 or less): [N] to [N]."""
    highpass = signal.butter(2, 20.0, "highpass", fs=SAMPLE_RATE, output="sos")
    # Half a millisecond leaves the attack its bite; 20 ms at the end go unheard.
    ramped = faded(np.asarray(signal.sosfilt(highpass, samples)), 0.0005, 0.02)
    return scaled(ramped, 10 ** (peak_db / 20)).astype(np.float32)


def band(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """What lies between two frequencies, 12 dB an octave outside; bounds beyond hearing are left open."""
    sections = []
    if low_hz > 20.0:
        sections.append(signal.butter(2, min(low_hz, 0.9 * NYQUIST_HZ), "highpass", fs=SAMPLE_RATE, output="sos"))
    if high_hz < 0.9 * NYQUIST_HZ:
        sections.append(signal.butter(2, max(high_hz, 40.0), "lowpass", fs=SAMPLE_RATE, output="sos"))
    return np.asarray(signal.sosfilt(np.concatenate(sections), samples)) if sections else samples


def swept_lowpass(samples: Samples, cutoff_hz: Samples, resonance: float) -> Samples:
    """A two-pole low-pass whose cutoff moves, as gains on short-time spectra, so that no loop runs over samples.

    Args:
        samples: [N], N at least 1024.
        cutoff_hz: [N], the cutoff at each sample.
        resonance: Q of the peak at the cutoff; 0.7 has none.
    """
    _, _, spectrum = signal.stft(samples, nperseg=1024, noverlap=768)
    frame_centres = np.minimum(np.arange(spectrum.shape[1]) * 256, len(samples) - 1)
    ratio = np.linspace(0.0, NYQUIST_HZ, 513)[:, None] / cutoff_hz[frame_centres]
    gains = 1.0 / np.sqrt((1.0 - ratio**2) ** 2 + (ratio / resonance) ** 2)
    _, filtered = signal.istft(spectrum * gains, nperseg=1024, noverlap=768)
    return np.asarray(filtered, dtype=np.float64)[: len(samples)]


def modes(frequencies_hz: Samples, t60_seconds: Samples, amplitudes: Samples, seconds: float) -> Samples:
    """A sum of decaying sines, all starting at phase zero: M frequencies, decays and amplitudes [M] to [N].

    With n = 256 a + b the pole's power z^n is z^(256 a) z^b, so that all modes together are one matrix product.
    """
    length = round(seconds * SAMPLE_RATE)
    log_poles = (-_LN_1000 / t60_seconds + 2j * np.pi * frequencies_hz) / SAMPLE_RATE
    audible = np.where(frequencies_hz < 0.95 * NYQUIST_HZ, amplitudes, 0.0)
    coarse = audible * np.exp(np.outer(256 * np.arange(-(-length // 256)), log_poles))  # [A, M]
    fine = np.exp(np.outer(log_poles, np.arange(256)))  # [M, 256]
    return np.asarray((coarse @ fine).imag, dtype=np.float64).ravel()[:length]


def saw(frequency_hz: Samples, offset: float = 0.0) -> Samples:
    """A sawtooth of moving frequency [N], its jump rounded off against aliasing (Välimäki & Huovilainen 2007)."""
    step = frequency_hz / SAMPLE_RATE
    phase = (np.cumsum(step) + offset) % 1.0
    after, before = phase / step, (phase - 1.0) / step
    rounding = np.where(
        after < 1.0, 2 * after - after**2 - 1.0, np.where(before > -1.0, before**2 + 2 * before + 1.0, 0.0)
    )
    return np.asarray(2.0 * phase - 1.0 - rounding, dtype=np.float64)


def pluck(frequency_hz: float, seconds: float, brightness: float, rng: np.random.Generator) -> Samples:
    """A plucked string: noise that circulates in a delay line with a gentle low-pass (Karplus & Strong 1983).

    The fundamental falls by 60 dB in `seconds`, higher partials sooner. `brightness` from 0 (felt) to 1 (steel). The
    delay's fraction is interpolated and the pluck's position is a comb on the noise (Jaffe & Smith 1983).
    """
    period = SAMPLE_RATE / frequency_hz
    lag, fraction = int(period) - 1, period % 1.0
    damping = 0.5 * (1.0 - brightness) ** 2 + 0.01
    feedback = 10 ** (-3.0 / (frequency_hz * seconds))
    taps = feedback * np.convolve(
        [damping / 2, 1 - damping, damping / 2], [1 - fraction, fraction]
    )  # delay 1 + fraction
    burst = rng.uniform(-1.0, 1.0, int(period))
    burst = band(np.tile(burst, 2), 0.0, frequency_hz * 2 + 9_000.0 * brightness**2)[len(burst) :]
    burst -= np.roll(burst, round(len(burst) * rng.uniform(0.1, 0.35)))
    string = np.zeros(lag + 3 + round(seconds * SAMPLE_RATE))
    string[lag + 3 :][: len(burst)] = burst[: len(string) - lag - 3]
    for start in range(lag + 3, len(string), lag):  # a period at a time: each depends on the one before only
        stop = min(start + lag, len(string))
        string[start:stop] += np.convolve(string[start - lag - 3 : stop - lag], taps, "valid")
    return string[lag + 3 :]


def fm_bell(frequency_hz: float, seconds: float, ratio: float, index: float) -> Samples:
    """A bell by frequency modulation: the modulator at `ratio` times the carrier (Chowning 1973).

    The modulation `index` falls faster than the level, so that the strike is rich and the ring is pure.
    """
    time = times(seconds)
    modulation = index * decay(seconds, 0.6 * seconds) * np.sin(2 * np.pi * frequency_hz * ratio * time)
    return decay(seconds) * np.sin(2 * np.pi * frequency_hz * time + modulation)


def membrane(frequency_hz: float, seconds: float, bend: float, strike: float) -> Samples:
    """A drum: modes of the ideal circular membrane, zeros of Bessel functions (Fletcher & Rossing 1998, chapter 3).

    Args:
        frequency_hz: of the lowest mode, once the skin is at rest.
        seconds: in which the lowest mode falls by 60 dB; higher ones fall sooner.
        bend: how much higher the pitch starts (1.0: an octave), for a hard-struck skin is tighter.
        strike: where it is hit, from 0 (centre: round modes only) to 1 (rim).
    """
    zeros = np.array([special.jn_zeros(order, 3) for order in range(4)], dtype=np.float64)  # [4, 3]
    ratios = zeros / zeros[0, 0]
    amplitudes = np.asarray(special.jv(np.arange(4)[:, None], zeros * strike), dtype=np.float64)
    time = times(seconds)
    glide_seconds = 0.03
    phase = 2 * np.pi * frequency_hz * (time + bend * glide_seconds * (1.0 - np.exp(-time / glide_seconds)))
    drum = np.zeros_like(time)
    for ratio, amplitude in zip(ratios.ravel(), amplitudes.ravel(), strict=True):
        if abs(amplitude) > 1e-3 and frequency_hz * ratio * (1 + bend) < NYQUIST_HZ:
            drum += amplitude * decay(seconds, seconds / ratio**1.2) * np.sin(ratio * phase)
    return drum


def noise_hit(
    seconds: float,
    low_hz: float,
    high_hz: float,
    rng: np.random.Generator,
    attack_seconds: float = 0.001,
    bursts: int = 1,
) -> Samples:
    """Filtered noise that is struck (short attack), shaken (long attack) or clapped (several bursts, 11 ms apart)."""
    time = times(seconds)
    last = 0.011 * (bursts - 1)
    envelope = _struck(time - last, seconds - last) * np.clip((time - last) / attack_seconds, 0.0, 1.0)
    for burst in range(bursts - 1):
        envelope = np.maximum(envelope, _struck(time - 0.011 * burst, 0.02))
    return envelope * band(rng.standard_normal(len(time)), low_hz, high_hz)


def cymbal(seconds: float, low_hz: float, tone: float, rng: np.random.Generator) -> Samples:
    """A hat or a cymbal above `low_hz`: `tone` goes from 0 (all noise) to 1 (all inharmonic partials, 40 of them)."""
    frequencies_hz = low_hz * (0.95 * NYQUIST_HZ / low_hz) ** rng.uniform(0.0, 1.0, 40)
    partials = modes(frequencies_hz, seconds * rng.uniform(0.4, 1.0, 40), rng.normal(0.0, 1.0, 40), seconds)
    return tone * scaled(partials) + (1.0 - tone) * scaled(noise_hit(seconds, low_hz, NYQUIST_HZ, rng))


def snare(frequency_hz: float, seconds: float, wires: float, rng: np.random.Generator) -> Samples:
    """A membrane over rattling wires; `wires` from 0 (skin only) to 1 (wires only)."""
    skin = membrane(frequency_hz, seconds, 0.4, 0.3) * decay(seconds, 0.6 * seconds)
    return (1.0 - wires) * scaled(skin) + wires * scaled(noise_hit(seconds, 900.0, 15_000.0, rng))


def drone(frequencies_hz: list[float], seconds: float, brightness: float, rng: np.random.Generator) -> Samples:
    """A held chord: each partial of each note is two sines a fraction of a hertz apart, so that it beats.

    The level of the k-th partial falls as k^(-1 / brightness): 0.3 is a flute, 1 a bowed string.
    """
    time = times(seconds)
    chord = np.zeros_like(time)
    for frequency_hz in frequencies_hz:
        for partial in range(1, min(9, int(0.9 * NYQUIST_HZ / frequency_hz) + 1)):
            beat_hz, phase = rng.uniform(0.1, 1.2), rng.uniform(0.0, 2 * np.pi, 2)
            # Two equal sines are one sine at their mean frequency times a cosine at half their difference.
            beating = 0.6 + 0.4 * np.cos(2 * np.pi * beat_hz * time + phase[0])
            sine = np.sin(2 * np.pi * frequency_hz * partial * time + phase[1])
            chord += partial ** (-1.0 / brightness) * beating * sine
    return chord


def wandering(low: float, high: float, seconds: float, turns_per_second: float, rng: np.random.Generator) -> Samples:
    """A control curve [N] that wanders smoothly between two positive bounds, even in octaves."""
    knots = max(4, round(seconds * turns_per_second) + 2)
    time = np.linspace(0.0, 1.0, round(seconds * SAMPLE_RATE))
    smooth = interpolate.PchipInterpolator(np.linspace(0.0, 1.0, knots), rng.uniform(np.log(low), np.log(high), knots))
    return np.exp(np.asarray(smooth(time), dtype=np.float64))


def wind(seconds: float, low_hz: float, high_hz: float, resonance: float, rng: np.random.Generator) -> Samples:
    """Noise under a resonant low-pass whose cutoff and level wander."""
    noise = band(rng.standard_normal(round(seconds * SAMPLE_RATE)), low_hz / 2, NYQUIST_HZ)
    swept = swept_lowpass(noise, wandering(low_hz, high_hz, seconds, 1.5, rng), resonance)
    return swept * wandering(0.2, 1.0, seconds, 2.0, rng)


def drops(
    frequencies_hz: list[float], seconds: float, per_second: float, t60_seconds: float, rng: np.random.Generator
) -> Samples:
    """Short ringing drops at random moments and levels, each on one of the given frequencies."""
    length = round(seconds * SAMPLE_RATE)
    falling = np.zeros(length)
    for frequency_hz in frequencies_hz:
        count = rng.poisson(per_second * seconds / len(frequencies_hz))
        impulses = np.zeros(length)
        impulses[rng.integers(0, length, count)] = rng.uniform(0.1, 1.0, count) ** 2
        ring = modes(
            frequency_hz * np.array([1.0, 2.76]), t60_seconds * np.array([1.0, 0.4]), np.array([1.0, 0.3]), t60_seconds
        )
        falling += signal.fftconvolve(impulses, ring)[:length]
    return falling


def _struck(since: Samples, t60_seconds: float) -> Samples:
    """Zero before the stroke, then a decay by 60 dB in `t60_seconds`; `since` [N] is the time since the stroke."""
    return np.where(since >= 0.0, np.exp(-_LN_1000 * np.maximum(since, 0.0) / t60_seconds), 0.0)
