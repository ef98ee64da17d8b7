"""After how long sounds come round again, of sounds whose period is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from distill.audio.beat import beat_periods

FRAMES_A_SECOND = 93.75


def beats(period: float, count: int, seed: int = 0) -> NDArray[np.float32]:
    """A log-mel [T, 32]: every `period` frames a loud hit in all bands, and one third on a soft one in some."""
    rng = np.random.default_rng(seed)
    mel = rng.normal(-70.0, 1.0, (round(period * count), 32)).astype(np.float32)
    for hit in range(3 * count):
        first = round(hit * period / 3)
        bands = (slice(None), slice(26, None), slice(0, 0))[hit % 3]
        for after in range(min(10, len(mel) - first)):
            mel[first + after, bands] = np.maximum(mel[first + after, bands], -10.0 - 6.0 * after)
    return mel


@pytest.mark.parametrize("period", [75.0, 140.4, 187.5])
def test_the_period_is_found_to_a_tenth_of_a_frame(period: float) -> None:
    """Guards against the period of the soft hits, against twice the period, and against one that drifts over a bar."""
    found, *_ = beat_periods(beats(period, 9), 60, 256)
    assert found == pytest.approx(period, abs=0.15)


def test_a_sound_that_does_not_come_round_has_none() -> None:
    """Guards against periods of noise, of hits at random, of a single hit, and of silence."""
    rng = np.random.default_rng(1)
    noise = rng.normal(-40.0, 3.0, (900, 32)).astype(np.float32)
    anywhere = np.full((900, 32), -70.0, np.float32)
    for first in rng.choice(880, 14, replace=False):
        anywhere[first : first + 5] = -10.0
    single = np.full((900, 32), -70.0, np.float32)
    single[10:20] = -10.0
    for mel in (noise, anywhere, single, np.full((900, 32), -100.0, np.float32)):
        assert beat_periods(mel, 60, 256) == []


def test_a_drone_that_pulses_does_not_come_round() -> None:
    """Guards against a period that holds a model to a drone: its level pulses, while its colour wanders."""
    time = np.arange(900)
    pulse = 3.0 * np.clip(np.sin(2 * np.pi * time / 90), 0.0, None)[:, None]
    colour = 30.0 * np.sin(2 * np.pi * (time[:, None] / 1500 + np.arange(32) / 32))
    assert beat_periods((-40.0 + pulse + colour).astype(np.float32), 60, 256) == []
    assert beat_periods((-40.0 + 10.0 * pulse + np.zeros((1, 32))).astype(np.float32), 60, 256) != []


def test_a_sound_has_to_hold_its_period_twice() -> None:
    """Guards against reading behind the end of a short sound."""
    assert beat_periods(beats(100.0, 1), 60, 256) == []
    assert beat_periods(np.zeros((0, 32), np.float32), 60, 256) == []
    assert beat_periods(np.zeros((3, 32), np.float32), 60, 256) == []
