"""How new sounds are let go: what a prior draws as the last column of a sound falls off less than the recordings do.

A column that falls off takes codes that agree on it in all bands and levels, and a mixture of them hardly does: told that a
sound is over, a prior still draws ends that sound on. So how loud a sound is where it ends is brought to where it lies with the
recordings: as many of them are softer as there are of some sounds that were made when the prior was trained. What ends as
softly as it should stays as it is, and so does which of two sounds ends the more softly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.settings.geometry import END_POINTS, FRAMES_PER_COLUMN, HOP_LENGTH, LEAST_ENDS

END_SAMPLES = 960
"""The end of a sound: its last 20 ms."""
SOFTEST_DB = -90.0
RELEASE_SAMPLES = FRAMES_PER_COLUMN * HOP_LENGTH
"""A sound is let go over a column, or over its second half where it is shorter than two."""


class Release(NamedTuple):
    """How sounds end: quantiles, evenly spaced from the softest to the loudest, of `end_db`."""

    made_db: tuple[float, ...]
    recorded_db: tuple[float, ...]

    def wanted_db(self, ends_db: float) -> float:
        """Where the end of a sound that ends so is to be."""
        return min(ends_db, float(np.interp(ends_db, self.made_db, self.recorded_db)))


def loudest_db(samples: Tensor) -> float:
    """The loudest 20 ms of samples [C, N], of the mix."""
    mix = samples.mean(0).double()
    parts = torch.split(mix, END_SAMPLES)[: max(1, len(mix) // END_SAMPLES)]
    return max(_level_db(part) for part in parts)


def end_db(samples: Tensor, loudest: float | None = None) -> float:
    """How loud the last 20 ms of samples [C, N] are, beside the loudest (of a longer sound: `loudest`, in dB)."""
    own = loudest_db(samples) if loudest is None else loudest
    return min(0.0, max(_level_db(samples.mean(0)[-END_SAMPLES:].double()) - own, SOFTEST_DB))


def released(samples: Tensor, release: Release | None, loudest: float | None = None) -> Tensor:
    """Samples [C, N] that end as softly as they are to: turned down over a column, evenly in dB; None: they stay as they are.

    Args:
        loudest: in dB, where these are the end of a longer sound.
    """
    count = samples.shape[-1]
    if release is None or count < END_SAMPLES:
        return samples
    ends = end_db(samples, loudest)
    softer = ends - release.wanted_db(ends)
    if softer <= 0.0:
        return samples
    length = max(END_SAMPLES, min(RELEASE_SAMPLES, count // 2 if loudest is None else count))
    softer /= 1.0 - END_SAMPLES / (2.0 * length)  # what the middle of the end is turned down by
    gain = 10.0 ** (-softer / 20.0 * torch.linspace(0.0, 1.0, length, device=samples.device))
    return torch.cat([samples[:, : count - length], samples[:, count - length :] * gain], dim=1)


def fit_release(made: Sequence[float], recorded: Sequence[float]) -> Release | None:
    """From `end_db` of made sounds that ended by themselves, and of recordings; None: there are too few of either."""
    if min(len(made), len(recorded)) < LEAST_ENDS:
        return None
    points = np.linspace(0.0, 1.0, END_POINTS)
    own, theirs = (tuple(np.quantile(ends, points).tolist()) for ends in (made, recorded))
    return Release(own, theirs)


def _level_db(samples: Tensor) -> float:
    power = float(samples.square().mean()) if len(samples) else 0.0
    return 10.0 * float(np.log10(max(power, 1e-14)))
