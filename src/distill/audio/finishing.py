"""The last steps of a sound on its way into a file: ends cut off, fades, another rate, a loudness. What nothing is asked of
stays as it is, to the sample."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soxr

from distill.audio.master import FADE_IN_SECONDS, FADE_OUT_SECONDS, PEAK
from distill.audio.normalising import as_loud_as, at_peak
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE

Samples = npt.NDArray[np.float32]

LOOP_MARGIN_SECONDS = 0.25
"""So much of itself is before and after a loop while it is brought to another rate."""


class Finished(NamedTuple):
    """A sound as it is written."""

    samples: Samples  # [channels, N]
    rate: int
    softer_db: float = 0.0
    """How far it is softer than the loudness that was asked for, for the sake of its peaks."""


def finished(samples: Samples, settings: GenerationSettings) -> Finished:
    """Samples [channels, N] at 48 kHz as they are asked for: cut and faded, then at their rate, then as loud as wanted."""
    made, rate = samples, settings.rate
    if settings.trim is not None:
        made = trimmed(made, settings.trim)
    made = faded(made, settings.fade_in, settings.fade_out)
    if rate != SAMPLE_RATE:
        length = round((settings.loop_seconds if settings.loop else made.shape[1] / SAMPLE_RATE) * rate)
        made = _not_clipped(at_rate(made, rate, max(length, 1), settings.loop))
    if settings.normalise == "peak":
        made = at_peak(made, settings.loop)
    if settings.normalise != "lufs":
        return Finished(made, rate)
    made, softer_db = as_loud_as(made, rate, settings.lufs, settings.loop)
    return Finished(made, rate, softer_db)


def trimmed(samples: Samples, threshold_db: float, rate: int = SAMPLE_RATE) -> Samples:
    """Samples [channels, N] without what is softer than a threshold before the first and after the last that is not.

    A millisecond before and five after are left, and faded over, so that nothing clicks and no attack is touched. Silence
    stays as it is: there is nothing to cut it to.

    Args:
        threshold_db: of the highest peak, in dB.
    """
    loudest = np.abs(samples).max(axis=0, initial=0.0)
    peak = loudest.max(initial=0.0)
    if peak == 0.0:
        return samples
    heard = np.flatnonzero(loudest >= peak * 10.0 ** (threshold_db / 20.0))
    first, last = int(heard[0]), int(heard[-1]) + 1
    begin, end = max(0, first - round(FADE_IN_SECONDS * rate)), min(len(loudest), last + round(FADE_OUT_SECONDS * rate))
    cut = samples[:, begin:end].copy()
    if begin > 0:
        cut[:, : first - begin] *= np.linspace(0.0, 1.0, first - begin, endpoint=False, dtype=np.float32)
    if end < len(loudest):
        cut[:, last - begin :] *= np.linspace(1.0, 0.0, end - last, dtype=np.float32)
    return cut


def faded(samples: Samples, in_seconds: float, out_seconds: float, rate: int = SAMPLE_RATE) -> Samples:
    """Samples [channels, N] with half a cosine over each end, at most as long as the sound."""
    length = samples.shape[1]
    rising, falling = (min(round(seconds * rate), length) for seconds in (in_seconds, out_seconds))
    if not rising and not falling:
        return samples
    made = samples.copy()
    made[:, :rising] *= _ramp(rising)
    made[:, length - falling :] *= _ramp(falling)[::-1]
    return made


def _ramp(length: int) -> npt.NDArray[np.float32]:
    """From 0 to just below 1."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / max(length, 1))).astype(np.float32)


def at_rate(samples: Samples, rate: int, length: int, loop: bool = False) -> Samples:
    """Samples [channels, N] at 48 kHz -> [channels, length] at another rate.

    Args:
        length: how many there shall be. A loop is played that little faster or slower, so that its end still runs into its
            beginning; other sounds are cut or filled up with silence by a sample.
    """
    count = samples.shape[1]
    if not count:
        return samples
    if not loop:
        made = soxr.resample(samples.T, SAMPLE_RATE, rate, quality="VHQ").T[:, :length]
        return np.ascontiguousarray(np.pad(made, ((0, 0), (0, length - made.shape[1]))), dtype=np.float32)
    margin = round(LOOP_MARGIN_SECONDS * SAMPLE_RATE)
    around = samples[:, np.arange(-margin, count + margin) % count]
    ratio = length / count
    first = round(margin * ratio)
    made = soxr.resample(np.ascontiguousarray(around.T), 1.0, ratio, quality="VHQ").T[:, first : first + length]
    return np.ascontiguousarray(made, dtype=np.float32)


def _not_clipped(samples: Samples) -> Samples:
    """Turned down as a whole where resampling has made a sample louder than any that leaves the program."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples * np.float32(PEAK / peak) if peak > PEAK else samples
