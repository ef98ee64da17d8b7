"""How wide new sounds are as a whole: their widths lie closer together than the recordings' do.

What a prior draws mixes the images of several recordings within one sound, and a mixture is neither as wide as the widest nor
as narrow as the narrowest. So the width of a sound, side over middle in dB, is moved away from the middle one of some sounds
that were made when the prior was trained, by as much as makes them spread as the recordings are: which of two sounds is the
wider one stays, and so does the mix, which loses no more of any band than that of a recording does.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.audio.mel import hz_to_mel, mel_to_hz
from distill.models.image import HIGH_HZ, LOW_HZ
from distill.settings.geometry import SAMPLE_RATE

NARROWEST_DB = -60.0
NOT_WIDE_DB = -50.0
"""Sounds that are no wider are in the middle, and stay there."""
LEAST_SOUNDS = 8
"""Wide ones, of the recordings and of the made ones, that tell how they are spread."""
SHARE = 0.2
"""How they are spread is from this quantile to the one that is as far from the other end."""
MOST_APART = 2.5
MIX_BANDS = 8
"""Bands, equally wide in mel, in which is looked what a mix of both channels loses."""
HEARD = 1e-4
"""Share of the energy of the loudest band from which on a band counts (40 dB)."""


class Apart(NamedTuple):
    """How new sounds are to be spread."""

    centre_db: float
    """The width that stays."""
    times: float
    """How many times as far from it the others come to be."""
    widest_db: float
    """No sound becomes wider."""
    lost_db: float
    """No band is softened more in the mix of both channels, unless it was."""


def width_db(channels: Tensor) -> float:
    """Side over middle of a sound [channels, N]."""
    if len(channels) == 1:
        return NARROWEST_DB
    left, right = channels.double()
    energies = [float((left + sign * right).square().sum()) + 1e-12 for sign in (1.0, -1.0)]
    return max(NARROWEST_DB, 10.0 * math.log10(energies[1] / energies[0]))


def set_apart(channels: Tensor, apart: Apart | None) -> Tensor:
    """A sound [channels, N] as wide as it is to be, its mean as it was; None: it stays as wide as it is, as one channel does."""
    if apart is None or (width := width_db(channels)) <= NOT_WIDE_DB:
        return channels
    wanted = apart.centre_db + apart.times * (width - apart.centre_db)
    gain = 10.0 ** ((min(wanted, max(width, apart.widest_db)) - width) / 20.0)
    gain = min(gain, max(1.0, math.sqrt((10.0 ** (apart.lost_db / 10.0) - 1.0) / max(_most_beside(channels), 1e-9))))
    middle, side = (channels[0] + channels[1]) / 2.0, (channels[0] - channels[1]) / 2.0
    return torch.stack([middle + gain * side, middle - gain * side])


def lost_db(channels: Tensor) -> float:
    """How much softer the mix of left and right [2, N] is than both together, in the band that loses most."""
    return 10.0 * math.log10(1.0 + _most_beside(channels))


def _most_beside(channels: Tensor) -> float:
    """The side's energy over the middle's in the band where it is largest, of those that are heard."""
    left, right = channels.double()
    middle, side = (torch.fft.rfft(left + sign * right).abs().square() for sign in (1.0, -1.0))
    edges = mel_to_hz(np.linspace(hz_to_mel(LOW_HZ), hz_to_mel(HIGH_HZ), MIX_BANDS + 1))
    hertz = torch.arange(len(middle)) * (SAMPLE_RATE / channels.shape[1])
    band = torch.searchsorted(torch.from_numpy(edges[1:-1]), hertz.double())
    own, beside = (torch.zeros(MIX_BANDS).double().index_add_(0, band, each) for each in (middle, side))
    heard = own + beside > HEARD * float((own + beside).max())
    return float((beside / own.clamp_min(1e-12))[heard].max()) if bool(heard.any()) else 0.0


def fit_apart(made: Sequence[float], recorded: Sequence[float], lost: float) -> Apart | None:
    """From the widths in dB of made sounds and of recordings, and what a band of these loses in the mix; None: there are too
    few wide ones of either."""
    wide = [np.array([width for width in widths if width > NOT_WIDE_DB]) for widths in (made, recorded)]
    if min(map(len, wide)) < LEAST_SOUNDS:
        return None
    own, theirs = (float(np.subtract(*np.quantile(widths, [1.0 - SHARE, SHARE]))) for widths in wide)
    times = min(max(theirs / max(own, 1e-6), 1.0), MOST_APART)
    return Apart(float(np.median(wide[0])), times, float(wide[1].max()), lost)
