"""The last thing that is done to a sound before it leaves the program."""

import torch
from torch import Tensor

PEAK = 0.98
"""Highest sample that leaves the program; louder sounds are turned down as a whole."""
FADE_IN_SECONDS = 0.001
FADE_OUT_SECONDS = 0.005


def finish(samples: Tensor, sample_rate: int) -> Tensor:
    """Make a sound [..., N] safe to play: no click at either end, no sample beyond `PEAK`. Silence stays silent."""
    samples = samples.clone()
    fade_in = min(samples.shape[-1], round(FADE_IN_SECONDS * sample_rate))
    fade_out = min(samples.shape[-1], round(FADE_OUT_SECONDS * sample_rate))
    samples[..., :fade_in] *= torch.linspace(0.0, 1.0, fade_in, device=samples.device)
    samples[..., samples.shape[-1] - fade_out :] *= torch.linspace(1.0, 0.0, fade_out, device=samples.device)
    return not_clipped(samples)


def not_clipped(samples: Tensor) -> Tensor:
    """Samples [..., N], turned down as a whole where one is beyond `PEAK`."""
    peak = float(samples.abs().max()) if samples.numel() else 0.0
    return samples * (PEAK / peak) if peak > PEAK else samples
