"""An adversary for the synthesiser: small networks that learn to tell recorded from synthesised magnitudes.

After the multi-resolution discriminators of EnCodec (Défossez et al., 2022) and DAC (Kumar et al., 2023), with one change:
they look at log-magnitudes without phase. The synthesiser learns no phase, so an adversary that sees it would win by
what no gradient can mend.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from distill.audio.distance import MAGNITUDE_FLOOR, RESOLUTIONS

WIDTH = 16
STRIDES = ((4, 1), (2, 2), (2, 2), (2, 1))
"""Frequency, time."""
KERNEL = (9, 3)
SLOPE = 0.2
CENTRE, SCALE = -4.0, 3.0
"""Of the logarithms of magnitudes, roughly."""
FEATURE_WEIGHT = 2.0
"""What the likeness of the layers' outputs counts beside the verdict (as in DAC)."""


class Looked(NamedTuple):
    """What one network says of a sound."""

    verdict: Tensor  # [B, 1, F', T'], high: recorded
    features: list[Tensor]  # [B, C, F_i, T_i] of each layer


class MagnitudeDiscriminator(nn.Module):
    """Strided convolutions over log-magnitudes of one window."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        widths = [1] + len(STRIDES) * [WIDTH]
        pad = (KERNEL[0] // 2, KERNEL[1] // 2)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, KERNEL, stride, pad))
            for before, after, stride in zip(widths, widths[1:], STRIDES, strict=False)
        )
        self.last = weight_norm(nn.Conv2d(WIDTH, 1, 3, padding=1))

    def forward(self, samples: Tensor) -> Looked:
        # [B, N]
        window = torch.hann_window(self.window, device=samples.device)
        spectrum = torch.stft(samples, self.window, self.window // 4, window=window, center=False, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(-1)
        x = (0.5 * power.add(MAGNITUDE_FLOOR**2).log()[:, None] - CENTRE) / SCALE
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x.float())
        return Looked(self.last(x).float(), features)


class Adversary(nn.Module):
    """One discriminator for each resolution that the distance is measured at."""

    def __init__(self) -> None:
        super().__init__()
        self.judges = nn.ModuleList(MagnitudeDiscriminator(window) for window in RESOLUTIONS)

    def forward(self, target: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [B, N], recorded and made -> loss of the one who made them, loss of the adversary (hinge).

        The first has a gradient for `made` alone and the second for the adversary alone, so that one backward pass of
        their sum trains both, each against the other as it is.
        """
        making = learning = target.new_zeros(())
        for judge in self.judges:
            real, fake = judge(target), judge(made.detach())
            learning = learning + F.relu(1.0 - real.verdict).mean() + F.relu(1.0 + fake.verdict).mean()
            fixed = {name: value.detach() for name, value in judge.state_dict(keep_vars=True).items()}
            seen: Looked = functional_call(judge, fixed, (made,))
            likeness = [
                (a - b.detach()).abs().mean() / b.detach().abs().mean().clamp_min(1e-3)
                for a, b in zip(seen.features, real.features, strict=True)
            ]
            making = making - seen.verdict.mean() + FEATURE_WEIGHT * torch.stack(likeness).mean()
        return making / len(self.judges), learning / len(self.judges)
