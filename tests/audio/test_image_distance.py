"""How far one stereo image is from another: sounds whose difference is known."""

import numpy as np
import pytest
import torch

from distill.audio.image_distance import image_errors

NOISE = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 48_000)).astype(np.float32) * 0.1)


def test_levels_and_coherence_are_apart() -> None:
    """Guards against an error of level that is one of coherence, and against either read from the mix."""
    same = NOISE[:1].expand(2, -1)
    assert image_errors(NOISE, NOISE) == (0.0, 0.0)
    level, coherence = image_errors(same, torch.stack([2.0 * same[0], same[1]]))
    assert level == pytest.approx(6.02, abs=0.01)
    assert coherence == pytest.approx(0.0, abs=1e-3)
    level, coherence = image_errors(same, NOISE)
    assert level < 2.5
    assert coherence > 0.6
    assert image_errors(same, -same) == pytest.approx((0.0, 0.0), abs=1e-6)  # as the ear that this stands for


def test_only_what_is_heard_counts() -> None:
    """Guards against silence, or what lies far under the sound, that counts as much as the sound."""
    faint = torch.stack([1e-4 * NOISE[0], 3e-5 * NOISE[1]])
    time = torch.arange(48_000) / 48_000
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * time).expand(2, -1)
    level, coherence = image_errors(tone + faint, tone + faint.flip(0))
    assert level < 0.01
    assert coherence < 0.01
    silence = torch.zeros(2, 4_800)
    assert image_errors(silence, silence) == (0.0, 0.0)
