"""Grain: what codes leave out of a spectrogram. Coded finer where there is a recording, drawn where there is none.

    log-mel less what its codes decode to ─ a patch of 16 bands x 16 frames for each position ─ cosine transform ─▶
    256 numbers, of which the 128 slowest are rounded to steps of 6 dB ─▶ grain [S, 128]

Codes are what the prior has to predict, so they are few, and a decoder that minimises its error answers with the middle
of what they may stand for: smooth. What is left is fine structure without much to learn about it, which is what transform
coding is for (as in JPEG, Wallace, 1992): its numbers stand for nothing but themselves, need no training, and cost the
prior nothing. Sounds that are generated get grain as noise in the same form (perceptual noise substitution, Schulz, 1996):
as strong as what is left of the training files, for each band and each level of the decoded cell, and as quick over time
and bands.

Log-mels here are in dB under the file's level.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from distill.models.codec import FLOOR_DB, ConvVQVAE
from distill.models.encoding import Mel, decode_codes, encode_mel
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, MELS_PER_BAND

PATCH = MELS_PER_BAND * FRAMES_PER_COLUMN
"""Cells of a patch."""
NUMBERS = PATCH // 2
"""Numbers of a patch that are coded: the slowest over time and bands."""
STEP_DB = 6.0
DEAD_ZONE = 0.1
"""What rounding takes off a number's size, in steps: noise below half a step is mostly not worth a number."""
DEEPEST_DB = -90.0
"""Cells under this have no grain."""
MARGIN_DB = 6.0
"""What rounding puts this little over it is nothing."""
BIN_DB = 6.0
BINS = round(-DEEPEST_DB / BIN_DB)
"""Levels of decoded cells that are told apart."""
QUANTILE = 0.8
"""The deviation is read off here: further out lie attacks in the wrong place, which are errors and not grain."""
NEIGHBOURS = 4
"""Mel bands on either side that a band's deviation is measured with."""
POOLED_CELLS = 50
"""What all bands together say of a level counts as much as this many cells of the band itself."""
LARGEST_DB = 15.0
"""Drawn grain raises no cell by more than this, and lowers none by more than three times as much."""
LONGEST_DIFFERENCE_DB, DIFFERENCE_STEP_DB = 60.0, 0.25
"""The scale that differences are counted on."""


class Difference(NamedTuple):
    """A training file: what its codes decode to, and what they leave of it."""

    decoded: Tensor  # [M, T] dB
    residual: Tensor  # [M, T] dB


class Coded(NamedTuple):
    """A recording as the codec keeps it."""

    latents: Tensor  # [S, D], on the codec's device
    codes: Tensor  # [S, Q]
    grain: Tensor  # [S, 128]
    mel: Tensor  # [M, T] dB, what both decode to


@torch.no_grad()
def code_recording(codec: ConvVQVAE, mel: Mel, level_db: float, device: torch.device) -> Coded:
    """Log-mel [T, M] in dB of any length -> its codes, its grain, and what they decode to, on the CPU. Call in eval mode."""
    latents = encode_mel(codec, mel, level_db, device)
    codes = codec.latents_to_codes(latents[None])[0]
    decoded = decode_codes(codec, codes, level_db).cpu() - level_db
    original = ConvVQVAE.pad_to_columns(torch.from_numpy(np.array(mel, dtype=np.float32)).T - level_db)
    grain = coded_grain(original, decoded)
    silent = codec.spectrogram.floor_db
    made = with_grain(decoded, grain)
    made = torch.where(made > FLOOR_DB, made + level_db, silent).clamp_min(silent)
    return Coded(latents, codes.cpu(), grain, made[:, : len(mel)])


def coded_grain(mel: Tensor, decoded: Tensor) -> Tensor:
    """What is left of a log-mel [M, T], T whole columns -> grain [S, 128], int16."""
    numbers = (to_patches(residual(mel, decoded)) @ _slowest(decoded.device)) / STEP_DB
    return (numbers.sign() * (numbers.abs() + 0.5 - DEAD_ZONE).floor()).clamp(-32768, 32767).short()


def bits_of_grain(grain: Tensor) -> float:
    """Bits that a position of grain [S, 128] takes, each of its numbers coded by how often its values occur here."""
    bits = 0.0
    for number in grain.T:
        share = number.unique(return_counts=True)[1].double() / len(grain)
        bits -= float((share * share.log2()).sum())
    return bits


def with_grain(decoded: Tensor, grain: Tensor) -> Tensor:
    """Decoded log-mel [M, T] and the grain [S, 128] that its recording was coded with -> [M, T]."""
    numbers = grain.to(decoded.dtype) * STEP_DB
    return _put(decoded, from_patches(numbers @ _slowest(decoded.device).T))


def residual(mel: Tensor, decoded: Tensor) -> Tensor:
    """What is left of a log-mel, both as if nothing lay under `DEEPEST_DB`."""
    return mel.clamp_min(DEEPEST_DB) - decoded.clamp_min(DEEPEST_DB)


def _put(decoded: Tensor, grain: Tensor) -> Tensor:
    made = (decoded.clamp_min(DEEPEST_DB) + grain).clamp_max(0.0)
    return torch.where(made > DEEPEST_DB + MARGIN_DB, made, decoded.clamp_max(DEEPEST_DB))


class DrawnGrain(nn.Module):
    """How strong and how quick the grain of a corpus is."""

    deviation_db: Tensor
    shape: Tensor

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.register_buffer("deviation_db", torch.zeros(n_mels, BINS))
        self.register_buffer("shape", torch.ones(BANDS, PATCH))  # of each number of a patch, mean square 1

    @classmethod
    def measured(cls, files: Sequence[Difference]) -> "DrawnGrain":
        """From what is left of training files [M, T], T whole columns; at least one."""
        made = cls(files[0].decoded.shape[0])
        made.deviation_db.copy_(_deviations(files))
        squared, patches = torch.zeros_like(made.shape), 0
        for file in files:
            scale = made._deviation(file.decoded)
            own = torch.where(scale > 0, file.residual / scale.clamp_min(1e-3), 0.0).clamp(-3.0, 3.0)
            numbers = to_patches(own) @ cosines(own.device)  # [S, 256]
            squared += numbers.square().reshape(-1, BANDS, PATCH).sum(0)
            patches += len(numbers) // BANDS
        mean = squared.mean(1, keepdim=True)
        made.shape.copy_(torch.where(mean > 0, (squared / mean.clamp_min(1e-9)).sqrt(), 1.0))
        return made

    @classmethod
    def of_texture(cls, texture_db: Sequence[float]) -> "DrawnGrain":
        """From what files of earlier versions hold: one deviation a band, heard down to 60 dB under the level."""
        made = cls(len(texture_db))
        heard = torch.arange(BINS) * BIN_DB + DEEPEST_DB >= -60.0
        made.deviation_db.copy_(torch.tensor(texture_db)[:, None] * heard)
        return made

    def draw(self, decoded: Tensor, generator: torch.Generator, amount: float = 1.0) -> Tensor:
        """Decoded log-mel [M, T], T whole columns -> [M, T] with grain, drawn column after column."""
        positions = decoded.shape[1] // FRAMES_PER_COLUMN * BANDS
        noise = torch.randn((positions, PATCH), generator=generator).to(decoded.device)
        return self.of_noise(decoded, noise, amount)

    def of_noise(self, decoded: Tensor, noise: Tensor, amount: float | Tensor = 1.0) -> Tensor:
        """The same of noise [S, 256] that is there already."""
        numbers = noise.reshape(-1, BANDS, PATCH) * self.shape
        drawn = from_patches(numbers.flatten(0, 1) @ cosines(decoded.device).T) * self._deviation(decoded) * amount
        grained = _put(decoded, drawn.clamp(-3.0 * LARGEST_DB, LARGEST_DB))
        return torch.where(decoded > DEEPEST_DB, grained, decoded)

    def _deviation(self, decoded: Tensor) -> Tensor:
        """[M, T] dB -> the deviation of each cell's grain [M, T]."""
        return self.deviation_db.gather(1, _bins(decoded))


def _bins(decoded: Tensor) -> Tensor:
    return ((decoded - DEEPEST_DB) / BIN_DB).long().clamp(0, BINS - 1)


def _deviations(files: Sequence[Difference]) -> Tensor:
    """[M, BINS]: deviation of a normal distribution with the same `QUANTILE` of |residual|."""
    bands = files[0].decoded.shape[0]
    sizes = round(LONGEST_DIFFERENCE_DB / DIFFERENCE_STEP_DB)
    counts = torch.zeros(bands * BINS * sizes)
    row = torch.arange(bands, device=files[0].decoded.device)[:, None] * BINS
    for file in files:
        size = (file.residual.abs() / DIFFERENCE_STEP_DB).long().clamp_max(sizes - 1)
        place = (row + _bins(file.decoded)) * sizes + size
        heard = (file.decoded > DEEPEST_DB) | (file.residual != 0)
        counts += place[heard].bincount(minlength=len(counts)).cpu()
    by_band = counts.reshape(bands, BINS, sizes)
    around = torch.stack([by_band[max(0, band - NEIGHBOURS) : band + NEIGHBOURS + 1].sum(0) for band in range(bands)])
    pooled = by_band.sum(0)
    around += POOLED_CELLS * pooled / pooled.sum(-1, keepdim=True).clamp_min(1.0)
    total = around.sum(-1, keepdim=True)
    within = around.cumsum(-1) < QUANTILE * total
    quantile = (within.sum(-1) + 0.5) * DIFFERENCE_STEP_DB
    normal = math.sqrt(2.0) * float(torch.erfinv(torch.tensor(QUANTILE)))
    return torch.where(total[..., 0] > 0, quantile / normal, 0.0)


def to_patches(mel: Tensor) -> Tensor:
    """[M, T], T whole columns -> [S, 256], position after position."""
    columns = mel.shape[1] // FRAMES_PER_COLUMN
    cells = mel.reshape(BANDS, MELS_PER_BAND, columns, FRAMES_PER_COLUMN)
    return cells.permute(2, 0, 1, 3).reshape(-1, PATCH)


def from_patches(patches: Tensor) -> Tensor:
    """The inverse of `to_patches`."""
    columns = patches.shape[0] // BANDS
    cells = patches.reshape(columns, BANDS, MELS_PER_BAND, FRAMES_PER_COLUMN).permute(1, 2, 0, 3)
    return cells.reshape(BANDS * MELS_PER_BAND, columns * FRAMES_PER_COLUMN)


def _slowest(device: torch.device) -> Tensor:
    return cosines(device)[:, :NUMBERS]


@lru_cache(maxsize=4)
def cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform of a patch [256, 256], its numbers in the last dimension, from slow to quick."""
    both = torch.einsum("bi,tj->btij", _cosines(MELS_PER_BAND), _cosines(FRAMES_PER_COLUMN)).reshape(PATCH, PATCH)
    over_bands = torch.arange(MELS_PER_BAND).repeat_interleave(FRAMES_PER_COLUMN) / MELS_PER_BAND
    over_time = torch.arange(FRAMES_PER_COLUMN).repeat(MELS_PER_BAND) / FRAMES_PER_COLUMN
    order = ((over_bands + over_time) * PATCH + (over_bands - over_time).abs()).argsort(stable=True)
    return both[:, order].float().to(device)


def _cosines(size: int) -> Tensor:
    """The orthonormal cosine transform of `size` numbers in a row: [place, number], float64."""
    step = torch.arange(size, dtype=torch.float64)
    one = torch.cos(math.pi * (step[:, None] + 0.5) * step / size) * math.sqrt(2.0 / size)
    one[:, 0] /= math.sqrt(2.0)
    return one
