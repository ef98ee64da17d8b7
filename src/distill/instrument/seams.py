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
FRAME = 1024
"""Samples before and after a place that are compared."""
PLACES = 1024
"""Places within a loop at most that its seam is compared with."""
EARLIEST, EARLIER_STEP = 240, 48
"""Samples that a loop begins before its first beat at most (5 ms), and steps in which such a place is looked for."""
SMOOTH_PLACE = 0.93
SOFTEST_POWER, SOFTEST_BIN = 1e-8, 1e-2
"""What is softer than this is silence: 80 dB under full scale, and 88 dB of a partial."""


def seam_rank(mel: Tensor, spectrogram: SpectrogramConfig) -> float:
    """The share of the changes within a loop's mel [M, T] in dB, with its grain, that are smaller than the one at its seam,
    of its level or its spectrum, whichever is larger; each band counts by its width in Hz. The seam is between two frames, so
    changes are the means of two.
    """
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
    between = [(each + each.roll(-1)) / 2.0 for each in changes]
    return max(float((each[APART_FRAMES : 1 - APART_FRAMES] < each[0]).float().mean()) for each in between)


def smooth_turn(loop: Tensor) -> int:
    """How many samples earlier a loop [C, N] may begin, so that less changes at its seam than at nearly all places within:
    as few as possible; where there is no such place within 5 ms, so that least does.

    A loop that is turned is the same loop; its first beat is that much later in the file.
    """
    length = loop.shape[1]
    if length < 8 * FRAME:
        return 0
    earlier = torch.arange(0, EARLIEST + 1, EARLIER_STEP)
    within = torch.linspace(FRAME, length - FRAME, min(PLACES, length // 128)).long()
    inside, at_seam = _changes(loop, within), _changes(loop, -earlier)  # [2, C, n]
    ranks = (inside[..., None] < at_seam[:, :, None]).float().mean(2)  # [2, C, E]
    worst = ranks.amax((0, 1)).clamp_min(SMOOTH_PLACE)
    return int(earlier[worst.argmin()])


def _changes(loop: Tensor, places: Tensor) -> Tensor:
    """How much level and spectrum of a loop [C, N] change at places [n], in dB: [2, C, n]."""
    around = (places[:, None] + torch.arange(-FRAME, FRAME)).remainder(loop.shape[1])
    frames = loop[:, around.view(-1, 2, FRAME)]
    level = 10.0 * (frames.square().mean(-1) + SOFTEST_POWER).log10()
    bins = 20.0 * (torch.fft.rfft(frames * torch.hann_window(FRAME)).abs() + SOFTEST_BIN).log10()
    return torch.stack([level.diff(dim=-1)[..., 0].abs(), bins.diff(dim=-2)[..., 0, :].abs().mean(-1)])


@lru_cache(maxsize=4)
def _widths(spectrogram: SpectrogramConfig) -> Tensor:
    """How much of the spectrum each band has [M], one in all."""
    ends = hz_to_mel(spectrogram.f_min_hz), hz_to_mel(spectrogram.f_max_hz)
    edges = mel_to_hz(np.linspace(*ends, spectrogram.n_mels + 2))
    width = torch.from_numpy(edges[2:] - edges[:-2]).float()
    return width / width.sum()
