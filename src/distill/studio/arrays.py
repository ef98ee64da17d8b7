"""Samples as Python gives them: arrays of any rate, one channel or several."""

import numpy as np
import numpy.typing as npt
import soxr

from distill.audio.decoders import RATE_LIMITS_HZ
from distill.audio.reading import MIN_SECONDS
from distill.errors import DistillError
from distill.instrument.recordings import Recording
from distill.settings.geometry import SAMPLE_RATE

Samples = npt.NDArray[np.floating]


def planes_of(samples: npt.NDArray[np.floating], rate: int) -> npt.NDArray[np.float32]:
    """[samples] or [channels, samples] at any rate -> at 48 kHz the middle [1, N]; of two channels that differ, the side
    too, [2, N]."""
    given = np.asarray(samples, dtype=np.float32)
    if given.ndim not in (1, 2) or not given.size:
        raise DistillError(f"samples of shape {given.shape}: give [samples] or [channels, samples].")
    if not np.isfinite(given).all():
        raise DistillError("samples hold NaN or infinite values: give finite ones, full scale 1.")
    if not RATE_LIMITS_HZ[0] <= rate <= RATE_LIMITS_HZ[1]:
        raise DistillError(
            f"rate {rate}: give the samples' rate in Hz, from {RATE_LIMITS_HZ[0]} to {RATE_LIMITS_HZ[1]}."
        )
    planes = [given if given.ndim == 1 else given.mean(axis=0, dtype=np.float32)]
    if given.ndim == 2 and len(given) == 2 and not np.array_equal(given[0], given[1]):
        planes.append((given[0] - given[1]) / 2)
    if rate != SAMPLE_RATE:
        planes = [soxr.resample(plane, rate, SAMPLE_RATE, quality="VHQ") for plane in planes]
    if len(planes[0]) < MIN_SECONDS * SAMPLE_RATE:
        raise DistillError("samples are shorter than 20 ms: give a longer sound, as [samples] or [channels, samples].")
    return np.ascontiguousarray(np.stack(planes), dtype=np.float32)


def recording_of(samples: Samples, rate: int) -> Recording:
    """The same as a recording that has no file."""
    return Recording(planes_of(samples, rate), "this sound")
