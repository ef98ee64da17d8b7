"""The neural synthesiser: a small network says which magnitudes a log-mel stands for, Griffin-Lim's kind of steps do the rest.

    log-mel [B, M, T] ─ ConvNeXt blocks at frame rate ─▶ log-magnitudes at three resolutions, [B, F_r, T * r]
    the longest window ─ phase vocoder, a few Griffin-Lim steps ─▶ samples ─ steps of agreement of all three ─▶ samples

What a mel lacks most is magnitude, not phase (docs/decisions/0041-synthesis-network.md), so that is what is learned, as
a correction to the filters' pseudo-inverse. Every layer reaches a few frames, no norm looks along time.
"""

import copy
import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.audio.griffin_lim import Synthesiser, inverse_filters, known_phase
from distill.audio.mel import mel_filters
from distill.audio.phase import griffin_lim, keep, squared, to_samples, to_spectrum, vocoder_phase
from distill.compute.device import multiplies_bfloat16
from distill.models.codec import CENTRE_DB, FLOOR_DB, SCALE_DB
from distill.settings.geometry import SpectrogramConfig
from distill.settings.synthesiser import SynthesiserConfig
from distill.weights import start_from

RESOLUTIONS = 3
"""Windows of n_fft, n_fft / 2 and n_fft / 4 samples, each a quarter of itself apart."""
KERNEL = 7
EXPANSION = 3
SMOOTH_SHARE = 0.1
"""Where the pseudo-inverse is below this share of the band's mean magnitude, that is taken: it has holes down to zero."""
SILENT_MAGNITUDE = 1e-7
SPREAD = 0.75
"""A window of half the length has this power of half the magnitude: between noise (0.5) and a partial (1)."""
PHASE_STEPS = 8
AGREEMENT_STEPS = 2


@lru_cache(maxsize=4)
def band_means(config: SpectrogramConfig) -> Tensor:
    """[n_fft / 2 + 1, M]: mel amplitudes to magnitudes, interpolated between the bands' centres."""
    filters = mel_filters(config).double()
    weight = filters.sum(1).clamp_min(1e-9)
    bins = torch.arange(filters.shape[1], dtype=torch.float64)
    centres = (filters * bins).sum(1) / weight
    above = torch.searchsorted(centres, bins).clamp(1, len(centres) - 1)
    share = ((bins - centres[above - 1]) / (centres[above] - centres[above - 1]).clamp_min(1e-9)).clamp(0.0, 1.0)
    means = torch.zeros(filters.shape[1], filters.shape[0], dtype=torch.float64)
    means.scatter_(1, above[:, None], (share / weight[above])[:, None])
    means.scatter_(1, above[:, None] - 1, ((1.0 - share) / weight[above - 1])[:, None])
    return means.float()


class FrameBlock(nn.Module):
    """ConvNeXt along time (Liu et al., 2022; Siuzdak, 2023): depthwise, norm, a wide pointwise layer and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.gain = nn.Parameter(torch.ones(width))
        self.expand = nn.Linear(width, EXPANSION * width)
        self.reduce = nn.Linear(EXPANSION * width, width)
        with torch.no_grad():
            self.reduce.weight.mul_(0.1)
            self.reduce.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        # [B, T, W] -> the same
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        y = F.rms_norm(y, y.shape[-1:], self.gain.to(y.dtype), eps=1e-6)
        change: Tensor = self.reduce(F.gelu(self.expand(y)))
        return x + change


class SpectrumNetwork(nn.Module):
    """Log-mel to log-magnitudes at all resolutions; the level of the sound comes out as it went in."""

    def __init__(self, config: SynthesiserConfig, spectrogram: SpectrogramConfig) -> None:
        super().__init__()
        if spectrogram.n_fft != 4 * spectrogram.hop_length or spectrogram.hop_length % 2 ** (RESOLUTIONS + 1):
            raise ValueError("the neural synthesiser is built for frames a quarter of a window apart")
        self.config = config
        self.spectrogram = spectrogram
        self.windows = [spectrogram.n_fft // 2**i for i in range(RESOLUTIONS)]
        self.widths = [2**i * (window // 2 + 1) for i, window in enumerate(self.windows)]
        self.reach = 1 + config.blocks * (KERNEL // 2)
        """Frames on either side that a frame depends on."""
        self.input = nn.Linear(3 * spectrogram.n_mels, config.width)
        self.blocks = nn.Sequential(*[FrameBlock(config.width) for _ in range(config.blocks)])
        self.gain = nn.Parameter(torch.ones(config.width))
        self.head = nn.Linear(config.width, sum(self.widths))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.trust = nn.ParameterList(nn.Parameter(torch.zeros(window // 2 + 1)) for window in self.windows)

    def forward(self, mel: Tensor, level: Tensor) -> list[Tensor]:
        """[B, M, T] dB, [B] dB of the sound's loudest cell -> ln of magnitudes [B, window / 2 + 1, T * 2^i]."""
        under = (mel - level[:, None, None]).clamp_min(FLOOR_DB)
        x = ((under - CENTRE_DB) / SCALE_DB).transpose(1, 2).to(self.input.weight.dtype)
        around = F.pad(x, (0, 0, 1, 1), mode="replicate")
        hidden = self.blocks(self.input(torch.cat([around[:, :-2], x, around[:, 2:]], dim=-1)))
        hidden = F.rms_norm(hidden, hidden.shape[-1:], self.gain.to(hidden.dtype), eps=1e-6)
        corrections = self.head(hidden).float().split(self.widths, dim=-1)
        start = self._start(mel)
        found = []
        for i, correction in enumerate(corrections):
            parts = correction.reshape(mel.shape[0], mel.shape[2] * 2**i, -1)
            coarse = start[..., :: 2**i].repeat_interleave(2**i, dim=1) - i * SPREAD * math.log(2.0)
            found.append((coarse + parts).transpose(1, 2))
        return found

    def _start(self, mel: Tensor) -> Tensor:
        """[B, M, T] dB -> ln of magnitudes [B, T, F] without anything learned."""
        amplitude = (10.0 ** (mel / 20.0) - 10.0 ** (self.spectrogram.floor_db / 20.0)).clamp_min(0.0).transpose(1, 2)
        with torch.autocast(mel.device.type, enabled=False):  # large terms cancel each other
            sharp = torch.matmul(amplitude, inverse_filters(self.spectrogram).to(mel.device).T)
            smooth = torch.matmul(amplitude, band_means(self.spectrogram).to(mel.device).T)
        return torch.maximum(sharp, SMOOTH_SHARE * smooth).clamp_min(SILENT_MAGNITUDE).log()

    def agree(self, samples: Tensor, logs: list[Tensor]) -> Tensor:
        """One step towards the magnitudes of all resolutions at once: [B, N] -> [B, N].

        In each resolution the samples' magnitudes go a learned part of the way (per frequency, in the logarithm), and
        the three results are averaged. The samples' own phase is taken as given: no gradient goes through it.
        """
        length = samples.shape[-1]
        total = torch.zeros_like(samples)
        for log, trust, window in zip(logs, self.trust, self.windows, strict=True):
            spectrum = to_spectrum(samples.detach(), window)
            own = squared(spectrum).add_(1e-14).log_().mul_(0.5)
            gain = (torch.sigmoid(trust.float())[:, None] * (_with_end(log) - own)).exp()
            total = total + to_samples(spectrum * gain, window, length)
        return total / len(self.windows)


def shipped_network(spectrogram: SpectrogramConfig) -> SpectrumNetwork | None:
    """The network with the weights that ship with the program; None where they are not made for this spectrogram."""
    if spectrogram != SpectrogramConfig():
        return None
    network = SpectrumNetwork(SynthesiserConfig(), spectrogram)
    return network.eval() if start_from(network, "synthesiser") else None


def _with_end(log: Tensor) -> Tensor:
    """[B, F, T] -> [B, F, T + 1]: the frame that is centred on the end of the sound is silent."""
    return F.pad(log.transpose(1, 2), (0, 0, 0, 1), value=math.log(SILENT_MAGNITUDE)).transpose(1, 2)


def waveform(
    network: SpectrumNetwork,
    logs: list[Tensor],
    generator: torch.Generator,
    phase_steps: int = PHASE_STEPS,
    agreement_steps: int = AGREEMENT_STEPS,
    known: Tensor | None = None,
) -> Tensor:
    """Log-magnitudes of `network` -> samples [B, T * hop].

    Args:
        known: samples [K] at the beginning that are decided already.
    """
    spectrogram = network.spectrogram
    length = logs[0].shape[-1] * spectrogram.hop_length
    magnitude = _with_end(logs[0]).exp()
    phase = vocoder_phase(magnitude, generator, None if known is None else known_phase(known, spectrogram))
    samples = keep(griffin_lim(magnitude, phase, phase_steps, length, known), known)
    for _ in range(agreement_steps):
        samples = keep(network.agree(samples, logs), known)
    return samples


class NeuralSynthesiser(Synthesiser):
    """The network and its steps, as a synthesiser.

    Where bfloat16 is faster the matrices are in it: logarithms of magnitudes move by 0.004 in the mean, which is not heard.
    """

    def __init__(self, network: SpectrumNetwork) -> None:
        self.network = network.eval()
        if multiplies_bfloat16(network.gain.device):
            self.network = copy.deepcopy(self.network)
            for part in (self.network.input, self.network.blocks, self.network.head):
                part.to(torch.bfloat16)
        self.hop, self.reach = network.spectrogram.hop_length, network.reach
        inverse_filters(network.spectrogram)
        band_means(network.spectrogram)

    @torch.no_grad()
    def frames_of(
        self, mel: Tensor, first: int, count: int, known: Tensor, level_db: float, generator: torch.Generator
    ) -> Tensor:
        """As `Synthesiser.frames_of`."""
        device = self.network.gain.device
        found = self.network(mel[None].to(device), torch.tensor([level_db], device=device))
        logs = [log[:, :, first * 2**i : (first + count) * 2**i] for i, log in enumerate(found)]
        return waveform(self.network, logs, generator, known=known.to(device))[0].to(mel.device)
