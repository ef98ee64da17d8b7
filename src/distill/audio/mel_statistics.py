"""What a sound is like in a few numbers that may be compared: spectrum, how much it moves, how it begins and dies away.

Blind to how loud a sound is. For choosing unlike sounds, and for a map of all of them; whether one is a copy of another is
decided elsewhere, frame by frame (`distill.novelty`).
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.settings.geometry import HOP_LENGTH, SAMPLE_RATE

RANGE_DB = 60.0
"""How far under its loudest cell a sound is looked at."""
AUDIBLE_DB = 40.0
"""Frames further under the loudest one say nothing of the spectrum."""
POOLED_BANDS = 4
MOMENTS = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0)
"""Seconds after a sound's beginning at which its level is read."""
PARTS = ("spectrum", "spread", "change", "level", "length")
"""What the numbers are of, in this order; each part weighs as much as its share in WEIGHTS."""
WEIGHTS = (1.0, 0.5, 0.25, 0.7, 0.25)

Statistics = npt.NDArray[np.float64]


def mel_statistics(mel: Tensor) -> Statistics:
    """Log-mel [T, M] in dB -> [D], of one sound; silence has numbers, too.

    The mean spectrum of audible frames, how much each band varies and how much it changes from frame to frame, the level at
    `MOMENTS` from the first audible frame on, and the logarithm of the audible length.
    """
    decibels = mel.detach().float().cpu()
    if not decibels.numel():
        decibels = torch.zeros(1, mel.shape[1])
    heard = floored(decibels)
    level = 10.0 * (10.0 ** (heard / 10.0)).mean(1).log10()
    audible = (level > level.max() - AUDIBLE_DB).nonzero()[:, 0]
    first, stop = int(audible[0]), int(audible[-1]) + 1
    bands = F.avg_pool1d(heard[audible][None], POOLED_BANDS, ceil_mode=True)[0]
    changes = bands.diff(dim=0).abs().mean(0) if len(bands) > 1 else torch.zeros(bands.shape[1])
    sounding = F.pad((level - level.max()).clamp_min(-RANGE_DB)[first:], (0, 1), value=-RANGE_DB)
    at = torch.tensor([round(moment * SAMPLE_RATE / HOP_LENGTH) for moment in MOMENTS]).clamp_max(len(sounding) - 1)
    length = torch.tensor([10.0 * math.log2(stop - first)])
    found = torch.cat([bands.mean(0), bands.std(0, unbiased=False), changes, sounding[at], length])
    return found.double().numpy()


def floored(mel: Tensor) -> Tensor:
    """[T, M] dB -> dB under the loudest cell, at most `RANGE_DB`."""
    return (mel - mel.max()).clamp_min(-RANGE_DB)


def side_by_side(statistics: Statistics, bands: int) -> Statistics:
    """[n, D] of many sounds -> [n, D] whose Euclidean distances compare them: each part weighs as `WEIGHTS` says, however
    many numbers it has and however far they spread.

    Args:
        bands: mel bands that they are of.
    """
    pooled = -(-bands // POOLED_BANDS)
    ends = np.cumsum([pooled, pooled, pooled, len(MOMENTS), 1])
    parts = np.split(statistics - statistics.mean(0), ends[:-1], axis=1)
    spreads = [max(float(np.sqrt(np.square(part).sum(1).mean())), 1e-9) for part in parts]
    return np.concatenate([part * (w / s) for part, s, w in zip(parts, spreads, WEIGHTS, strict=True)], axis=1)


def farthest_points(points: Statistics, count: int) -> list[int]:
    """The numbers of `count` of [n, D] points that lie far from each other: first the one nearest to the middle of all, then
    always the one that is farthest from those that are chosen (Gonzalez, 1985); of equals the first."""
    if not len(points) or count < 1:
        return []
    chosen = [int(np.square(points - points.mean(0)).sum(1).argmin())]
    away = np.square(points - points[chosen[0]]).sum(1)
    while len(chosen) < min(count, len(points)):
        away[chosen] = -1.0
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.square(points - points[chosen[-1]]).sum(1))
    return chosen
