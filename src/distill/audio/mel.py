"""The log-mel front-end: waveform to dB on a mel scale, the same numbers for a crop as for a whole file."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distill.settings.geometry import SpectrogramConfig

BLOCK_FRAMES = 4096
"""Frames computed at a time for a whole file (44 seconds): memory stays flat however long the file is."""
LINEAR_HZ, BEND_HZ, LOG_STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27
"""Slaney's mel scale: Hz a mel below the bend, the bend, and the logarithm of a mel's factor above it."""


def mel_to_hz(mel: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Slaney's mel scale: 200/3 Hz a mel up to 1 kHz (15 mel), from there on 27 mels for a factor of 6.4."""
    hertz = np.asarray(mel, dtype=np.float64) * LINEAR_HZ
    bend = mel >= BEND_HZ / LINEAR_HZ
    hertz[bend] = BEND_HZ * np.exp(LOG_STEP * (mel[bend] - BEND_HZ / LINEAR_HZ))
    return hertz


def hz_to_mel(hertz: float) -> float:
    """The inverse of `mel_to_hz`."""
    if hertz < BEND_HZ:
        return hertz / LINEAR_HZ
    return float(BEND_HZ / LINEAR_HZ + np.log(hertz / BEND_HZ) / LOG_STEP)


@lru_cache(maxsize=4)
def mel_filters(config: SpectrogramConfig) -> Tensor:
    """Triangular filters of equal area, evenly spaced on Slaney's mel scale, [M, n_fft / 2 + 1] (Auditory Toolbox, 1998).

    Bit for bit those of librosa (`filters.mel`), with which the first models and caches were made.
    """
    bins = np.fft.rfftfreq(config.n_fft, 1.0 / config.sample_rate)
    ends = hz_to_mel(config.f_min_hz), hz_to_mel(config.f_max_hz)
    edges = mel_to_hz(np.linspace(*ends, config.n_mels + 2))
    distance = edges[:, None] - bins
    rising = -distance[:-2] / np.diff(edges)[:-1, None]
    falling = distance[2:] / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    area = 2.0 / (edges[2:] - edges[:-2])
    return torch.from_numpy((triangles * area[:, None]).astype(np.float32))


def log_mel(waveform: Tensor, config: SpectrogramConfig) -> Tensor:
    """[..., N] samples -> [..., M, T] dB, T = ceil(N / hop).

    20 log10 of the mel-filtered STFT magnitude (periodic Hann window, not normalised), floored at `floor_db`.
    Frame t is centred on sample t * hop; samples outside the sound are zero.
    """
    frames = config.frames(waveform.shape[-1])
    half = config.n_fft // 2
    padding = frames * config.hop_length - waveform.shape[-1] + half
    return log_mel_unpadded(torch.nn.functional.pad(waveform, (half, padding)), config)[..., :frames]


def log_mel_blocks(samples: npt.NDArray[np.floating], config: SpectrogramConfig) -> Iterator[Tensor]:
    """The log-mel of a whole sound in blocks of [M, <= BLOCK_FRAMES], equal to `log_mel` of all of it.

    `samples` [N] may be memory-mapped: only a block at a time is read.
    """
    total, hop, half = config.frames(len(samples)), config.hop_length, config.n_fft // 2
    for first in range(0, total, BLOCK_FRAMES):
        frames = min(BLOCK_FRAMES, total - first)
        start, stop = first * hop - half, (first + frames - 1) * hop + half
        inside = np.asarray(samples[max(start, 0) : min(stop, len(samples))], dtype=np.float32)
        block = np.pad(inside, (max(-start, 0), max(stop - len(samples), 0)))
        yield log_mel_unpadded(torch.from_numpy(block), config)


def log_mel_of(samples: npt.NDArray[np.floating], config: SpectrogramConfig) -> Tensor:
    """[N] samples -> [M, T] dB, made block by block; no frames of no samples."""
    blocks = list(log_mel_blocks(samples, config))
    return torch.cat(blocks, dim=1) if blocks else torch.zeros(config.n_mels, 0)


def log_mel_unpadded(padded: Tensor, config: SpectrogramConfig) -> Tensor:
    """[..., (T - 1) * hop + n_fft] samples -> [..., M, T] dB: as `log_mel`, of samples that bring their own margins."""
    window = torch.hann_window(config.n_fft, device=padded.device)
    spectrum = torch.stft(
        padded.reshape(-1, padded.shape[-1]),
        config.n_fft,
        config.hop_length,
        window=window,
        center=False,
        return_complex=True,
    )
    # Not `abs`: its guard against overflow costs three times as much on a processor, and samples are far from that.
    magnitude = (spectrum.real.square() + spectrum.imag.square()).sqrt()
    mel = mel_filters(config).to(padded.device) @ magnitude
    decibels = 20.0 * mel.clamp_min(10.0 ** (config.floor_db / 20.0)).log10()
    return decibels.reshape(*padded.shape[:-1], *decibels.shape[-2:])
