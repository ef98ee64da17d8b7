"""Wishes: what is asked of a sound column by column, as the prior reads it.

Traits are numbers with a scale of their own: loudness and brightness as shares of the corpus's own range (0: as its
quietest columns, 1: as its loudest), pitch as a MIDI note, onsets as how many a column holds. A number becomes a few bumps
over its scale, so that near wishes are alike to the prior and none at all (NaN) adds nothing.
"""

import torch
from torch import Tensor

TRAITS = ("loudness", "brightness", "pitch", "onsets")
SHARE_BUMPS = 9
LOWEST_NOTE, HIGHEST_NOTE = 21, 108
"""The notes of a piano; others are read as the nearest of them."""
TRAIT_FEATURES = 3 * SHARE_BUMPS + HIGHEST_NOTE - LOWEST_NOTE + 1
MOST_ONSETS = 4.0
"""In a column (0.17 s)."""


def trait_features(traits: Tensor) -> Tensor:
    """Traits [..., 4] in the order of `TRAITS` -> [..., TRAIT_FEATURES]."""
    loudness, brightness, pitch, onsets = traits.unbind(-1)
    centres = torch.linspace(0.0, 1.0, SHARE_BUMPS, device=traits.device)
    shares = [loudness, brightness, (onsets / MOST_ONSETS).clamp(0.0, 1.0).sqrt()]
    found = [_bumps(share.clamp(0.0, 1.0), centres, 1.0 / (SHARE_BUMPS - 1)) for share in shares]
    notes = torch.arange(LOWEST_NOTE, HIGHEST_NOTE + 1, device=traits.device).float()
    found.append(_bumps(pitch.clamp(LOWEST_NOTE, HIGHEST_NOTE), notes, 1.0))
    return torch.cat(found, dim=-1)


def _bumps(values: Tensor, centres: Tensor, width: float) -> Tensor:
    """[...] -> [..., centres], which sum to about 1; 0 where a value is NaN."""
    distance = (values[..., None] - centres) / width
    return torch.nan_to_num(torch.exp(-distance.square() * 2.0) * 0.8, nan=0.0)
