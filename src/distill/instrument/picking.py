"""Which of many sounds are worth hearing: what is faulty, odd or there already is left out, and what is left is spread wide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from distill.audio.mel import log_mel_of
from distill.audio.mel_statistics import Statistics, farthest_points, floored, mel_statistics, side_by_side
from distill.corpus.fingerprint import Fingerprint, distances_db, fingerprint
from distill.events import SoundDropped
from distill.models.release import END_SAMPLES
from distill.settings.geometry import SpectrogramConfig

SILENT_DB = -60.0
"""A sound whose highest sample is lower is silent."""
SILENT_CODES_DB = -40.0
"""So is one whose codes say nothing louder than this, beside the loudest cell of a recording: what is heard is noise."""
FLAT_SAMPLES, FLAT_SHARE = 3, 1e-6
"""A sound is clipped where so many samples on end are as high as its highest, but for this share, in two places."""
CUT_OFF_DB = 30.0
"""Less than this under its loudest, a sound's end is heard as cut."""
FADED_SAMPLES = 240
"""The 5 ms that every sound is faded out in, after what is looked at of its end."""
ALIKE_DB = 2.5
"""Two sounds whose fingerprints differ by less, and whose mean spectra do, are the same to most ears. The fingerprints of copies
of a file differ by up to 0.9, of two takes of a stroke by 1.9 to 3, of the nearest of 64 sounds at temperature 1 by 3.5 to
4.8; but they hear no semitone, which spectra do."""
LEAST_LIKELY, MOST_LIKELY = 0.05, 0.02
"""Shares of a batch that are left out: what the prior itself took for an accident, and what it says by rote."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Considered:
    """What is known of one sound that may be picked; its samples are not kept."""

    seed: int
    fault: str
    """Why it is none to be heard; nothing: it may be."""
    log_likelihood: float | None
    """Mean over its codes, nats; None: not known."""
    statistics: Statistics
    fingerprint: Fingerprint | None
    """None: of a silent sound."""
    spectrum: npt.NDArray[np.float32]
    """[M], the mean of its mel, dB under its loudest cell."""


class Choice(NamedTuple):
    """What was picked of a batch."""

    picked: tuple[int, ...]
    """Seeds: the most typical first, then always what differs most from those before it."""
    good: int
    dropped: tuple[SoundDropped, ...]
    """In the order of their seeds."""


def considered(
    seed: int,
    samples: Samples,
    loudest_db: float,
    log_likelihood: float | None,
    may_be_cut: bool,
    spectrogram: SpectrogramConfig,
) -> Considered:
    """Look at one sound.

    Args:
        samples: [channels, N] as they would be written.
        loudest_db: the loudest cell of what its codes say, in dB under that of a recording.
        may_be_cut: whether its end is none that it was given or asked for.
    """
    mix = samples.mean(0)
    silent = is_silent(samples) or loudest_db < SILENT_CODES_DB
    fault = "silent" if silent else "clipped" if is_clipped(samples) else ""
    if not fault and may_be_cut and is_cut_off(mix):
        fault = "cut off"
    mel = log_mel_of(mix, spectrogram).T
    spectrum = floored(mel).mean(0).numpy() if len(mel) else np.zeros(spectrogram.n_mels, np.float32)
    return Considered(seed, fault, log_likelihood, mel_statistics(mel), None if silent else fingerprint(mix), spectrum)


def is_silent(samples: npt.NDArray[Any]) -> bool:
    """Whether nothing of [channels, N] is to be heard."""
    return not samples.size or float(np.abs(samples).max()) < 10.0 ** (SILENT_DB / 20.0)


def is_clipped(samples: npt.NDArray[Any]) -> bool:
    """Whether [channels, N] has flat tops: at its highest sample the wave stands still, more than once."""
    for channel in np.abs(samples.astype(np.float64)):
        high = channel >= channel.max() * (1.0 - FLAT_SHARE)
        flat = (
            np.lib.stride_tricks.sliding_window_view(high, FLAT_SAMPLES).all(1)
            if len(high) >= FLAT_SAMPLES
            else high[:0]
        )
        if channel.max() > 0.0 and int((np.diff(flat.astype(np.int8), prepend=0) == 1).sum()) > 1:
            return True
    return False


def is_cut_off(samples: npt.NDArray[Any]) -> bool:
    """Whether [N] is still loud just before it ends."""
    heard = samples[: max(0, len(samples) - FADED_SAMPLES)].astype(np.float64)
    count = len(heard) // END_SAMPLES
    if not count:
        return False
    power = np.square(heard[len(heard) - count * END_SAMPLES :]).reshape(count, END_SAMPLES).mean(1)
    return bool(power[-1] > power.max() * 10.0 ** (-CUT_OFF_DB / 10.0))


def choose(sounds: Sequence[Considered], copies: dict[int, str], pick: int, bands: int) -> Choice:
    """Leave out what is not worth hearing, and of what is left choose what differs most.

    Each sound is left out for one reason, the first that holds: a fault, a copy of a recording, like another sound of the
    batch (the first of those that are alike stays), among the least or the most likely.

    Args:
        copies: by seed what the copies of recordings are copies of.
        bands: mel bands of the statistics.
    """
    dropped = {each.seed: SoundDropped(each.seed, each.fault) for each in sounds if each.fault}
    for seed, nearest in copies.items():
        dropped.setdefault(seed, SoundDropped(seed, "like a recording", nearest))
    for seed, other in _alike([each for each in sounds if each.seed not in dropped]).items():
        dropped[seed] = SoundDropped(seed, "like another", f"seed {other}")
    audible = [each for each in sounds if each.fault != "silent"]
    for seed, reason in _odd(audible).items():
        dropped.setdefault(seed, SoundDropped(seed, reason))
    good = [each for each in sounds if each.seed not in dropped]
    points = np.stack([each.statistics for each in good]) if good else np.zeros((0, 1))
    picked = farthest_points(side_by_side(points, bands) if good else points, pick)
    return Choice(
        tuple(good[place].seed for place in picked), len(good), tuple(dropped[each] for each in sorted(dropped))
    )


def _alike(sounds: Sequence[Considered]) -> dict[int, int]:
    """Seeds of sounds that are like an earlier one that stays, and its seed."""
    fingerprints = [each.fingerprint for each in sounds if each.fingerprint is not None]
    if not fingerprints:
        return {}
    known = [each for each in sounds if each.fingerprint is not None]
    apart = distances_db(fingerprints)
    like: dict[int, int] = {}
    for place, each in enumerate(known):
        for other, distance in zip(known[:place], apart[place], strict=False):
            alike = distance < ALIKE_DB and float((each.spectrum - other.spectrum).std()) < ALIKE_DB
            if alike and other.seed not in like:
                like[each.seed] = other.seed
                break
    return like


def _odd(sounds: Sequence[Considered]) -> dict[int, str]:
    """Seeds of the least and of the most likely sounds of a batch."""
    known = sorted((each.log_likelihood, each.seed) for each in sounds if each.log_likelihood is not None)
    least, most = int(len(known) * LEAST_LIKELY), int(len(known) * MOST_LIKELY)
    odd = {seed: "unlikely" for _, seed in known[:least]}
    return odd | {seed: "too likely" for _, seed in known[len(known) - most :]}
