"""How loud a sound is, and making it as loud as it should be. Everything is that of the mix of its channels."""

import math

import torch
from torch import Tensor

from distill.audio.master import PEAK

SILENT_DB = -120.0
"""What is softer counts as silence, which no gain makes louder."""


def rms_db(samples: Tensor) -> float:
    """The root mean square of samples [..., N] in dB, full scale 1; not below `SILENT_DB`."""
    power = float(_mix(samples).double().square().mean()) if samples.shape[-1] else 0.0
    return max(10.0 * math.log10(max(power, 1e-30)), SILENT_DB)


def peak_db(samples: Tensor) -> float:
    """The highest sample of [..., N] in dB, full scale 1; not below `SILENT_DB`."""
    peak = float(_mix(samples).abs().max()) if samples.shape[-1] else 0.0
    return max(20.0 * math.log10(max(peak, 1e-15)), SILENT_DB)


def with_rms(samples: Tensor, db: float) -> Tensor:
    """Samples [..., N] with a gain that gives them this root mean square. Silence stays silent."""
    return _turned(samples, rms_db(samples), db)


def with_peak(samples: Tensor, db: float) -> Tensor:
    """Samples [..., N] with a gain that gives them this peak. Silence stays silent."""
    return _turned(samples, peak_db(samples), db)


def normalised(samples: Tensor) -> Tensor:
    """Samples [..., N] as loud as what leaves the program may be."""
    return with_peak(samples, 20.0 * math.log10(PEAK))


def _turned(samples: Tensor, has_db: float, db: float) -> Tensor:
    return samples if has_db <= SILENT_DB else samples * 10.0 ** ((db - has_db) / 20.0)


def _mix(samples: Tensor) -> Tensor:
    return samples if samples.ndim == 1 else samples.mean(dim=0, dtype=torch.float32)
