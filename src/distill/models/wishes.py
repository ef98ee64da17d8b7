"""Wishes: what is asked of a sound column by column, as the prior reads it.

Traits have scales of their own: loudness in dB over the sound's mean, brightness as log2 of Hz, pitch as a MIDI note, onsets
as how many a column holds. A number becomes a few bumps over its scale, so that near wishes are alike to the prior and none
at all (NaN) adds nothing.
"""

import torch
from torch import Tensor, nn

from distill.audio.traits import TRAITS

LOUDNESS_DB = (-40.0, 10.0, 5.0)
"""Lowest, highest and step; beyond them the nearest counts."""
BRIGHTNESS_LOG2 = (5.0, 14.0, 0.5)
NOTES = (21.0, 108.0, 1.0)
"""Those of a piano."""
ONSETS_ROOT = (0.0, 2.0, 0.25)
"""Of the square root of their number in a column (0.17 s): one is told from two more surely than three from four."""
SCALES = (LOUDNESS_DB, BRIGHTNESS_LOG2, NOTES, ONSETS_ROOT)
TRAIT_FEATURES = sum(round((high - low) / step) + 1 for low, high, step in SCALES)


def trait_features(traits: Tensor) -> Tensor:
    """Traits [..., 4] in the order of `audio.traits.TRAITS` -> [..., TRAIT_FEATURES]."""
    values = list(traits.unbind(-1))
    values[TRAITS.index("onsets")] = values[TRAITS.index("onsets")].clamp_min(0.0).sqrt()
    bumps = [_bumps(value, *scale) for value, scale in zip(values, SCALES, strict=True)]
    wished = ~traits.isnan()  # seen here, since not every runtime lets NaN through what limits a range
    return torch.cat([each.where(wished[..., i, None], 0.0) for i, each in enumerate(bumps)], dim=-1)


def _bumps(values: Tensor, low: float, high: float, step: float) -> Tensor:
    """[...] -> [..., bumps], which sum to about 1."""
    centres = torch.linspace(low, high, round((high - low) / step) + 1, device=values.device)
    distance = (values.clamp(low, high)[..., None] - centres) / step
    return 0.8 * torch.exp(-2.0 * distance.square())


class KindExamples(nn.Module):
    """How recordings of each kind are spread over frequency: what tells whether a sound is of a kind."""

    mean_mels: Tensor
    of_file: Tensor

    def __init__(self, files: int, bands: int) -> None:
        super().__init__()
        self.register_buffer("mean_mels", torch.zeros(files, bands))  # [F, M] dB, the mean power of each band
        self.register_buffer("of_file", torch.zeros(files, dtype=torch.long))  # [F], from 1 on; 0: none
