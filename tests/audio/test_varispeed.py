"""Sound at another speed: what is read between samples is what is there, and nothing is folded back."""

import numpy as np
import pytest

from distill.audio.varispeed import varispeed
from tiny import RATE

COUNT = RATE // 2


def sine(hz: float, places: np.ndarray) -> np.ndarray:
    return np.sin(2.0 * np.pi * hz * places / RATE)


def level_db(sound: np.ndarray) -> float:
    """Of its middle, over a sine at full scale."""
    return float(10.0 * np.log10(2.0 * np.square(sound[2000:-2000].astype(np.float64)).mean() + 1e-15))


@pytest.mark.parametrize(("hz", "speed"), [(1000.0, 1.0), (19_000.0, 0.9), (9_000.0, 2.0), (16_000.0, 0.5)])
def test_between_samples_is_what_is_there(hz: float, speed: float) -> None:
    """Guards against places that are rounded or a sample late, and against a kernel that is louder where it is wider."""
    places = 0.3 + speed * np.arange(round(COUNT / max(speed, 1.0)) - 100)
    made = varispeed(sine(hz, np.arange(COUNT)).astype(np.float32), places)
    assert level_db(made - sine(hz, places)) < -80.0


def test_a_speed_that_changes_is_followed_at_every_sample() -> None:
    """Guards against speeds that are those of a block."""
    speeds = 2.0 ** (0.8 * np.sin(np.arange(9 * COUNT // 10) / 3000.0))
    places = np.cumsum(speeds)
    made = varispeed(sine(3000.0, np.arange(int(places[-1]) + 200)).astype(np.float32), places)
    assert level_db(made - sine(3000.0, places)) < -80.0


def test_nothing_is_folded_back() -> None:
    """Guards against a low-pass that stays where it is when a sound is played faster, or that is as low where it is not."""
    for speed, hz in ((2.0, 12_100.0), (2.0, 17_000.0), (1.4, 17_500.0)):
        made = varispeed(sine(hz, np.arange(2 * COUNT)).astype(np.float32), speed * np.arange(COUNT))
        assert level_db(made) < -90.0, (speed, hz)
    places = np.cumsum(np.where(np.arange(COUNT) < COUNT // 2, 0.7, 2.0))
    sound = sine(15_000.0, np.arange(int(places[-1]) + 1)).astype(np.float32)
    made = varispeed(sound, places)
    assert level_db(made[: COUNT // 2]) == pytest.approx(0.0, abs=0.1)
    assert level_db(made[COUNT // 2 :]) < -90.0


def test_silence_is_around_a_sound() -> None:
    """Guards against an index under zero, which is the end of the sound."""
    made = varispeed(np.ones(100, np.float32), np.arange(-300.0, 400.0))
    assert not made[:200].any()
    assert not made[-200:].any()
    assert made[340:360] == pytest.approx(1.0, abs=0.05)
    assert not len(varispeed(np.ones(5, np.float32), np.zeros(0)))
    assert not varispeed(np.zeros(0, np.float32), np.arange(5.0)).any()
