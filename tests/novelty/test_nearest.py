"""Stretches of recordings in short sounds: what is soft or short is found as surely as anything else."""

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.audio.mel import log_mel
from distill.novelty.nearest import Corpus
from distill.novelty.sounds import WIDE_DB, Heard, floored
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig

CONFIG = SpectrogramConfig()
SHORT_SECONDS = 0.1


def click(number: int, seconds: float = SHORT_SECONDS) -> Tensor:
    """A struck sound, unlike for each number: [N]."""
    rng = np.random.default_rng(number)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    made = rng.uniform(0.02, 0.3) * rng.standard_normal(len(time)) * np.exp(-rng.uniform(20, 90) * time)
    for _ in range(3):
        made += (
            rng.uniform(0.3, 1) * np.sin(2 * np.pi * rng.uniform(80, 6000) * time) * np.exp(-rng.uniform(8, 40) * time)
        )
    return torch.from_numpy((0.3 * made).astype(np.float32))


def mel_of(sound: Tensor) -> Tensor:
    return floored(log_mel(sound, CONFIG).T, WIDE_DB)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus([Heard(f"{number}", mel_of(click(number)), number) for number in range(12)], CONFIG)


def unexplained(corpus: Corpus, sound: Tensor) -> tuple[int, float]:
    """The recording that explains a bit of a sound best, and the share that it does not explain."""
    match = corpus.compare([Heard("", mel_of(sound))])[0].matches[0]
    return match.sound, float(np.exp(match.unexplained))


def test_a_short_copy_before_something_new_is_found(corpus: Corpus) -> None:
    """Guards against windows longer than a click, in which what follows it counts."""
    sound, left = unexplained(corpus, torch.cat([click(4), click(77, 0.3)]))
    assert sound == 4
    assert left < 0.01
    assert unexplained(corpus, torch.cat([click(78), click(77, 0.3)]))[1] > 0.05


def test_a_soft_copy_beside_something_loud_is_found(corpus: Corpus) -> None:
    """Guards against a floor under the whole sound that lies over what is soft in it."""
    sound, left = unexplained(corpus, torch.cat([click(77, 0.3), torch.zeros(9_600), 0.01 * click(4)]))
    assert sound == 4
    assert left < 0.02
