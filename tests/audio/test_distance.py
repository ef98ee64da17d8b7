"""The two distances against what they must say of known changes."""

import pytest
import torch

from distill.audio.distance import (
    audible_mel_distance,
    fidelity,
    multi_resolution_stft_distance,
    onset_correlation,
    weighed_difference,
)
from distill.settings.geometry import SpectrogramConfig

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


def clicks(*seconds: float) -> torch.Tensor:
    sound = torch.zeros(48_000)
    for second in seconds:
        start = round(second * 48_000)
        sound[start : start + 2400] = noise(3)[:2400] * torch.linspace(1.0, 0.0, 2400)
    return sound


def test_attacks_in_their_places_correlate_and_moved_ones_do_not() -> None:
    """The first attack is at the first sample, where an envelope without a margin would miss it."""
    original = clicks(0.0, 0.3, 0.7)
    assert onset_correlation(original, 0.3 * original, CONFIG) == pytest.approx(1.0, abs=0.01)
    late = onset_correlation(original, clicks(0.15, 0.5, 0.9), CONFIG)
    assert late is not None
    assert late < 0.3
    assert onset_correlation(torch.zeros(48_000), original, CONFIG) is None


def test_the_loudest_cells_weigh_most() -> None:
    """Guards against a codec that is right everywhere but where the sound is: all other cells are heard beside those."""
    original = torch.full((1, 1, 128, 32), -50.0)
    original[..., 60:64, :] = 0.0
    sound = torch.ones(1, 1, 1, 32, dtype=torch.bool)
    cells = weighed_difference(original, original + 1.0, sound)[0, 0]
    assert float(cells[60:64].min()) > 5 * float(cells[:60].max())
    assert float(cells[:60].mean()) == pytest.approx(1.1, abs=0.1)


def test_frames_after_the_end_weigh_nothing() -> None:
    """Neither themselves, nor in the mean amplitude that the others are measured by."""
    original, made = torch.zeros(2, 1, 128, 64), torch.full((2, 1, 128, 64), -3.0)
    original[1, ..., 32:], made[1, ..., 32:] = -30.0, 5.0
    sound = (torch.arange(64) < torch.tensor([[64], [32]]))[:, None, None]
    cells = weighed_difference(original, made, sound)
    assert float(cells[1, ..., 32:].abs().max()) == 0.0
    assert torch.allclose(cells[1, ..., :32], cells[0, ..., :32])


def test_fidelity_is_0_for_silence_and_100_for_the_sound() -> None:
    """Guards against an error of 0.15 dB for a kick that is 7 dB too soft: what is lost of loudness is lost."""
    config = SpectrogramConfig()
    sound = torch.randn(24_000, generator=torch.Generator().manual_seed(0)) * torch.exp(-torch.arange(24_000) / 4_000)
    assert fidelity(sound, sound, config) == pytest.approx(100.0)
    assert fidelity(sound, torch.zeros_like(sound), config) == 0.0
    assert fidelity(torch.zeros_like(sound), torch.zeros_like(sound), config) == 100.0
    softer = [fidelity(sound, sound * 10 ** (-db / 20), config) for db in (1, 3, 7, 10)]
    assert softer == sorted(softer, reverse=True)
    assert softer[2] == pytest.approx(60.0, abs=4.0)
    assert softer[3] == pytest.approx(48.0, abs=4.0)
    assert fidelity(sound, 20 * sound, config) == 0.0
