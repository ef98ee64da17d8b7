"""From log-mel back to a waveform. One interface, `Synthesiser`; Griffin-Lim is the baseline behind it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from distill.audio.mel import mel_filters
from distill.audio.phase import griffin_lim, random_phase, to_spectrum, vocoder_phase
from distill.settings.geometry import SpectrogramConfig

BLOCK_FRAMES = 2048
"""Frames synthesised at a time (22 s), so that memory does not grow with the length of the sound."""
OVERLAP_FRAMES = 24
"""Frames that a block shares with the one before it, whose samples it takes over and continues."""
AHEAD_FRAMES = 4
"""Frames that are made beyond a block's end and thrown away, since a window there lacks what follows."""
ITERATIONS = 32


class Synthesiser(ABC):
    """Log-mel in, waveform out."""

    def __call__(self, mel: Tensor, generator: torch.Generator) -> Tensor:
        """Log-mel [M, T] in dB -> samples [T * hop]; everything random comes from `generator`."""
        making = self.gradually(mel, generator)
        while True:
            try:
                next(making)
            except StopIteration as end:
                samples: Tensor = end.value
                return samples

    @abstractmethod
    def gradually(self, mel: Tensor, generator: torch.Generator) -> Generator[int, None, Tensor]:
        """The same for who waits: after every block how many of the T frames are made; at the end the samples."""


@lru_cache(maxsize=4)
def inverse_filters(config: SpectrogramConfig) -> Tensor:
    """The pseudo-inverse of the mel filters, [n_fft / 2 + 1, M]."""
    inverse: Tensor = torch.linalg.pinv(mel_filters(config).double())
    return inverse.float()


def mel_to_magnitude(mel: Tensor, config: SpectrogramConfig) -> Tensor:
    """Log-mel [M, T] in dB -> STFT magnitude [n_fft / 2 + 1, T] by the filters' pseudo-inverse, floor left out."""
    floor = 10.0 ** (config.floor_db / 20.0)
    amplitude = (10.0 ** (mel / 20.0) - floor).clamp_min(0.0)
    magnitude: Tensor = inverse_filters(config).to(mel.device) @ amplitude
    return magnitude.clamp_min(0.0)


def in_blocks(
    frames: int, hop: int, make: Callable[[int, int, Tensor], Tensor], device: torch.device
) -> Generator[int, None, Tensor]:
    """A long sound in blocks that leave no seam -> samples [frames * hop]; after each, how many frames are made.

    Each block begins inside the one before it and continues its samples; what lies too near to a block's end to be
    whole is made again by the next one.

    Args:
        make: (first frame, frame after the last, samples [K] already made of its beginning) -> samples of these frames.
    """
    out = torch.zeros(frames * hop, device=device)
    for first in range(0, frames, BLOCK_FRAMES):
        start, stop = max(0, first - OVERLAP_FRAMES), min(frames, first + BLOCK_FRAMES)
        known = out[start * hop : first * hop].clone()
        block = make(start, min(frames, stop + AHEAD_FRAMES), known)
        shared = len(known)
        fade = torch.linspace(0.0, 1.0, shared, device=device)
        out[start * hop : first * hop] = known + fade * (block[:shared] - known)
        out[first * hop : stop * hop] = block[shared : (stop - start) * hop]
        yield stop
    return out


class GriffinLim(Synthesiser):
    """Phase by alternating projections, accelerated; the magnitude is what the mel's pseudo-inverse gives."""

    def __init__(
        self, config: SpectrogramConfig, iterations: int = ITERATIONS, start: Literal["random", "vocoder"] = "random"
    ) -> None:
        self.config = config
        self.iterations = iterations
        self.start = start
        inverse_filters(config)  # takes a second, which belongs to loading and not to the first sound

    @torch.no_grad()
    def gradually(self, mel: Tensor, generator: torch.Generator) -> Generator[int, None, Tensor]:
        """Log-mel [M, T] in dB -> samples [T * hop]."""

        def make(start: int, stop: int, known: Tensor) -> Tensor:
            magnitude = mel_to_magnitude(mel[:, start:stop], self.config)[None]
            magnitude = torch.nn.functional.pad(magnitude, (0, 1))  # a last frame, centred on the end
            if self.start == "random":
                phase = random_phase(magnitude, generator)
            else:
                phase = vocoder_phase(magnitude, generator, known_phase(known, self.config))
            length = (stop - start) * self.config.hop_length
            return griffin_lim(magnitude, phase, self.iterations, length, known)[0]

        return (yield from in_blocks(mel.shape[-1], self.config.hop_length, make, mel.device))


def known_phase(known: Tensor, config: SpectrogramConfig) -> Tensor | None:
    """The phase [1, F, K] of the frames that lie wholly within the `known` samples (or before them); None: no such."""
    frames = len(known) // config.hop_length - 2
    return to_spectrum(known[None], config.n_fft)[:, :, :frames].angle() if frames > 0 else None
