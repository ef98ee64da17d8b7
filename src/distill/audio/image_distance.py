"""How far the stereo image of one sound is from that of another."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.audio.mel import mel_filters
from distill.settings.geometry import SpectrogramConfig

CELLS = SpectrogramConfig(n_mels=24, f_min_hz=40.0, f_max_hz=20_000.0)
"""Bands in which channels are compared, 9 frames at a time."""
SMOOTH_FRAMES = 9
HEARD = 1e-5
"""Share of the energy of the loudest cell from which on a cell counts (50 dB)."""
LOUDNESS_POWER = 0.3
"""Cells count by this power of their energy."""
LARGEST_LEVEL_DB = 30.0


class ImageErrors(NamedTuple):
    """Weighted means over cells, 0 where both images are the same."""

    level_db: float
    """|difference| of the level differences between left and right, in dB."""
    coherence: float
    """|difference| of the coherences of left and right, 0 to 1."""


def image_errors(original: Tensor, made: Tensor) -> ImageErrors:
    """Two-channel sounds [2, N] at 48 kHz of one length, compared where the original is heard."""
    left, right, coherence = _cells(original)
    made_left, made_right, made_coherence = _cells(made)
    energy = left + right
    heard = energy > HEARD * energy.max()
    weight = energy[heard] ** LOUDNESS_POWER
    if not len(weight):
        return ImageErrors(0.0, 0.0)
    levels = (_level_db(left, right) - _level_db(made_left, made_right)).abs()[heard]
    coherences = (coherence - made_coherence).abs()[heard]
    return ImageErrors(*(float((each * weight).sum() / weight.sum()) for each in (levels, coherences)))


def _cells(channels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[2, N] -> energies of left and right, and how coherent they are, [24, T] each."""
    window = torch.hann_window(CELLS.n_fft, dtype=torch.float64)
    padding = (0, max(0, CELLS.n_fft - channels.shape[-1]))
    left, right = torch.stft(
        F.pad(channels.double(), padding), CELLS.n_fft, CELLS.hop_length, window=window, pad_mode="constant",
        return_complex=True,
    )  # fmt: skip
    cross = left * right.conj()
    own, other, real, imaginary = (
        F.avg_pool1d((_inside() @ each)[:, None], SMOOTH_FRAMES, 1, SMOOTH_FRAMES // 2)[:, 0]
        for each in (left.abs().square(), right.abs().square(), cross.real, cross.imag)
    )
    return own, other, torch.hypot(real, imaginary) / (own * other + 1e-18).sqrt()


def _level_db(left: Tensor, right: Tensor) -> Tensor:
    return (10.0 * ((left + 1e-15) / (right + 1e-15)).log10()).clamp(-LARGEST_LEVEL_DB, LARGEST_LEVEL_DB)


@lru_cache(maxsize=1)
def _inside() -> Tensor:
    """[24, F]: 1 where a bin lies in a band, which overlap as mel filters do."""
    return (mel_filters(CELLS) > 0.0).double()
