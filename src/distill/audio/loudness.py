"""How loud a sound is, and making it as loud as it should be.

What a codec gives back has other peaks than the recording, because its phases are others: as loud as a recording whose
peak is full scale, it would clip. So the peaks are turned down for a moment (a limiter that looks ahead) where that is
enough, and the whole sound only beyond that.
"""

import math

import numpy as np
import scipy.ndimage
import torch
from torch import Tensor

from distill.audio.master import PEAK
from distill.settings.geometry import SAMPLE_RATE

SILENT_DB = -120.0
"""What is softer counts as silence, which no gain makes louder."""
HIGHEST_DB = 20.0 * math.log10(PEAK)
LIMITED_DB = 12.0
"""How far peaks are turned down at most."""
REACH_SAMPLES = round(0.001 * SAMPLE_RATE)
"""How long before and after a peak the limiter acts. Longer takes more of the sound with it, and is heard more."""
APPROACHES, NEAR_DB = 5, 0.01
"""So often a limited sound is made louder again at most, and so near to what is wanted is near enough."""


def rms_db(samples: Tensor) -> float:
    """The root mean square of samples [N], or of the mix of [C, N], in dB, full scale 1; not below `SILENT_DB`."""
    mix = samples if samples.ndim == 1 else samples.mean(dim=0)
    power = float(mix.double().square().mean()) if samples.shape[-1] else 0.0
    return max(10.0 * math.log10(max(power, 1e-30)), SILENT_DB)


def peak_db(samples: Tensor) -> float:
    """The highest sample of [..., N] in dB, full scale 1; not below `SILENT_DB`."""
    peak = float(samples.abs().max()) if samples.shape[-1] else 0.0
    return max(20.0 * math.log10(max(peak, 1e-15)), SILENT_DB)


def normalised(samples: Tensor) -> Tensor:
    """Samples [..., N] as loud as what leaves the program may be. Silence stays silent."""
    return _turned(samples, HIGHEST_DB - peak_db(samples))


def as_loud(samples: Tensor, loudness_db: float, ceiling_db: float = HIGHEST_DB, most_db: float = LIMITED_DB) -> Tensor:
    """Samples [..., N] whose root mean square is `loudness_db`. Silence stays silent.

    Args:
        ceiling_db: no peak is higher; the sound is softer where the limiter would have to take more than `most_db`.
    """
    has_db, room_db = rms_db(samples), ceiling_db - peak_db(samples)
    if has_db <= SILENT_DB:
        return samples
    loudness_db = min(loudness_db, HIGHEST_DB)
    gain_db = loudness_db - has_db
    if gain_db <= room_db:
        return _turned(samples, gain_db)
    made = samples
    for _ in range(APPROACHES):
        gain_db = min(gain_db, room_db + most_db)
        made = limited(_turned(samples, gain_db), ceiling_db)
        missing_db = loudness_db - rms_db(made)
        if abs(missing_db) < NEAR_DB or (gain_db == room_db + most_db and missing_db >= 0.0):
            break
        gain_db += missing_db
    return made


def limited(samples: Tensor, ceiling_db: float) -> Tensor:
    """Samples [..., N] turned down around each peak that is higher, all channels alike.

    The gain is the least that any peak nearby needs, averaged over as long a window: at a peak itself all of the window
    needs at most its gain, so nothing goes over.
    """
    ceiling = 10.0 ** (ceiling_db / 20.0)
    loudest = samples.abs().reshape(-1, samples.shape[-1]).amax(0).cpu().numpy()
    needed = np.minimum(1.0, ceiling / np.maximum(loudest, 1e-9))
    least = scipy.ndimage.minimum_filter1d(needed, 2 * REACH_SAMPLES + 1, mode="nearest")
    gain = scipy.ndimage.uniform_filter1d(least.astype(np.float64), 2 * REACH_SAMPLES + 1, mode="nearest")
    return samples * torch.from_numpy(gain.astype(np.float32)).to(samples.device)


def _turned(samples: Tensor, gain_db: float) -> Tensor:
    return samples * 10.0 ** (gain_db / 20.0) if rms_db(samples) > SILENT_DB else samples
