"""From log-mel back to a waveform. One interface, `Synthesiser`; Griffin-Lim is the baseline behind it."""

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from distill.audio.mel import mel_filters
from distill.config import SpectrogramConfig

BLOCK_FRAMES = 2048
"""Frames synthesised at a time (22 s), so that memory does not grow with the length of the sound."""
OVERLAP_FRAMES = 24
"""Frames that a block shares with the one before it, whose samples it takes over and continues."""
ITERATIONS = 32
MOMENTUM = 0.99
PEAK = 0.98
"""Highest sample that leaves the program; louder sounds are turned down as a whole."""
FADE_IN_SECONDS = 0.001
FADE_OUT_SECONDS = 0.005


class Synthesiser(Protocol):
    """Log-mel in, waveform out."""

    def __call__(self, mel: Tensor, generator: torch.Generator) -> Tensor:
        """Log-mel [M, T] in dB -> samples [T * hop]; everything random comes from `generator`."""


@lru_cache(maxsize=4)
def _inverse_filters(config: SpectrogramConfig) -> Tensor:
    inverse: Tensor = torch.linalg.pinv(mel_filters(config).double())
    return inverse.float()


def mel_to_magnitude(mel: Tensor, config: SpectrogramConfig) -> Tensor:
    """Log-mel [M, T] in dB -> STFT magnitude [n_fft / 2 + 1, T] by the filters' pseudo-inverse, floor left out."""
    floor = 10.0 ** (config.floor_db / 20.0)
    amplitude = (10.0 ** (mel / 20.0) - floor).clamp_min(0.0)
    magnitude: Tensor = _inverse_filters(config).to(mel.device) @ amplitude
    return magnitude.clamp_min(0.0)


class GriffinLim:
    """Phase by alternating projections, accelerated (Perraudin, Balazs & Soendergaard, 2013)."""

    def __init__(self, config: SpectrogramConfig, iterations: int = ITERATIONS) -> None:
        self.config = config
        self.iterations = iterations
        _inverse_filters(config)  # takes a second, which belongs to loading and not to the first sound

    @torch.no_grad()
    def __call__(self, mel: Tensor, generator: torch.Generator) -> Tensor:
        """Log-mel [M, T] in dB -> samples [T * hop]."""
        total, hop = mel.shape[-1], self.config.hop_length
        out = mel.new_zeros(total * hop)
        for first in range(0, total, BLOCK_FRAMES):
            start, stop = max(0, first - OVERLAP_FRAMES), min(total, first + BLOCK_FRAMES)
            magnitude = mel_to_magnitude(mel[:, start:stop], self.config)
            shared = (first - start) * hop
            known = out[start * hop : first * hop].clone()
            block = self._block(magnitude, known, generator)
            fade = torch.linspace(0.0, 1.0, shared, device=mel.device)
            out[start * hop : first * hop] = known + fade * (block[:shared] - known)
            out[first * hop : stop * hop] = block[shared:]
        return out

    def _block(self, magnitude: Tensor, known: Tensor, generator: torch.Generator) -> Tensor:
        """Magnitude [F, T] -> [T * hop], in phase with the samples that are `known` at its beginning."""
        n_fft, hop = self.config.n_fft, self.config.hop_length
        window = torch.hann_window(n_fft, device=magnitude.device)
        length = magnitude.shape[1] * hop
        magnitude = torch.nn.functional.pad(magnitude, (0, 1))  # a last frame, centred on the end
        angle = (torch.rand(magnitude.shape, generator=generator) * (2 * torch.pi)).to(magnitude.device)
        spectrum = torch.polar(magnitude, angle)
        before = torch.zeros_like(torch.view_as_real(spectrum))
        for _ in range(self.iterations):
            samples = torch.istft(spectrum, n_fft, hop, window=window, length=length)
            samples[: len(known)] = known
            rebuilt = torch.stft(samples, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
            now = torch.view_as_real(rebuilt)  # real arithmetic: twice as fast as complex on a processor
            ahead = torch.sub(now, before, alpha=MOMENTUM / (1.0 + MOMENTUM))
            scale = magnitude * ahead.square().sum(-1).clamp_min(1e-32).rsqrt()
            spectrum = torch.view_as_complex(ahead * scale[..., None])
            before = now
        return torch.istft(spectrum, n_fft, hop, window=window, length=length)


def finish(samples: Tensor, sample_rate: int) -> Tensor:
    """Make a sound [N] safe to play: no click at either end, no sample beyond `PEAK`. Silence stays silent."""
    samples = samples.clone()
    fade_in = min(len(samples), round(FADE_IN_SECONDS * sample_rate))
    fade_out = min(len(samples), round(FADE_OUT_SECONDS * sample_rate))
    samples[:fade_in] *= torch.linspace(0.0, 1.0, fade_in, device=samples.device)
    samples[len(samples) - fade_out :] *= torch.linspace(1.0, 0.0, fade_out, device=samples.device)
    peak = float(samples.abs().max()) if len(samples) else 0.0
    return samples * (PEAK / peak) if peak > PEAK else samples
