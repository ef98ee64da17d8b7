"""How loud sounds are made: exactly, without a peak that is too high, and silence stays silent."""

import numpy as np
import pytest
import torch

from distill.audio.loudness import HIGHEST_DB, as_loud, limited, normalised, peak_db, rms_db
from distill.audio.master import PEAK


def clicks(count: int = 5) -> torch.Tensor:
    """[N], a soft tone with clicks 20 dB over it, the highest at 1."""
    time = torch.arange(24_000) / 48_000
    sound = 0.1 * torch.sin(2 * np.pi * 200 * time)
    sound[torch.arange(count) * 4_000 + 2_000] = torch.linspace(0.5, 1.0, count)
    return sound


@pytest.mark.parametrize("loudness", [-50.0, -20.0, -15.0])
def test_it_is_as_loud_as_wanted(loudness: float) -> None:
    """Guards against whole sounds turned down for one peak: a kick came back 7 dB too soft."""
    made = as_loud(clicks(), loudness)
    assert rms_db(made) == pytest.approx(loudness, abs=0.2)
    assert peak_db(made) <= HIGHEST_DB + 1e-4


def test_a_limiter_that_would_take_too_much_leaves_the_sound_softer() -> None:
    made = as_loud(clicks(), -10.0, most_db=3.0)
    assert peak_db(made) <= HIGHEST_DB + 1e-4
    assert rms_db(made) < -17.0
    assert rms_db(made) > rms_db(normalised(clicks())) + 2.0


def test_nothing_is_over_the_ceiling_and_nothing_far_from_peaks_is_touched() -> None:
    """The oracle is the definition: at most the ceiling everywhere, the very same samples away from peaks."""
    noise = torch.randn(2, 20_000, generator=torch.Generator().manual_seed(0))
    assert float(limited(noise, -6.0).abs().max()) <= 10 ** (-6.0 / 20) + 1e-6
    sound, made = clicks(1), limited(clicks(1), -12.0)
    assert torch.equal(made[3_000:], sound[3_000:])
    assert float(made.abs().max()) == pytest.approx(10 ** (-12.0 / 20), rel=1e-4)


def test_channels_keep_their_balance() -> None:
    """Guards against a picture that moves at every peak: both channels have one gain."""
    pair = torch.stack([clicks(), 0.5 * clicks()])
    made = as_loud(pair, -16.0)
    assert torch.allclose(made[1], 0.5 * made[0], atol=1e-6)
    assert rms_db(made) == pytest.approx(-16.0, abs=0.2)


def test_silence_stays_silent_and_the_loudest_is_full_scale() -> None:
    silence = torch.zeros(1_000)
    assert torch.equal(as_loud(silence, -10.0), silence)
    assert torch.equal(normalised(silence), silence)
    assert float(normalised(0.01 * clicks()).abs().max()) == pytest.approx(PEAK, rel=1e-5)
    assert bool(as_loud(clicks(), 1e30).isfinite().all())


def test_a_limited_sound_is_brought_as_near_as_it_goes() -> None:
    """Guards against one approach alone: noise that a limiter made 0.4 dB softer stayed so."""
    noise = 0.1 * torch.randn(24_000, generator=torch.Generator().manual_seed(0))
    assert rms_db(as_loud(noise, -10.0)) == pytest.approx(-10.0, abs=0.02)
