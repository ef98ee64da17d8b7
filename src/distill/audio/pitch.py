"""The fundamental frequency of a sound over time: YIN (de Cheveigné & Kawahara, 2002). No torch.

Measured as an ear would use it: where a sound has a pitch at all, which one, and how much of it is harmonic.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

HOP_SECONDS = 0.01
LOWEST_HZ, HIGHEST_HZ = 45.0, 2_200.0
THRESHOLD = 0.15
"""The first period whose normalised difference is below this is taken: a sound repeats itself there, within noise."""
VOICED_BELOW = 0.2
"""A frame has a pitch where its difference at the period is below this."""
AUDIBLE_DB = 40.0
"""How far under its loudest frame a frame of a sound may lie and still have a pitch."""
BLOCK_FRAMES = 512
ONE_PITCH_SECONDS = 0.05
"""How often the pitch of a whole sound is looked at."""

Numbers = npt.NDArray[np.float64]


class Pitch(NamedTuple):
    """A pitch track, one value for each hop."""

    hz: Numbers  # [T], of the best period, whether there is a pitch or not
    voiced: npt.NDArray[np.bool_]  # [T], where the sound has a pitch
    harmonic_db: Numbers  # [T], harmonic-to-noise ratio by the autocorrelation at the period (Boersma, 1993), -20 to 40

    @property
    def notes(self) -> Numbers:
        """The MIDI note number of each value [T], NaN where there is no pitch."""
        return np.where(self.voiced, 69.0 + 12.0 * np.log2(np.maximum(self.hz, 1e-3) / 440.0), np.nan)


def pitch_track(
    samples: npt.NDArray[np.floating], rate: int, hop_seconds: float = HOP_SECONDS, highest_hz: float = HIGHEST_HZ
) -> Pitch:
    """The pitch of a mono sound [N].

    Frames are two longest periods wide and centred a hop apart, the first on the sound's beginning.
    """
    longest, shortest = int(np.ceil(rate / LOWEST_HZ)), int(rate / highest_hz)
    hop = round(hop_seconds * rate)
    frames = max(1, -(-len(samples) // hop))
    padded = np.pad(np.asarray(samples, dtype=np.float64), (longest, 2 * longest + hop))
    starts = np.arange(frames) * hop
    parts = [
        _analysed(
            np.stack([padded[start : start + 2 * longest] for start in starts[first : first + BLOCK_FRAMES]]), shortest
        )
        for first in range(0, frames, BLOCK_FRAMES)
    ]
    period, difference, correlation, energy = (np.concatenate(each) for each in zip(*parts, strict=True))
    audible = energy > energy.max(initial=0.0) * 10.0 ** (-AUDIBLE_DB / 10.0)
    harmonic = np.clip(correlation, 0.0, 1.0)
    ratio = 10.0 * np.log10(np.maximum(harmonic, 1e-9) / np.maximum(1.0 - harmonic, 1e-9))
    return Pitch(rate / period, audible & (difference < VOICED_BELOW), np.clip(ratio, -20.0, 40.0))


def one_pitch(samples: npt.NDArray[np.floating], rate: int, highest_hz: float = HIGHEST_HZ) -> float | None:
    """The pitch in Hz that a mono sound [N] has as a whole; None where most of what is heard of it has none."""
    hop = round(ONE_PITCH_SECONDS * rate)
    track = pitch_track(samples, rate, ONE_PITCH_SECONDS, highest_hz)
    padded = np.pad(np.asarray(samples, dtype=np.float64), (0, len(track.hz) * hop - len(samples)))
    power = np.square(padded).reshape(-1, hop).sum(1)
    heard = power > power.max() * 10.0 ** (-AUDIBLE_DB / 10.0)
    voiced = track.voiced & heard
    return float(np.median(track.hz[voiced])) if voiced.any() and 2 * voiced.sum() >= heard.sum() else None


def _analysed(frames: Numbers, shortest: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """[T, 2 L] samples -> the best period in samples, the normalised difference and the correlation there, the energy: [T]."""
    width = frames.shape[1] // 2
    lags = np.arange(width)
    size = 1 << (3 * width - 1).bit_length()
    head = np.fft.rfft(frames[:, :width], size)
    products = np.fft.irfft(np.fft.rfft(frames, size) * head.conj(), size)[:, :width]  # sum of x[i] x[i + lag]
    squares = np.pad(np.cumsum(frames**2, axis=1), ((0, 0), (1, 0)))
    energies = squares[:, lags + width] - squares[:, lags]  # of the window that begins at each lag
    difference = np.maximum(energies[:, :1] + energies - 2.0 * products, 0.0)
    running = np.cumsum(difference[:, 1:], axis=1) / lags[1:]
    normalised = np.ones_like(difference)
    normalised[:, 1:] = difference[:, 1:] / np.maximum(running, 1e-12)
    normalised[:, :shortest] = 1.0
    best = _first_dip(normalised)
    rows = np.arange(len(frames))
    period = best + _parabola(*(normalised[rows, np.clip(best + side, 0, width - 1)] for side in (-1, 0, 1)))
    correlation = products[rows, best] / np.sqrt(np.maximum(energies[:, 0] * energies[rows, best], 1e-24))
    return period, normalised[rows, best], correlation, energies[:, 0]


def _first_dip(normalised: Numbers) -> npt.NDArray[np.int64]:
    """[T, L] -> [T], the first local minimum below the threshold, else the lowest place."""
    inner = normalised[:, 1:-1]
    dips = (inner < THRESHOLD) & (inner <= normalised[:, :-2]) & (inner < normalised[:, 2:])
    lowest = np.maximum(normalised.argmin(axis=1), 1)
    first: npt.NDArray[np.int64] = np.where(dips.any(axis=1), dips.argmax(axis=1) + 1, lowest)
    return first


def _parabola(before: Numbers, at: Numbers, after: Numbers) -> Numbers:
    """Where the parabola through three neighbouring values has its lowest point, from -0.5 to 0.5."""
    bend = before - 2.0 * at + after
    return np.clip(np.where(bend > 1e-12, 0.5 * (before - after) / np.maximum(bend, 1e-12), 0.0), -0.5, 0.5)
