"""How much a loop changes where its end meets its beginning, against what changes within it."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from distill.audio.mel import hz_to_mel, mel_to_hz
from distill.settings.geometry import SpectrogramConfig

APART_FRAMES = 2
"""Frames that are compared: 21 ms apart, as half of their windows is new then."""
AUDIBLE_DB = 70.0
"""What is softer than the loudest cell by more than this is silence."""


def seam_rank(mel: Tensor, spectrogram: SpectrogramConfig) -> float:
    """The share of the changes within a loop's mel [M, T] in dB that are smaller than the one at its seam, of its level or
    its spectrum, whichever is larger; each band counts by its width in Hz."""
    bands = mel.detach().float().cpu()
    if bands.shape[1] <= 2 * APART_FRAMES:
        return 0.0
    heard = bands.clamp_min(float(bands.max()) - AUDIBLE_DB)
    widths = _widths(spectrogram)[:, None]
    level = 10.0 * ((10.0 ** (heard / 10.0) * widths).sum(0)).clamp_min(1e-12).log10()
    changes = (
        (level - level.roll(APART_FRAMES)).abs(),
        ((heard - heard.roll(APART_FRAMES, 1)).abs() * widths).sum(0),
    )
    return max(float((each[APART_FRAMES:] < each[:APART_FRAMES].max()).float().mean()) for each in changes)


@lru_cache(maxsize=4)
def _widths(spectrogram: SpectrogramConfig) -> Tensor:
    """How much of the spectrum each band has [M], one in all."""
    ends = hz_to_mel(spectrogram.f_min_hz), hz_to_mel(spectrogram.f_max_hz)
    edges = mel_to_hz(np.linspace(*ends, spectrogram.n_mels + 2))
    width = torch.from_numpy(edges[2:] - edges[:-2]).float()
    return width / width.sum()
