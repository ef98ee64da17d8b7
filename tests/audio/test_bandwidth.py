"""What a recording's own sample rate cannot hold is not in what is made from it."""

import numpy as np
import pytest
import torch

from distill.audio.bandwidth import below_nyquist


@pytest.mark.parametrize("rate", [8_000, 22_050, 32_000, 44_100])
def test_nothing_is_left_above_nyquist_and_the_rest_is_as_it_was(rate: int) -> None:
    """Guards against a hiss above recordings that have none, and against a filter that is late or shortens the sound."""
    time = torch.arange(48_000, dtype=torch.float64) / 48_000
    low = torch.sin(2 * np.pi * 0.4 * rate * time)
    high = torch.sin(2 * np.pi * 0.505 * rate * time)
    made = below_nyquist(low + high, rate)
    assert made.shape == low.shape
    inside = slice(4_000, -4_000)
    assert float((made - low)[inside].abs().max()) < 1e-3


def test_a_full_rate_is_left_alone_and_channels_are_alike() -> None:
    noise = torch.randn(2, 5_000, generator=torch.Generator().manual_seed(0))
    assert below_nyquist(noise, 48_000) is noise
    made = below_nyquist(noise, 16_000)
    assert torch.allclose(made[1], below_nyquist(noise[1], 16_000), atol=1e-6)
    assert below_nyquist(noise[:, :0], 8_000).shape == (2, 0)
    assert below_nyquist(noise[0, :7], 8_000).shape == (7,)


def test_a_sound_that_has_nothing_up_there_is_left_alone() -> None:
    """Guards against ringing before the beginning of recordings that need no filter."""
    time = torch.arange(24_000) / 48_000
    low = torch.sin(2 * np.pi * 1_000 * time)
    assert below_nyquist(low, 8_000) is low
    faint = low + 1e-3 * torch.sin(2 * np.pi * 9_000 * time)
    assert float((below_nyquist(faint, 8_000) - low)[4_000:-4_000].abs().max()) < 5e-4
