"""The grain of a sound: what a decoded spectrogram lacks because codes stand for what many sounds have in common.

A decoder that minimises an error answers with the middle of what might have been there. So what it makes is smoother
than recordings, from frame to frame most of all, and sounds generated from it would be too. Perceptual noise
substitution (Schulz, 1996) in the log-mel domain: how much is missing is measured once for each band, and generated
sounds get that much of it.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.audio.distance import AUDIBLE_DB

SPREAD = (0.3, 1.0, 0.3)
"""How far the noise of a cell reaches into its neighbours, in time and over bands: windows overlap, and so do bands."""
LEAST_STEPS = 50
"""A band with fewer audible steps than this from frame to frame has no texture."""
MEDIAN_OF_NORMAL = 0.6745
"""Median |x| of a normal distribution of deviation 1."""
LARGEST_TEXTURE_DB = 6.0


def texture_of(pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """What decoded log-mels lack of the recordings' grain: deviation in dB for each band, [M].

    The steps from frame to frame of both are compared by their medians, which attacks do not move.

    Args:
        pairs: log-mels [M, T] in dB of recordings, and what the codec decodes them to.
    """
    steps: list[tuple[Tensor, Tensor]] = []
    audible: list[Tensor] = []
    for original, decoded in pairs:
        floor = original.max() - AUDIBLE_DB
        heard = (original > floor) & (decoded > floor)
        audible.append(heard[:, 1:] & heard[:, :-1])
        steps.append((original.diff(dim=1).abs(), decoded.diff(dim=1).abs()))
    compared = torch.cat(audible, dim=1)
    medians = [
        torch.cat([each[i] for each in steps], dim=1).masked_fill(~compared, torch.nan).nanmedian(dim=1).values
        for i in range(2)
    ]
    missing = (medians[0].square() - medians[1].square()).clamp_min(0.0).sqrt() / MEDIAN_OF_NORMAL
    texture = missing / _step_of_grain()
    return torch.where(compared.sum(1) >= LEAST_STEPS, texture, 0.0).nan_to_num(0.0).clamp_max(LARGEST_TEXTURE_DB)


def textured(mel: Tensor, texture_db: Tensor, level_db: float, generator: torch.Generator) -> Tensor:
    """Log-mel [M, T] in dB with grain where it is audible; nothing gets louder than the level."""
    noise = torch.randn(mel.shape, generator=generator)
    grain = _spread(_spread(noise), across_bands=True) * texture_db[:, None]
    heard = mel > level_db - AUDIBLE_DB
    return torch.where(heard, (mel + grain).clamp_max(level_db), mel)


def _spread(noise: Tensor, across_bands: bool = False) -> Tensor:
    """[M, T] of deviation 1 -> the same deviation, each cell sharing with its neighbours."""
    kernel = torch.tensor(SPREAD) / torch.tensor(SPREAD).norm()
    shape = (1, 1, -1, 1) if across_bands else (1, 1, 1, -1)
    padding = (0, 0, 1, 1) if across_bands else (1, 1, 0, 0)
    around = F.pad(noise[None, None], padding, mode="circular" if min(noise.shape) > 1 else "constant")
    return F.conv2d(around, kernel.reshape(shape))[0, 0]


def _step_of_grain() -> float:
    """Deviation of the difference of two successive cells of `_spread` noise of deviation 1."""
    side, middle, _ = SPREAD
    correlation = 2.0 * side * middle / (middle**2 + 2.0 * side**2)
    return float((2.0 * (1.0 - correlation)) ** 0.5)
