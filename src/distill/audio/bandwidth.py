"""Nothing above what a recording's own sample rate can hold."""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.signal
import torch
from torch import Tensor

from distill.audio.phase import squared
from distill.settings.geometry import SAMPLE_RATE

PASSED = 0.95
"""Share of the Nyquist frequency up to which everything passes, as where recordings were resampled."""
STOPPED_DB = 100.0
FRAME = 8192
"""Samples that are looked at together to see what lies above: one long transform takes several times as long."""
UNHEARD_DB = -80.0
"""What lies above is left there where it is this far under the whole: a filter would only blur the beginnings of sounds."""


def below_nyquist(samples: Tensor, rate: int) -> Tensor:
    """Samples [..., N] at 48 kHz without what a sound at `rate` Hz cannot hold (a linear-phase low-pass, no delay)."""
    if rate >= SAMPLE_RATE or not samples.shape[-1] or _above_db(samples, rate) <= UNHEARD_DB:
        return samples
    return low_passed(samples, rate)


def low_passed(samples: Tensor, rate: int) -> Tensor:
    """As `below_nyquist`, whatever there is above: every sample depends on `low_pass_reach` of them on either side."""
    taps = _low_pass(rate).reshape((1,) * (samples.ndim - 1) + (-1,))
    passed = scipy.signal.oaconvolve(samples.float().cpu().numpy(), taps, axes=-1)
    late = taps.shape[-1] // 2
    kept = np.ascontiguousarray(passed[..., late : late + samples.shape[-1]])
    return torch.from_numpy(kept).to(samples.device)


def low_pass_reach(rate: int) -> int:
    """Samples on either side that a sample of `low_passed` depends on."""
    return len(_low_pass(rate)) // 2


def _above_db(samples: Tensor, rate: int) -> float:
    """Energy above half of `rate`, in dB under all of it: of frames that overlap by half, none of which lies beyond the sound."""
    size = min(FRAME, samples.shape[-1])
    frames = torch.cat([samples.unfold(-1, size, -(-size // 2)), samples[..., None, -size:]], dim=-2)
    energy = squared(torch.fft.rfft(frames * torch.hann_window(size, device=samples.device)))
    above = energy[..., math.floor(energy.shape[-1] * rate / SAMPLE_RATE) + 1 :]
    return 10.0 * math.log10(max(float(above.sum()), 1e-30) / max(float(energy.sum()), 1e-30))


@lru_cache(maxsize=8)
def _low_pass(rate: int) -> npt.NDArray[np.float32]:
    nyquist = rate / 2
    width = (1.0 - PASSED) * nyquist
    count, beta = scipy.signal.kaiserord(STOPPED_DB, width / (SAMPLE_RATE / 2))
    middle = (1.0 + PASSED) / 2 * nyquist
    taps: npt.NDArray[np.floating] = scipy.signal.firwin(
        2 * math.ceil(count / 2) + 1, middle, window=("kaiser", beta), fs=SAMPLE_RATE
    )
    return taps.astype(np.float32)
