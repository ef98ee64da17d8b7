"""How loud a sound is: what the codec leaves beside the codes, learned for sounds that have none yet.

Ridge regressions from the latents that the codes stand for to the root mean square and to the peak of the training files,
in dB, and what they leave open, drawn from what they leave open of files that they do not know: of one file for both,
since the two belong together. What counts is the one that the codes say more exactly: one-shots from a sample library
mostly have one peak and any root mean square, speech the other way round. Where it is the peak, the root mean square is
brought as near as a limiter may.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from distill.audio.loudness import HIGHEST_DB, as_loud, peak_db, rms_db
from distill.models.codec import ConvVQVAE
from distill.settings.geometry import BANDS

RESIDUALS = 64
"""Pairs that are kept of what the regressions leave open."""
GENERATED_LIMITED_DB = 6.0
"""How far peaks of generated sounds are turned down at most: none of them has to be as loud as a certain recording."""
PENALTIES = tuple(10.0 ** (step / 2) for step in range(-6, 9))
"""Tried for the ridge, as shares of the mean squared length of a sound's features."""
MOST_FILES = 2_000


class Wanted(NamedTuple):
    """How loud a sound shall be."""

    rms_db: float
    peak_db: float


class Loudness(nn.Module):
    """From codes to a loudness in dB."""

    weight: Tensor
    bias: Tensor
    left_open: Tensor
    bounds: Tensor
    is_peak: Tensor

    def __init__(self, codebook_dim: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(2 * BANDS * codebook_dim, 2))  # of root mean square and peak
        self.register_buffer("bias", torch.zeros(2))
        self.register_buffer("left_open", torch.zeros(RESIDUALS, 2))
        self.register_buffer("bounds", torch.zeros(2, 2))  # lowest, highest
        self.register_buffer("is_peak", torch.tensor(False))

    @torch.no_grad()
    def wanted(self, codec: ConvVQVAE, codes: Tensor, point: float) -> Wanted:
        """How loud a sound of codes [S, Q] shall be, within what there is in the corpus.

        Args:
            point: in [0, 1), which of the things that the codes leave open it is.
        """
        drawn = (
            self.expected(loudness_features(codec, codes)) + self.left_open[min(int(point * RESIDUALS), RESIDUALS - 1)]
        )
        return Wanted(*drawn.clamp(self.bounds[0], self.bounds[1]).tolist())

    def expected(self, features: Tensor) -> Tensor:
        """Features [..., F] -> root mean square and peak in dB [..., 2], as far as the codes say them."""
        return features @ self.weight + self.bias

    def applied(self, samples: Tensor, wanted: Wanted) -> Tensor:
        """Samples [..., N] as loud as that."""
        if not bool(self.is_peak):
            return as_loud(samples, wanted.rms_db, most_db=GENERATED_LIMITED_DB)
        ceiling_db = min(wanted.peak_db, HIGHEST_DB)
        at_ceiling_db = ceiling_db - peak_db(samples) + rms_db(samples)
        return as_loud(samples, max(wanted.rms_db, at_ceiling_db), ceiling_db, GENERATED_LIMITED_DB)


@torch.no_grad()
def loudness_features(codec: ConvVQVAE, codes: Tensor) -> Tensor:
    """Codes [S, Q] -> [2 * 8 * D], on the CPU: the mean latents of each band, and those of the first column."""
    vectors = codec.quantizer.decode(codes[None].to(codec.typical_level_db.device))[0].cpu()
    columns = vectors.view(vectors.shape[0] // BANDS, -1)
    return torch.cat([columns.mean(0), columns[0]])


def fit_loudness(codec: ConvVQVAE, sounds: Sequence[tuple[Tensor, float, float]]) -> Loudness:
    """Learn how loud sounds are.

    Args:
        sounds: codes [S, Q] of whole files, their root mean square and their peak in dB.
    """
    sounds = sounds[:: -(-len(sounds) // MOST_FILES)]
    features = torch.stack([loudness_features(codec, codes) for codes, _, _ in sounds]).double().numpy()
    decibels = np.array([each[1:] for each in sounds])  # [N, 2]
    fits = [_ridge(features, wanted) for wanted in decibels.T]
    left_open = np.stack([fit.left_out for fit in fits], axis=1)
    order = np.argsort(left_open[:, 0], kind="stable")
    kept = order[np.arange(RESIDUALS) * len(order) // RESIDUALS]
    loudness = Loudness(codec.config.codebook_dim)
    loudness.weight.copy_(torch.from_numpy(np.stack([fit.weight for fit in fits], axis=1)))
    loudness.bias.copy_(torch.tensor([fit.bias for fit in fits]))
    loudness.left_open.copy_(torch.from_numpy(left_open[kept]))
    loudness.bounds.copy_(torch.from_numpy(np.stack([decibels.min(0), decibels.max(0)])))
    loudness.is_peak.fill_(fits[1].error_db < fits[0].error_db)
    return loudness


class _Ridge:
    """A ridge regression and how far each sound is from what the others say of it."""

    def __init__(self, weight: npt.NDArray[np.float64], bias: float, left_out: npt.NDArray[np.float64]) -> None:
        self.weight, self.bias, self.left_out = weight, bias, left_out
        self.error_db = float(np.sqrt(np.square(left_out).mean()))


def _ridge(features: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> _Ridge:
    """The ridge of the penalty whose leave-one-out error is the smallest; [N, F], [N]."""
    centre, mean, count = features.mean(0), wanted.mean(), len(wanted)
    centred = features - centre
    alike = centred @ centred.T
    scale = max(float(np.trace(alike)) / count, 1e-12)
    best: _Ridge | None = None
    for penalty in PENALTIES:
        solved = np.linalg.inv(alike / scale + penalty * np.eye(count))
        hat = alike / scale @ solved + 1.0 / count
        left_out = (wanted - mean - (hat - 1.0 / count) @ (wanted - mean)) / np.maximum(1.0 - np.diag(hat), 1e-9)
        weight = centred.T @ (solved @ (wanted - mean)) / scale
        found = _Ridge(weight, float(mean - centre @ weight), left_out)
        if best is None or found.error_db < best.error_db:
            best = found
    assert best is not None
    return best
