"""From log-mel back to a waveform. One interface, `Synthesiser`; Griffin-Lim is the baseline behind it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
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
FIRST_FLOWING_FRAMES, FLOWING_FRAMES = 64, 192
"""Frames that are made at a time while a sound is heard: few at first, so that it begins soon, then half as many again as
there are."""
ITERATIONS = 32


class Synthesiser(ABC):
    """Log-mel in, waveform out."""

    hop: int
    """Samples of a frame."""
    reach = 0
    """Frames on either side that are looked at to make a frame."""

    def __call__(self, mel: Tensor, generator: torch.Generator) -> Tensor:
        """Log-mel [M, T] in dB -> samples [T * hop]; everything random comes from `generator`."""
        making = self.gradually(mel, generator)
        while True:
            try:
                next(making)
            except StopIteration as end:
                samples: Tensor = end.value
                return samples

    @torch.no_grad()
    def gradually(self, mel: Tensor, generator: torch.Generator) -> Generator[int, None, Tensor]:
        """The same for who waits: after every block how many of the T frames are made; at the end the samples."""
        frames = mel.shape[-1]
        if frames == 0:
            return mel.new_zeros(0)
        level_db = float(mel.max())

        def make(start: int, stop: int, known: Tensor) -> Tensor:
            first = max(0, start - self.reach)
            around = mel[:, first : stop + self.reach]
            return self.frames_of(around, start - first, stop - start, known, level_db, generator)

        return (yield from in_blocks(frames, self.hop, make, mel.device))

    @torch.no_grad()
    def flowing(self, mels: Iterator[Tensor], generator: torch.Generator, level_db: float) -> Iterator[Tensor]:
        """Log-mels [M, any] that follow each other -> samples [any] as soon as they can be made, in bounded memory.

        As `gradually`, in shorter blocks. How the mels are cut makes no difference.

        Args:
            level_db: of the loudest cell that there may be.
        """
        made, base, ended = 0, 0, False
        kept, tail = torch.zeros(0), torch.zeros(0)
        while True:
            stop = made + (min(FLOWING_FRAMES, made * 3 // 2) or FIRST_FLOWING_FRAMES)
            while not ended and base + kept.shape[-1] < stop + AHEAD_FRAMES + self.reach:
                more = next(mels, None)
                ended = more is None
                if more is not None:
                    kept = torch.cat([kept, more], dim=1) if kept.ndim == 2 else more
            total = base + kept.shape[-1]
            stop = min(stop, total)
            if stop <= made:
                break
            start, last = max(0, made - OVERLAP_FRAMES), min(total, stop + AHEAD_FRAMES)
            first = max(0, start - self.reach)
            around = kept[:, first - base : last + self.reach - base]
            block = self.frames_of(around, start - first, last - start, tail, level_db, generator)
            joined = torch.cat([_continued(tail, block), block[len(tail) : (stop - start) * self.hop]])
            held = min(OVERLAP_FRAMES, stop) * self.hop
            yield joined[: len(joined) - held]
            tail, made = joined[len(joined) - held :], stop
            forgotten = max(0, made - OVERLAP_FRAMES - self.reach) - base
            kept, base = kept[:, forgotten:].clone(), base + forgotten
        yield tail

    @abstractmethod
    def frames_of(
        self, mel: Tensor, first: int, count: int, known: Tensor, level_db: float, generator: torch.Generator
    ) -> Tensor:
        """Samples [count * hop] of a part of a mel, on its device.

        Args:
            mel: [M, T], with up to `reach` frames around the part.
            first, count: which frames of it are the part.
            known: samples [K] of its beginning that are made already.
            level_db: the loudest cell of the whole sound.
        """


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
        out[start * hop : first * hop] = _continued(known, block)
        out[first * hop : stop * hop] = block[len(known) : (stop - start) * hop]
        yield stop
    return out


def _continued(known: Tensor, block: Tensor) -> Tensor:
    """Samples [K] that go over into a block that begins with them."""
    fade = torch.linspace(0.0, 1.0, len(known), device=known.device)
    return known + fade * (block[: len(known)] - known)


class GriffinLim(Synthesiser):
    """Phase by alternating projections, accelerated; the magnitude is what the mel's pseudo-inverse gives."""

    def __init__(
        self, config: SpectrogramConfig, iterations: int = ITERATIONS, start: Literal["random", "vocoder"] = "random"
    ) -> None:
        self.config = config
        self.hop = config.hop_length
        self.iterations = iterations
        self.start = start
        inverse_filters(config)  # takes a second, which belongs to loading and not to the first sound

    @torch.no_grad()
    def frames_of(
        self,
        mel: Tensor,
        first: int,
        count: int,
        known: Tensor,
        level_db: float,  # noqa: ARG002 - others need it
        generator: torch.Generator,
    ) -> Tensor:
        """As `Synthesiser.frames_of`; the level makes no difference."""
        magnitude = mel_to_magnitude(mel[:, first : first + count], self.config)[None]
        magnitude = torch.nn.functional.pad(magnitude, (0, 1))  # a last frame, centred on the end
        if self.start == "random":
            phase = random_phase(magnitude, generator)
        else:
            phase = vocoder_phase(magnitude, generator, known_phase(known, self.config))
        return griffin_lim(magnitude, phase, self.iterations, count * self.hop, known)[0]


def known_phase(known: Tensor, config: SpectrogramConfig) -> Tensor | None:
    """The phase [1, F, K] of the frames that lie wholly within the `known` samples (or before them); None: no such."""
    frames = len(known) // config.hop_length - 2
    return to_spectrum(known[None], config.n_fft)[:, :, :frames].angle() if frames > 0 else None
