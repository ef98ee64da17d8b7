"""A long recording as pieces of 0.2 to 10 s, cut at silences and onsets. No torch.

What counts as silence depends on the recording: a threshold above its noise floor, under what is loud in it. Onsets are
peaks of spectral flux over logarithmic bands, each compared with its neighbours a moment before, so that vibrato is no
onset (Böck & Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013). Figures: `benchmarks/slicing.py`.

A piece is a span of samples of the recording at 48 kHz. Nothing is written anywhere: a span is enough to cut it again.
"""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from distill.settings.geometry import SAMPLE_RATE

Samples = npt.NDArray[np.floating]
Span = tuple[int, int]
"""First sample and the one after the last, at 48 kHz."""

VERSION = 1
"""Raised when the same sound would be cut otherwise, so that pieces found before are not taken."""
SHORTEST_SECONDS = 0.2
LONGEST_SECONDS = 10.0
LONGEST_SHARE, SHORTEST_LONGEST_SECONDS = 1 / 12, 2.5
"""No piece is more than this share of its recording, so that a part can be held out and a gap left beside it; pieces of
2.5 s may be."""
APART_SECONDS = 0.5
"""Cuts inside a stretch of sound are at least this far apart, the strongest onsets first: groups of quick notes stay
together, and pieces are worth a crop each."""

HOP = 256
WINDOW = 2048
LAG = 4
"""Hops over which a rise is measured: half a window is new."""
BANDS = 60
BANDS_HZ = (30.0, 18_000.0)
RANGE_DB = 65.0
"""What lies further below the loud parts counts as nothing."""
BLOCK_HOPS = 2048
"""Hops (11 s) that are looked at at a time, so that memory does not grow with the recording."""

LEVEL_HOPS = 4
"""Hops (21 ms) that a level is the mean of."""
PEAK_SECONDS = 0.03
"""An onset is the largest rise within so much on both sides."""
RISE_DB, MEDIAN_SHARE, MEDIAN_SECONDS = 1.5, 1.75, 0.35
"""It rises by at least RISE_DB, and more by so much of the median rise around it: noise always rises somewhere."""

ATTACK_STEP, ATTACK_STEPS = 48, 10
"""An attack is where the energy of 10 ms differs most from that of the 10 ms before, to the millisecond."""
ATTACK_BEFORE, ATTACK_AFTER = 2400, 1200
"""Samples before and after the largest rise between which its attack is."""

FLOOR_DB = -100.0
FLOOR_PERCENT, LOUD_PERCENT = 5.0, 95.0
"""The noise floor and the loud parts: of the hops, and of those that are not noise."""
ABOVE_FLOOR_DB = 6.0
SILENCE_DB = (-60.0, -30.0)
"""Silence is between these levels under the loud parts, however high or low the noise floor."""
PAUSE_SECONDS = 0.15
"""A shorter silence does not end a piece."""

LEAD_SECONDS = 0.005
"""A piece begins this long before its onset."""
TAIL_SECONDS = 0.03
"""A piece ends this long after its sound has sunk into silence."""
FADE_IN_SECONDS, FADE_OUT_SECONDS = 0.002, 0.008
"""Ramps where a recording is cut in the middle of sound, against clicks; the attack comes after the first."""
QUIET_SECONDS = 0.05
"""Stretch over which the quietest place is looked for."""


@dataclass(frozen=True)
class Outline:
    """What a recording does, hop by hop."""

    level_db: npt.NDArray[np.float32]  # [T]
    rise_db: npt.NDArray[np.float32]  # [T], mean over bands


def slices(samples: Samples) -> list[Span]:
    """The pieces of a recording in order, without overlap; silence between them belongs to none.

    A piece begins just before an onset or where sound rises out of silence, and ends where the next begins or where it
    has sunk into silence. Sound without onsets is cut at its quietest places. The same samples give the same pieces.

    Args:
        samples: [N] at 48 kHz; may be memory-mapped: memory grows by a few numbers for every 256 samples only.
    """
    outline = outline_of(samples)
    stretches = sounding(outline.level_db, len(samples))
    sounding_seconds = sum(stop - start for start, stop in stretches) / SAMPLE_RATE
    longest = min(LONGEST_SECONDS, max(SHORTEST_LONGEST_SECONDS, LONGEST_SHARE * sounding_seconds))
    places, strengths = _onsets(samples, outline.rise_db)
    pieces: list[Span] = []
    for start, stop in stretches:
        inside = (places > start) & (places < stop)
        cuts = _spaced(places[inside] - _samples(LEAD_SECONDS), strengths[inside], start, stop)
        for first, last in zip([start, *cuts], [*cuts, stop], strict=True):
            pieces += _divided((first, last), outline.level_db, _samples(longest))
    return pieces


def onsets(samples: Samples) -> npt.NDArray[np.int64]:
    """Where sounds begin, in samples, in order: [n]. `samples` [N] at 48 kHz may be memory-mapped."""
    return _onsets(samples, outline_of(samples).rise_db)[0]


def cut(samples: npt.NDArray[np.float32], span: Span) -> npt.NDArray[np.float32]:
    """The samples [stop - start] of a span of a recording [N], with short ramps where it is cut out of sound."""
    start, stop = span
    piece = np.array(samples[start:stop], dtype=np.float32)
    for seconds, view, whole in (
        (FADE_IN_SECONDS, piece, start == 0),
        (FADE_OUT_SECONDS, piece[::-1], stop >= len(samples)),
    ):
        length = 0 if whole else min(_samples(seconds), len(piece) // 2)
        view[:length] *= (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / max(length, 1))).astype(np.float32)
    return piece


def outline_of(samples: Samples) -> Outline:
    """Level and rise of a recording [N] for each started hop; block by block."""
    power = np.concatenate([_power(block) for block in _blocks(samples, 0, 0)])
    level_db = 10.0 * np.log10(np.maximum(ndimage.uniform_filter1d(power, LEVEL_HOPS), 10.0 ** (FLOOR_DB / 10.0)))
    nothing = 10.0 ** ((_loud_db(level_db) - RANGE_DB) / 10.0)
    rise_db = np.concatenate(
        [_rise(block, nothing) for block in _blocks(samples, LAG * HOP + WINDOW // 2, WINDOW // 2)]
    )
    return Outline(level_db, rise_db)


def _blocks(samples: Samples, before: int, after: int) -> Iterator[npt.NDArray[np.float32]]:
    """Whole hops of a recording, BLOCK_HOPS at a time, with margins of so many samples; zeros outside it."""
    hops = -(-len(samples) // HOP)
    for first in range(0, hops, BLOCK_HOPS):
        start, stop = first * HOP - before, min(first + BLOCK_HOPS, hops) * HOP + after
        inside = np.asarray(samples[max(start, 0) : stop], dtype=np.float32)
        yield np.pad(inside, (max(-start, 0), max(stop - len(samples), 0)))


def _power(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[hops * HOP] samples -> [hops] mean squares."""
    power: npt.NDArray[np.float32] = np.square(block).reshape(-1, HOP).mean(axis=1)
    return power


def _rise(block: npt.NDArray[np.float32], nothing: float) -> npt.NDArray[np.float32]:
    """A block with its margins -> [hops] dB, by how much bands have risen over LAG hops, falls left out, on average."""
    windows = np.lib.stride_tricks.sliding_window_view(block, WINDOW)[::HOP][: -(-(len(block) - WINDOW) // HOP)]
    spectrum = fft.rfft(windows * _window(), axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) @ _filters()
    level_db = 10.0 * np.log10(power + np.float32(nothing))
    earlier = ndimage.maximum_filter1d(level_db, 3, axis=1)[:-LAG]
    rise: npt.NDArray[np.float32] = np.maximum(level_db[LAG:] - earlier, 0.0).mean(axis=1)
    return rise


@lru_cache(maxsize=1)
def _window() -> npt.NDArray[np.float32]:
    """A Hann window [WINDOW] by which the power of all bins is the mean square of the samples."""
    window = np.hanning(WINDOW + 1)[:-1]
    scaled: npt.NDArray[np.float32] = (window / np.sqrt(WINDOW / 2 * np.square(window).sum())).astype(np.float32)
    return scaled


@lru_cache(maxsize=1)
def _filters() -> npt.NDArray[np.float32]:
    """[WINDOW / 2 + 1, bands]: triangles, equally wide in octaves; the lowest, narrower than a bin, may be left out."""
    hz = np.fft.rfftfreq(WINDOW, 1.0 / SAMPLE_RATE)[:, None]
    edges = np.geomspace(*BANDS_HZ, BANDS + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    filters = np.maximum(np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle)), 0.0)
    return filters[:, filters.any(axis=0)].astype(np.float32)


def _onsets(
    samples: Samples, rise_db: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Where sounds begin, in samples, and by how much they rise."""
    around, median = (round(seconds * SAMPLE_RATE / HOP) for seconds in (PEAK_SECONDS, MEDIAN_SECONDS))
    usual = ndimage.median_filter(rise_db, median, mode="constant")
    highest = ndimage.maximum_filter1d(rise_db, 2 * around + 1)
    peaks = np.flatnonzero((rise_db >= highest) & (rise_db >= MEDIAN_SHARE * usual + RISE_DB))
    peaks = peaks[np.diff(peaks, prepend=-around - 1) > around]  # two hops may be equally high
    return np.array([_attack(samples, int(peak)) for peak in peaks], dtype=np.int64), rise_db[peaks]


def _attack(samples: Samples, hop: int) -> int:
    """The sample near a hop before and after which the energy differs most; of the slope, in which lows count less."""
    first = max(hop * HOP - ATTACK_BEFORE, 0)
    slope = np.diff(np.asarray(samples[first : hop * HOP + ATTACK_AFTER], dtype=np.float64))
    energy = np.square(slope[: len(slope) // ATTACK_STEP * ATTACK_STEP]).reshape(-1, ATTACK_STEP).sum(axis=1)
    if len(energy) <= 2 * ATTACK_STEPS:
        return hop * HOP
    sums = np.convolve(energy, np.ones(ATTACK_STEPS), "valid") + 1e-4 * energy.max() + 1e-20
    return first + (int(np.argmax(sums[ATTACK_STEPS:] / sums[:-ATTACK_STEPS])) + ATTACK_STEPS) * ATTACK_STEP


def _loud_db(level_db: npt.NDArray[np.float32]) -> float:
    """The level of what is loud, however much silence is around it."""
    active = level_db[level_db > np.percentile(level_db, FLOOR_PERCENT) + 10.0]
    return float(np.percentile(active if len(active) else level_db, LOUD_PERCENT))


def _silence_db(level_db: npt.NDArray[np.float32]) -> float:
    """The level under which a recording is silent."""
    loud, (low, high) = _loud_db(level_db), SILENCE_DB
    floor = float(np.percentile(level_db, FLOOR_PERCENT))
    return min(max(floor + ABOVE_FLOOR_DB, loud + low), loud + high)


def sounding(level_db: npt.NDArray[np.float32], length: int) -> list[Span]:
    """The stretches of a recording of `length` samples that are not silence, none shorter than a piece may be."""
    silence = _silence_db(level_db)
    lead, tail, pause, shortest = map(_samples, (LEAD_SECONDS, TAIL_SECONDS, PAUSE_SECONDS, SHORTEST_SECONDS))
    edges = np.flatnonzero(np.diff(level_db > silence, prepend=False, append=False))
    stretches: list[Span] = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if level_db[first:last].max() < silence + ABOVE_FLOOR_DB:
            continue  # no noise floor is quite even
        start, stop = max(int(first) * HOP - lead, 0), min(int(last) * HOP + tail, length)
        if stretches and (start - stretches[-1][1] < pause or start - stretches[-1][0] < shortest):
            start = stretches.pop()[0]
        stretches.append((start, stop))
    widened = [(start, max(stop, min(start + shortest, length))) for start, stop in stretches]
    return [(start, stop) for start, stop in widened if stop - start >= shortest]


def _spaced(cuts: npt.NDArray[np.int64], strengths: npt.NDArray[np.float32], start: int, stop: int) -> list[int]:
    """The strongest of the cuts between two places, so far from each other as pieces must be long, in order."""
    apart, shortest = _samples(APART_SECONDS), _samples(SHORTEST_SECONDS)
    chosen = [start, stop - shortest + apart]
    for place in cuts[np.argsort(-strengths, kind="stable")].tolist():
        after = bisect.bisect(chosen, place, 1, len(chosen) - 1)
        if place - chosen[after - 1] >= apart and chosen[after] - place >= apart:
            chosen.insert(after, place)
    return chosen[1:-1]


def _divided(span: Span, level_db: npt.NDArray[np.float32], longest: int) -> Iterator[Span]:
    """A span as spans of at most `longest` samples, divided at its quietest places."""
    start, stop = span
    while stop - start > longest:
        first, last = (start + longest // 2) // HOP + 1, min(start + longest, stop - _samples(SHORTEST_SECONDS)) // HOP
        power = 10.0 ** (level_db[first:last] / 10.0)
        place = (first + int(np.argmin(ndimage.uniform_filter1d(power, _samples(QUIET_SECONDS) // HOP)))) * HOP
        yield start, place
        start = place
    yield start, stop


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)
