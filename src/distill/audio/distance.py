"""How far one waveform is from another, in the measures that the project is judged by."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from distill.audio.mel import log_mel
from distill.settings.geometry import SpectrogramConfig

RESOLUTIONS = (512, 1024, 2048)
MAGNITUDE_FLOOR = 1e-4
ONSET_RANGE_DB = 80.0
ONSET_MARGIN = 4096
"""Zeros before a sound, so that an attack at its first sample counts."""
AUDIBLE_DB = 60.0
"""How far under the original's loudest mel cell a difference still counts."""
INAUDIBLE_WEIGHT = 0.1
"""What differences further down still count for the codec, so that its silence is silent."""
AMPLITUDE_WEIGHT = 0.3
"""What differences of amplitude count for the codec: they put the loudest cells right, by which all others are heard."""
LOUDNESS_POWER = 0.3
"""Loudness grows with this power of the intensity (Stevens, 1955): 10 dB more are twice as loud."""
DB_PER_NEPER = 20.0 / math.log(10.0)
QUIETEST_AMPLITUDE = 10.0 ** (-50.0 / 20.0)
"""Mean amplitude from which on differences of amplitude count less, so that what cannot be heard does not dominate the codec."""
LOUDEST_MADE_DB = 20.0
"""Louder cells than this have no gradient of amplitude, which would dominate the step."""


@lru_cache(maxsize=8)
def _window(size: int) -> Tensor:
    return torch.hann_window(size)


def _magnitude(samples: Tensor, size: int) -> Tensor:
    """[N] -> STFT magnitude [size / 2 + 1, T], a quarter of the window apart, zeros around the sound."""
    spectrum = torch.stft(samples, size, size // 4, window=_window(size), pad_mode="constant", return_complex=True)
    return spectrum.abs()


def multi_resolution_stft_distance(original: Tensor, made: Tensor) -> float:
    """Spectral convergence plus mean |difference of the logarithm| of STFT magnitudes, mean over three resolutions.

    After Yamamoto, Song & Kim (2020). Samples [N] of equal length; 0 is equal, 1.2 is Griffin-Lim from a mel.
    """
    total = 0.0
    for size in RESOLUTIONS:
        a, b = _magnitude(original, size), _magnitude(made, size)
        convergence = float((a - b).norm() / a.norm().clamp_min(1e-9))
        logarithm = float((a.clamp_min(MAGNITUDE_FLOOR).log() - b.clamp_min(MAGNITUDE_FLOOR).log()).abs().mean())
        total += convergence + logarithm
    return total / len(RESOLUTIONS)


def audible_difference(original: Tensor, made: Tensor, loudest_db: float = 0.0) -> Tensor:
    """|difference| in dB of two log-mels, cell by cell, both floored `AUDIBLE_DB` under the original's loudest cell.

    Args:
        loudest_db: that cell; 0 for log-mels that are in dB under it already.
    """
    floor = loudest_db - AUDIBLE_DB
    return (made.clamp_min(floor) - original.clamp_min(floor)).abs()


def weighed_difference(original: Tensor, made: Tensor, sound: Tensor) -> Tensor:
    """What the codec is trained by, cell by cell, in dB.

    `audible_difference`, a tenth of all of it, and the difference of amplitudes over the original's mean amplitude, scaled
    so that a cell of mean amplitude that is 1 dB off has a difference of about 1.

    Args:
        original, made: log-mels [B, 1, M, T] in dB under the file's loudest cell.
        sound: [B, 1, 1, T] bool, the frames that count; the others are 0 in the result [B, 1, M, T].
    """
    a, b = _amplitude(original) * sound, _amplitude(made.clamp_max(LOUDEST_MADE_DB)) * sound
    mean = a.sum((2, 3), keepdim=True) / (sound.sum((2, 3), keepdim=True) * a.shape[2])
    amplitude = DB_PER_NEPER * (a - b).abs() / mean.clamp_min(QUIETEST_AMPLITUDE)
    logarithm = audible_difference(original, made) + INAUDIBLE_WEIGHT * (made - original).abs()
    return logarithm * sound + AMPLITUDE_WEIGHT * amplitude


def _amplitude(mel: Tensor) -> Tensor:
    return torch.exp(mel / DB_PER_NEPER)


def audible_mel_distance(original: Tensor, made: Tensor, config: SpectrogramConfig) -> float:
    """Mean |difference| in dB of log-mels of samples [N], both floored `AUDIBLE_DB` under the original's loudest cell."""
    a, b = log_mel(original, config), log_mel(made, config)
    return float(audible_difference(a, b, float(a.max())).mean())


def mel_fidelity(original: Tensor, made: Tensor) -> float:
    """How much of a sound is left, from 0 (silence, or as far from it as silence is) to 100 (the sound itself).

    Log-mels [M, T] in dB become the loudness of each cell, none `AUDIBLE_DB` under the original's loudest cell; what differs
    is taken off as a share of all there is. A sound that comes back 10 dB too soft has 50 left.
    """
    floor = float(original.max()) - AUDIBLE_DB
    a, b = (_loudness(mel, floor) for mel in (original, made))
    total = float(a.sum())
    return 100.0 * max(0.0, 1.0 - float((a - b).abs().sum()) / total) if total > 0.0 else 100.0


def _loudness(mel: Tensor, floor_db: float) -> Tensor:
    return 10.0 ** (LOUDNESS_POWER / 10.0 * (mel.double().clamp_min(floor_db) - floor_db)) - 1.0


def fidelity(original: Tensor, made: Tensor, config: SpectrogramConfig) -> float:
    """`mel_fidelity` of samples [N]."""
    return mel_fidelity(log_mel(original, config), log_mel(made, config))


def onset_correlation(original: Tensor, made: Tensor, config: SpectrogramConfig) -> float | None:
    """Pearson correlation of the onset envelopes of samples [N]: 1 where every attack is in its place.

    The envelope is the mean over bands of what a log-mel, floored `ONSET_RANGE_DB` under its maximum, rises from frame to
    frame. None where one of the two never rises.
    """
    a, b = (_onset_envelope(samples, config) for samples in (original, made))
    if float(a.std()) < 1e-6 or float(b.std()) < 1e-6:
        return None
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def _onset_envelope(samples: Tensor, config: SpectrogramConfig) -> Tensor:
    """[N] -> [T - 1] dB a frame."""
    mel = log_mel(torch.nn.functional.pad(samples, (ONSET_MARGIN, 0)), config)
    return mel.clamp_min(float(mel.max()) - ONSET_RANGE_DB).diff(dim=-1).clamp_min(0.0).mean(0)
