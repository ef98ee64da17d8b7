"""Phase for a spectrum of which only the magnitude is known: where it starts, and how it is improved.

Transforms are a quarter of their window apart with zeros around the sound, everything is batched: samples [B, N], spectra
[B, n_fft / 2 + 1, T + 1] for N = T * hop (the last frame is centred on the end). In memory the bins of a frame lie side by
side, as the transforms want them; work on spectra that lie the other way round takes several times as long.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MOMENTUM = 0.99
FAR = 10**6
"""Farther than any bin."""
GAUSSIAN = 0.0408
"""The variance of the Gaussian that is most like a Hann window, in squares of that window."""
ENVELOPE = 1.5
"""What the squares of Hann windows that are a quarter of themselves apart sum up to."""


@lru_cache(maxsize=16)
def _window(n_fft: int, device: torch.device) -> Tensor:
    return torch.hann_window(n_fft, device=device)


def to_spectrum(samples: Tensor, n_fft: int) -> Tensor:
    """[B, N] -> complex [B, F, T + 1]; as `torch.stft` with zeros around the sound, to the bit."""
    padded = F.pad(samples, (n_fft // 2, n_fft // 2))
    frames = padded.unfold(1, n_fft, n_fft // 4) * _window(n_fft, samples.device)  # [B, T + 1, n_fft]
    spectrum: Tensor = torch.fft.rfft(frames)
    return spectrum.transpose(1, 2)


def to_samples(spectrum: Tensor, n_fft: int, length: int) -> Tensor:
    """Complex [B, F, T + 1] -> [B, length], length = T * hop.

    As `torch.istft`, in a third of the time: windows a quarter of themselves apart sum up to a constant, but for the first
    and the last hop, which have three windows instead of four.
    """
    hop, window = n_fft // 4, _window(n_fft, spectrum.device)
    frames = torch.fft.irfft(spectrum.transpose(1, 2), n_fft) * (window / ENVELOPE)
    quarters = frames.unflatten(2, (4, hop)).unbind(2)  # each [B, T + 1, hop]
    count = frames.shape[1] - 1
    made: Tensor = quarters[2][:, :count] + quarters[1][:, 1:]
    made[:, 1:] += quarters[3][:, : count - 1]
    made[:, :-1] += quarters[0][:, 2:]
    squared_window = window.square().view(4, hop) / ENVELOPE
    if count == 1:
        return made[:, 0] / (1.0 - squared_window[3] - squared_window[0])
    made[:, 0] /= 1.0 - squared_window[3]
    made[:, -1] /= 1.0 - squared_window[0]
    return made.flatten(1)[:, :length]


def random_phase(magnitude: Tensor, generator: torch.Generator) -> Tensor:
    """Magnitude [B, F, T] -> phase in radians, the same shape."""
    return (torch.rand(magnitude.shape, generator=generator) * (2 * math.pi)).to(magnitude.device)


def vocoder_phase(magnitude: Tensor, generator: torch.Generator, known: Tensor | None = None) -> Tensor:
    """The phase of a peak-locked phase vocoder (Laroche & Dolson, 1999), run on magnitudes alone.

    Every peak of a frame is taken for a partial at the frequency that a parabola through its logarithms gives; it goes
    on from the phase that its bin had a frame before. From a peak to the bins around it, and in the first frame from bin to
    bin, the phase turns as the change of the level over time says (`_across`), so that attacks stay together.

    Args:
        magnitude: [B, F, T], frames a quarter of a window apart.
        known: phase [B, F, K] of the first K frames, where they are decided already.

    Returns:
        Phase in radians, [B, F, T].
    """
    batch, bins, frames = magnitude.shape
    device = magnitude.device
    level = magnitude.transpose(1, 2).clamp_min(1e-9).log()  # [B, T, F]
    outside = level.new_full((batch, frames, 1), -30.0)
    below, above = torch.cat([outside, level[..., :-1]], 2), torch.cat([level[..., 1:], outside], 2)
    peak = (level > below) & (level >= above)
    bend = (below - 2.0 * level + above).clamp_max(-1e-6)
    place = torch.arange(bins, dtype=torch.int32, device=device)  # half as much to go through as with 64 bits
    frequency = place + peak * (0.5 * (below - above) / bend).clamp(-0.5, 0.5)
    under = (peak * (FAR + place)).cummax(2).values - FAR
    over = FAR - (peak * (FAR - place)).flip(2).cummax(2).values.flip(2)
    owner = torch.where(place - under <= over - place, under, over).clamp_(0, bins - 1).long()
    across = _across(level)
    turns = (across + (math.pi / 2 * frequency - across).gather(2, owner)) / (2 * math.pi)
    # Reduced once, so that sums over a block of frames stay small enough for float32.
    further = turns.frac_().mul_(2 * math.pi)
    if known is None:
        known = across[:, 0, :, None] + (torch.rand(batch, 1, 1, generator=generator) * (2 * math.pi)).to(device)
    # Frame after frame in numpy, which takes a fourth of the time for so little at once.
    peaks = (owner + bins * torch.arange(batch, device=device)[:, None, None]).transpose(0, 1).flatten(1).cpu().numpy()
    steps, decided = (each.flatten(1).cpu().numpy() for each in (further.transpose(0, 1), known.permute(2, 0, 1)))
    phase = np.concatenate([decided[:frames], np.empty_like(steps[len(decided) :])])  # [T, B * F]
    for frame in range(len(decided), frames):
        np.add(phase[frame - 1].take(peaks[frame]), steps[frame], out=phase[frame])
    return torch.from_numpy(phase).view(frames, batch, bins).permute(1, 2, 0).to(device)


def _across(level: Tensor) -> Tensor:
    """Natural logarithms of magnitudes [B, T, F] -> radians [B, T, F]: how the phase turns from the lowest bin up.

    Where a cell grows, what is in it lies later than the middle of the window, which turns its phase on from bin to bin: by
    as much as it would with a Gaussian window, of which one says all of the other (Prusa, Balazs & Soendergaard, 2017).
    """
    around = torch.cat([level[:, :1], level, level[:, -1:]], 1)
    growth = around[:, 2:] - around[:, :-2]  # over half a window
    growth[:, 0] *= 2.0  # over a quarter of one
    late = (2.0 * GAUSSIAN * growth).clamp_(-0.5, 0.5)  # in windows, after the middle
    turns = 0.5 + 0.5 * (late + torch.cat([late[..., :1], late[..., :-1]], 2))
    return turns.cumsum(2).frac_().mul_(-2 * math.pi)


def griffin_lim(magnitude: Tensor, phase: Tensor, steps: int, length: int, known: Tensor | None = None) -> Tensor:
    """Accelerated alternating projections (Perraudin, Balazs & Soendergaard, 2013).

    Since a spectrum of samples is linear in them, what is added for the acceleration is added to the samples.

    Args:
        magnitude: [B, F, T + 1], with its first `phase`.
        known: samples [K] at the beginning that are decided already.

    Returns:
        Samples [B, length].
    """
    n_fft = 2 * (magnitude.shape[1] - 1)
    magnitude = magnitude.transpose(1, 2).contiguous().transpose(1, 2)
    spectrum = torch.polar(magnitude, phase.transpose(1, 2).contiguous().transpose(1, 2))
    gain = torch.zeros_like(spectrum)
    before: Tensor | None = None
    for _ in range(steps):
        samples = keep(to_samples(spectrum, n_fft, length), known)
        ahead = samples if before is None else torch.lerp(before, samples, 1.0 + MOMENTUM)
        spectrum, before = to_spectrum(ahead, n_fft), samples
        torch.mul(squared(spectrum).clamp_min_(1e-32).rsqrt_(), magnitude, out=gain.real)
        spectrum.mul_(gain)  # complex by complex: twice as fast as by a real number
    return to_samples(spectrum, n_fft, length)


def squared(spectrum: Tensor) -> Tensor:
    """Squared magnitude of a complex spectrum; quicker than the magnitude or a sum over two."""
    real, imaginary = torch.view_as_real(spectrum).unbind(-1)
    return torch.addcmul(real.square(), imaginary, imaginary)


def keep(samples: Tensor, known: Tensor | None) -> Tensor:
    """[B, N] with the `known` [K] samples put back at the beginning, in place."""
    if known is not None and len(known):
        samples[:, : len(known)] = known
    return samples
