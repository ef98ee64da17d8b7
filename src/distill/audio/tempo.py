"""The tempo of a recording, and where its beats are, from how its spectrum rises.

A tempo is a period after which onsets come again: the autocorrelation of their strength, over multiples of the period, weighed
by how usual the tempo is (Ellis, "Beat tracking by dynamic programming", 2007). A recording that is a loop goes on at its
beginning and has a whole number of beats: its length then says the tempo exactly.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from distill.audio.mel import log_mel_of
from distill.audio.traits import PEAK_FRAMES, rises
from distill.settings.geometry import HOP_LENGTH, SAMPLE_RATE, SpectrogramConfig

FRAMES_A_SECOND = SAMPLE_RATE / HOP_LENGTH
SLOWEST, FASTEST = 55.0, 200.0
"""Beats a minute that are looked for."""
USUAL, OCTAVES = 115.0, 0.55
"""The tempo that is likeliest where several fit, and how far from it others are likely (one standard deviation, in octaves)."""
HEARD_SECONDS = 90.0
"""How much of a long recording is listened to, from its middle."""
PERIOD_SECONDS, MULTIPLES = 8.0, 8
"""How far apart onsets are compared to find a tempo, and at how many multiples of its period."""
SHARP_FRAMES = 1.3
"""By how much strokes may miss their beat: 14 ms, one standard deviation."""
USUAL_RISE_FRAMES, LEAST_RISE_DB = 47, 0.5
"""What rises by less than this over the mean of half a second is no stroke."""
ACCENT = 0.5
"""The power of a stroke's loudness that it counts by."""
STROKE_DB, LEAST_STROKES = 2.0, 3
REGULAR = 0.2
"""Autocorrelation from which on onsets come again: of 219 single sounds and 20 noises and chance rhythms none reached it."""
WEAKEST = 0.3
"""How much the least alike of the multiples counts beside their mean: it tells a beat from two thirds of it."""
FEW = 0.7
"""A period of which n multiples can be seen counts n / (n + FEW)."""
OFF_BEATS = 0.06
"""By how many beats the length of a loop may differ from what its onsets say."""
MOST_BEATS = 256
WHOLE, FOURS = 0.25, 1.3
"""What speaks for a loop: a whole number of beats a minute (added), a number of beats that is a multiple of four (times)."""
OFF_SAMPLES = 1.5
"""By how much the length of a loop may be rounded, at both rates together."""
AS_REGULAR = 0.7
"""A loop whose tempo is not what is found without going round: its beats come again this well, against that."""

Envelope = npt.NDArray[np.float64]


class Grid(NamedTuple):
    """Where beats are."""

    bpm: float
    first_beat: float
    """Seconds until the first beat."""
    beats: int | None = None
    """Of the whole recording, where that is a loop of so many; `bpm` is exact then."""


def find_grid(samples: npt.NDArray[np.floating]) -> Grid | None:
    """The tempo and the beats of a recording [N] at 48 kHz; None where it has none: no strokes, or none that come again."""
    envelope, skipped = onset_envelope(samples)
    strokes = strokes_of(envelope)
    highest = ndimage.maximum_filter1d(strokes, 2 * PEAK_FRAMES + 1, mode="constant")
    if np.count_nonzero((strokes >= highest) & (strokes > STROKE_DB)) < LEAST_STROKES:
        return None
    free = free_tempo(strokes)
    beats = None if skipped else beats_of_loop(strokes, len(samples), free)
    if beats is not None:
        return Grid(beats * 60.0 * SAMPLE_RATE / len(samples), 0.0, beats)
    if free.regular < REGULAR:
        return None
    return Grid(free.bpm, first_beat(strokes, free.bpm, skipped))


def grid_of(samples: npt.NDArray[np.floating], bpm: float, off_beats: float) -> Grid:
    """The beats of a recording [N] at 48 kHz whose tempo is known.

    Args:
        off_beats: a recording is a loop whose length is a whole number of beats but for so much.
    """
    beats = len(samples) / SAMPLE_RATE * bpm / 60.0
    whole = round(beats)
    if whole and abs(beats - whole) <= off_beats:
        return Grid(whole * 60.0 * SAMPLE_RATE / len(samples), 0.0, whole)
    envelope, skipped = onset_envelope(samples)
    return Grid(bpm, first_beat(strokes_of(envelope), bpm, skipped))


def onset_envelope(samples: npt.NDArray[np.floating]) -> tuple[Envelope, float]:
    """How strongly something begins in each frame [T], of the middle of what is long; and the seconds before that.

    It is how much the spectrum rises in dB, loud strokes before soft ones: what is 20 dB softer counts a third.
    """
    most = round(HEARD_SECONDS * SAMPLE_RATE)
    skipped = max(len(samples) - most, 0) // 2
    part = np.asarray(samples[skipped : skipped + most], dtype=np.float32)
    mel = log_mel_of(part, SpectrogramConfig()).T
    level = 10.0 * (10.0 ** (mel.double() / 10.0)).sum(1).log10().numpy()
    reached = ndimage.maximum_filter1d(level, 5)
    accent = 10.0 ** ((reached - reached.max()) / 20.0 * ACCENT)
    return rises(mel).numpy() * accent, skipped / SAMPLE_RATE


def strokes_of(envelope: Envelope) -> Envelope:
    """What of an onset envelope [T] stands out of what is around it."""
    around = ndimage.uniform_filter1d(envelope, USUAL_RISE_FRAMES, mode="nearest")
    strokes: Envelope = np.maximum(envelope - around - LEAST_RISE_DB, 0.0)
    return strokes


class Free(NamedTuple):
    """A tempo that needs no loop."""

    bpm: float
    regular: float
    """The autocorrelation at the multiples of its period."""
    score: float


def free_tempo(strokes: Envelope) -> Free:
    """The likeliest tempo of strokes [T]."""
    alike = _autocorrelation(strokes, round_and_round=False)
    farthest = min(0.75 * len(strokes), PERIOD_SECONDS * FRAMES_A_SECOND)
    best = Free(USUAL, -1.0, -1.0)
    for bpm in np.geomspace(SLOWEST, FASTEST, 400):
        period = FRAMES_A_SECOND * 60.0 / bpm
        count = min(int(farthest / period), MULTIPLES)
        if count:
            again = _at(alike, period * np.arange(1, count + 1))
            score = ((1.0 - WEAKEST) * again.mean() + WEAKEST * again.min()) * count / (count + FEW)
            best = max(
                best, Free(float(bpm), float(again.mean()), float(score * usual(bpm))), key=lambda each: each.score
            )
    period = FRAMES_A_SECOND * 60.0 / best.bpm
    multiples = np.arange(1, max(1, int(min(0.8 * len(strokes), 30.0 * FRAMES_A_SECOND) / period)) + 1)
    finer = best.bpm * np.linspace(0.985, 1.015, 121)
    found = [_at(alike, FRAMES_A_SECOND * 60.0 / bpm * multiples).mean() for bpm in finer]
    return best._replace(bpm=float(finer[int(np.argmax(found))]))


def beats_of_loop(strokes: Envelope, samples: int, free: Free) -> int | None:
    """How many beats a loop of so many samples has whose strokes are [T]; None: it is none."""
    seconds = samples / SAMPLE_RATE
    alike = _autocorrelation(strokes, round_and_round=True)
    of_round_length = abs(2.0 * seconds - round(2.0 * seconds)) * SAMPLE_RATE <= 2.0 * OFF_SAMPLES
    best, best_score, best_regular, best_whole = 0, 0.0, 0.0, False
    for beats in range(2, MOST_BEATS + 1):
        bpm = 60.0 * beats / seconds
        if not SLOWEST <= bpm <= FASTEST:
            continue
        regular = float(_at(alike, len(strokes) / beats * np.arange(1, beats)).mean())
        whole = not of_round_length and abs(bpm - round(bpm)) / bpm * samples <= OFF_SAMPLES
        score = (regular + (WHOLE if whole and regular > 0.0 else 0.0)) * usual(bpm) * (1.0 if beats % 4 else FOURS)
        if score > best_score:
            best, best_score, best_regular, best_whole = beats, score, regular, whole
    if not best:
        return None
    off = abs(seconds * free.bpm / 60.0 - best)
    if off <= OFF_BEATS and best_regular >= REGULAR:
        return best
    if best % 4 == 0 or best == 2:
        sure = best_regular >= REGULAR and best_score >= AS_REGULAR * free.score
        return best if best_whole or sure else None
    return None


def first_beat(strokes: Envelope, bpm: float, skipped: float = 0.0) -> float:
    """Seconds until the first beat of a recording: where most of the strength [T] of its strokes falls on the grid.

    Args:
        skipped: seconds before the first of the strokes.
    """
    period = FRAMES_A_SECOND * 60.0 / bpm
    if not strokes.any():
        return 0.0
    smooth = ndimage.gaussian_filter1d(strokes, SHARP_FRAMES, mode="constant")
    firsts = np.arange(0.0, period, 0.5)
    found = [_at(smooth, np.arange(first, len(smooth), period)).mean() for first in firsts]
    seconds = float(firsts[int(np.argmax(found))]) / FRAMES_A_SECOND + skipped
    return seconds % (60.0 / bpm)


def usual(bpm: float) -> float:
    """How likely a tempo is, 1 for the likeliest."""
    return float(np.exp(-0.5 * (np.log2(bpm / USUAL) / OCTAVES) ** 2))


def _autocorrelation(strokes: Envelope, round_and_round: bool) -> Envelope:
    """[T] -> [T], 1 at 0: of strokes that go on at their beginning, or of each lag's overlap alone."""
    count = len(strokes)
    smooth = ndimage.gaussian_filter1d(strokes, SHARP_FRAMES, mode="wrap" if round_and_round else "constant")
    smooth = smooth - smooth.mean()
    length = count if round_and_round else 2 * count
    found: Envelope = np.fft.irfft(np.abs(np.fft.rfft(smooth, length)) ** 2, length)[:count]
    overlap = 1.0 if round_and_round else count / (count - np.arange(count))
    alike: Envelope = found / max(float(found[0]), 1e-9) * overlap
    return alike


def _at(values: Envelope, places: npt.NDArray[np.floating]) -> Envelope:
    """Values [T] between their places; 0 behind the last."""
    found: Envelope = np.interp(places, np.arange(len(values)), values, right=0.0)
    return found
