"""How loud a sound is: what the codec leaves beside the codes, learned for sounds that have none yet.

A ridge regression from the latents that the codes stand for to the loudness of the training files, in dB, and what it
leaves open, drawn from what it leaves open of files that it does not know. Loudness is the root mean square or the peak,
whichever the codes say more exactly: one-shots from a sample library mostly have one peak and any root mean square,
speech the other way round.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from distill.audio.loudness import with_peak, with_rms
from distill.models.codec import ConvVQVAE
from distill.settings.geometry import BANDS

QUANTILES = 33
"""Of what the regression leaves open."""
PENALTIES = tuple(10.0 ** (step / 2) for step in range(-6, 9))
"""Tried for the ridge, as shares of the mean squared length of a sound's features."""
MOST_FILES = 2_000


class Loudness(nn.Module):
    """From codes to a loudness in dB."""

    weight: Tensor
    bias: Tensor
    left_open: Tensor
    bounds: Tensor
    is_peak: Tensor

    def __init__(self, codebook_dim: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(2 * BANDS * codebook_dim))
        self.register_buffer("bias", torch.tensor(0.0))
        self.register_buffer("left_open", torch.zeros(QUANTILES))
        self.register_buffer("bounds", torch.zeros(2))
        self.register_buffer("is_peak", torch.tensor(False))

    @torch.no_grad()
    def decibels(self, codec: ConvVQVAE, codes: Tensor, point: float) -> float:
        """The loudness of a sound of codes [S, Q], within the corpus's.

        Args:
            point: in [0, 1), where the distribution of what the codes leave open is inverted.
        """
        expected = float(loudness_features(codec, codes) @ self.weight.cpu() + self.bias.cpu())
        place = point * (QUANTILES - 1)
        low = min(int(place), QUANTILES - 2)
        below, above = self.left_open[low : low + 2].tolist()
        lowest, highest = self.bounds.tolist()
        return float(min(max(expected + below + (place - low) * (above - below), lowest), highest))

    def applied(self, samples: Tensor, decibels: float) -> Tensor:
        """Samples [..., N] as loud as that."""
        return with_peak(samples, decibels) if bool(self.is_peak) else with_rms(samples, decibels)


@torch.no_grad()
def loudness_features(codec: ConvVQVAE, codes: Tensor) -> Tensor:
    """Codes [S, Q] -> [2 * 8 * D], on the CPU: the mean latents of each band, and those of the first column."""
    vectors = codec.quantizer.decode(codes[None].to(codec.typical_level_db.device))[0].cpu()
    columns = vectors.view(len(vectors) // BANDS, -1)
    return torch.cat([columns.mean(0), columns[0]])


def fit_loudness(codec: ConvVQVAE, sounds: Sequence[tuple[Tensor, float, float]]) -> Loudness:
    """Learn how loud sounds are.

    Args:
        sounds: codes [S, Q] of whole files, their root mean square and their peak in dB.
    """
    sounds = sounds[:: -(-len(sounds) // MOST_FILES)]
    features = torch.stack([loudness_features(codec, codes) for codes, _, _ in sounds]).double().numpy()
    fits = [_ridge(features, np.array([each[1 + kind] for each in sounds])) for kind in range(2)]
    is_peak = fits[1].error_db < fits[0].error_db
    found, values = fits[is_peak], [each[1 + is_peak] for each in sounds]
    loudness = Loudness(codec.config.codebook_dim)
    loudness.weight.copy_(torch.from_numpy(found.weight))
    loudness.bias.fill_(found.bias)
    loudness.left_open.copy_(torch.from_numpy(np.quantile(found.left_out, np.linspace(0.0, 1.0, QUANTILES))))
    loudness.bounds.copy_(torch.tensor([min(values), max(values)]))
    loudness.is_peak.fill_(is_peak)
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
