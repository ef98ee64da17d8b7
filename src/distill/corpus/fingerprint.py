"""Which files are the same recording, and which side of the split each recording is on. No torch.

A fingerprint holds the level of a sound in 24 bands over its first 16 seconds, counted from its onset, in time bins
that grow from 11 ms to 0.3 s. Two files are near-duplicates if their fingerprints differ by less than `SAME_BELOW_DB`
(standard deviation, so gain does not count). Figures behind the threshold are in
docs/decisions/0010-near-duplicates.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from distill.settings.geometry import HOP_LENGTH, SAMPLE_RATE

SAME_BELOW_DB = 1.35
"""Copies (gain, delay, MP3, OGG, 22.05 kHz) measured up to 0.9; different recordings from 1.9."""
LENGTH_RATIO = 0.6
"""Sounds whose lengths differ by more are different: the shorter one only starts the same."""

WINDOW = 2048
BANDS = 24
BANDS_HZ = (40.0, 10_000.0)
"""Below what resampling to 22.05 kHz and MP3 keep."""
RANGE_DB = 40.0
ONSETS = (0.01, 0.16)
"""Onsets are where the short-time energy first reaches these shares of its maximum. Two, because re-encoding can move
a sound across one of them, hardly across both."""
ENVELOPE = 256
LEAD = 1024
LAG = 128
LAGS = (0, -2, -1, 1, 2)
"""Shifts of the onset in steps of LAG samples, to absorb what re-encoding moved; the first is no shift."""
UNUSED = -1.0
BLOCK = 2**20

Fingerprint = npt.NDArray[np.float16]
"""[onsets, lags, bins, bands] dB above the range's floor, 0 to RANGE_DB; UNUSED after the end of the sound."""


def fingerprint_shape() -> tuple[int, int, int, int]:
    """[onsets, lags, bins, bands], the same for every sound."""
    return len(ONSETS), len(LAGS), len(_edges()) - 1, BANDS


def fingerprint(samples: npt.NDArray[np.floating]) -> Fingerprint:
    """The fingerprint of a sound [N] at 48 kHz, which may be memory-mapped: memory does not grow with it."""
    parts = []
    for onset in _onsets(samples):
        powers = [_powers(samples, onset - LEAD + lag * LAG) for lag in LAGS]
        frame_energy = powers[0].sum(axis=1)
        cumulative = np.cumsum(frame_energy)
        frames = int(np.searchsorted(cumulative, 0.99 * cumulative[-1])) + 1
        parts.append([_pooled(power, float(frame_energy.max()), frames) for power in powers])
    return np.array(parts, dtype=np.float16)


def _onsets(samples: npt.NDArray[np.floating]) -> list[int]:
    """The first sample at which the mean square of the last ENVELOPE samples reaches each share of its maximum."""
    largest = max(float(_envelope(samples, start).max()) for start in range(0, len(samples), BLOCK))
    onsets = []
    for share in ONSETS:
        for start in range(0, len(samples), BLOCK):
            reached = _envelope(samples, start) >= share * largest
            if reached.any():
                onsets.append(start + int(reached.argmax()))
                break
    return onsets


def _envelope(samples: npt.NDArray[np.floating], start: int) -> npt.NDArray[np.float64]:
    """Energy of the last ENVELOPE samples, at each of the BLOCK samples from `start` on."""
    before = min(start, ENVELOPE)
    block = np.asarray(samples[start - before : start + BLOCK], dtype=np.float64)
    sums = np.concatenate([np.zeros(ENVELOPE - before + 1), np.cumsum(block * block)])
    energy: npt.NDArray[np.float64] = np.maximum(sums[ENVELOPE + 1 :] - sums[1:-ENVELOPE], 0.0)
    return energy


def _powers(samples: npt.NDArray[np.floating], start: int) -> npt.NDArray[np.float64]:
    """Power in bands [T, bands] of the frames from sample `start` (may be negative) on, at most to the last bin."""
    frames = min(int(_edges()[-1]), max(1, -(-(len(samples) - start - LEAD) // HOP_LENGTH)))
    wanted = (frames - 1) * HOP_LENGTH + WINDOW
    inside = np.asarray(samples[max(start, 0) : start + wanted], dtype=np.float32)
    padded = np.pad(inside, (max(-start, 0), 0))
    padded = np.pad(padded, (0, wanted - len(padded)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP_LENGTH]
    spectrum = np.fft.rfft(windows * np.hanning(WINDOW + 1)[:-1].astype(np.float32), axis=1)
    first, last = _bands()
    inside = np.square(np.abs(spectrum[:, first[0] : last]), dtype=np.float64)
    power: npt.NDArray[np.float64] = np.add.reduceat(inside, first - first[0], axis=1)
    return power


def _pooled(power: npt.NDArray[np.float64], reference: float, frames: int) -> npt.NDArray[np.float64]:
    """[T, bands] power to [bins, bands] dB above the floor, which is RANGE_DB under the reference."""
    edges = np.minimum(_edges(), len(power))
    used = (_edges()[:-1] < frames) & (edges[1:] > edges[:-1])
    sums = np.concatenate([np.zeros((1, power.shape[1])), np.cumsum(power, axis=0)])
    mean = (sums[edges[1:]] - sums[edges[:-1]]) / np.maximum(edges[1:] - edges[:-1], 1)[:, None]
    floor = max(reference, 1e-30) * 10.0 ** (-RANGE_DB / 10.0)
    above = np.clip(10.0 * np.log10(np.maximum(mean, floor) / floor), 0.0, RANGE_DB)
    return np.where(used[:, None], above, UNUSED)


@lru_cache(maxsize=1)
def _edges() -> npt.NDArray[np.int64]:
    """Frame numbers between time bins: 48 bins of one frame, then 24 each of 2, 4, ... 32 frames."""
    widths = [1] * 48 + [width for width in (2, 4, 8, 16, 32) for _ in range(24)]
    return np.concatenate([[0], np.cumsum(widths)])


@lru_cache(maxsize=1)
def _bands() -> tuple[npt.NDArray[np.int64], int]:
    """The first frequency of each band, and the one after the last: bands are equally wide in mel."""
    hz = np.concatenate([BANDS_HZ, np.fft.rfftfreq(WINDOW, 1.0 / SAMPLE_RATE)])
    low, high, *mels = 2595.0 * np.log10(1.0 + hz / 700.0)
    band = np.floor((np.array(mels) - low) / (high - low) * BANDS)
    first = np.searchsorted(band, np.arange(BANDS + 1))
    return first[:-1], int(first[-1])


def distances_db(fingerprints: Sequence[Fingerprint]) -> npt.NDArray[np.float32]:
    """[n, n] symmetric: how much two sounds differ, infinite where their lengths do.

    For each pair the standard deviation of the difference over the bins both have, cells at the floor in both left
    out, minimum over onsets and lags. As matrix products, so that 500 files take seconds.
    """
    count = len(fingerprints)
    nearest = np.full((count, count), np.inf, dtype=np.float32)
    for onset in range(len(ONSETS)):
        reference = _Cells.of(fingerprints, onset, 0)
        lengths = reference.lengths
        comparable = np.minimum(lengths[:, None], lengths) >= LENGTH_RATIO * np.maximum(lengths[:, None], lengths)
        for lag in range(len(LAGS)):
            difference = _Cells.of(fingerprints, onset, lag).difference(reference)
            nearest = np.where(comparable, np.minimum(nearest, difference), nearest)
    return np.minimum(nearest, nearest.T)


@dataclass(frozen=True)
class _Cells:
    """One onset and lag of all fingerprints."""

    level: npt.NDArray[np.float32]
    """[n, bins * bands], 0 after the end."""
    used: npt.NDArray[np.float32]
    """[n, bins]: 1 up to the end of the sound."""
    bands: int
    lengths: npt.NDArray[np.int64]
    """[n] frames."""

    @classmethod
    def of(cls, fingerprints: Sequence[Fingerprint], onset: int, lag: int) -> "_Cells":
        stacked = np.stack([each[onset, lag] for each in fingerprints]).astype(np.float32)
        used = stacked[:, :, 0] >= 0
        level = np.maximum(stacked, 0.0).reshape(len(stacked), -1)
        return cls(level, used.astype(np.float32), stacked.shape[2], _edges()[used.sum(axis=1)])

    def per_bin(self, cells: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[n, bins * bands] summed over bands: [n, bins]. Where the other sound has ended is the same in all bands."""
        summed: npt.NDArray[np.float32] = cells.reshape(len(cells), -1, self.bands).sum(axis=2)
        return summed

    def difference(self, other: "_Cells") -> npt.NDArray[np.float32]:
        """[n, n] standard deviation of the difference, in dB, over the cells that both have and one of them sounds in."""
        sounding, other_sounding = (self.level > 0).astype(np.float32), (other.level > 0).astype(np.float32)
        squares = self.per_bin(self.level**2) @ other.used.T + self.used @ other.per_bin(other.level**2).T
        squares -= 2.0 * self.level @ other.level.T
        sums = self.per_bin(self.level) @ other.used.T - self.used @ other.per_bin(other.level).T
        cells = self.per_bin(sounding) @ other.used.T + self.used @ other.per_bin(other_sounding).T
        cells = np.maximum(cells - sounding @ other_sounding.T, 1.0)
        deviation: npt.NDArray[np.float32] = np.sqrt(np.maximum(squares / cells - (sums / cells) ** 2, 0.0))
        return deviation
