"""The two distances against what they must say of known changes."""

import pytest
import torch

from distill.audio.distance import audible_mel_distance, multi_resolution_stft_distance
from distill.config import SpectrogramConfig

CONFIG = SpectrogramConfig()


def noise(seed: int) -> torch.Tensor:
    return 0.2 * torch.randn(24_000, generator=torch.Generator().manual_seed(seed))


def test_nothing_is_nearer_than_itself() -> None:
    assert multi_resolution_stft_distance(noise(0), noise(0)) == 0.0
    assert audible_mel_distance(noise(0), noise(0), CONFIG) == 0.0


def test_polarity_is_not_heard() -> None:
    assert multi_resolution_stft_distance(noise(0), -noise(0)) == pytest.approx(0.0, abs=1e-6)


def test_a_gain_is_its_decibels() -> None:
    """Half the level: 6.02 dB everywhere, a convergence of a half and ln 2."""
    assert audible_mel_distance(noise(0), noise(0) / 2, CONFIG) == pytest.approx(6.02, abs=0.05)
    expected = 0.5 + float(torch.tensor(2.0).log())
    assert multi_resolution_stft_distance(noise(0), noise(0) / 2) == pytest.approx(expected, abs=0.01)


def test_other_noise_is_far_and_silence_farther() -> None:
    other, silence = noise(1), torch.zeros(24_000)
    assert 0.5 < multi_resolution_stft_distance(noise(0), other) < multi_resolution_stft_distance(noise(0), silence)
    assert audible_mel_distance(noise(0), silence, CONFIG) > 30
