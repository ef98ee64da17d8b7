"""Runs of codes, against a slow oracle."""

import numpy as np
import pytest

from distill.novelty.runs import KnownCodes
from distill.settings.geometry import BANDS
from verbatim import longest_common_run


@pytest.mark.parametrize("levels", [1, 2])
def test_the_longest_run_is_what_trying_everything_finds(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against runs that go on from one recording into the next, and lags that no block looks at."""
    monkeypatch.setattr("distill.novelty.runs.LAGS_AT_ONCE", 5)
    rng = np.random.default_rng(levels)
    for _ in range(20):
        recordings = [rng.integers(0, 2, (size * BANDS, 2)) for size in (3, 1, 4, 2)]
        sound = rng.integers(0, 2, (3 * BANDS, 2))
        taken = recordings[2][9:21]
        sound[1:13] = taken if levels == 2 else sound[1:13]
        run = KnownCodes(recordings, range(4)).longest(sound, np.ones(3, dtype=bool), levels)
        assert run.positions == longest_common_run(sound, recordings, levels)
        stretch = sound[run.position : run.position + run.positions, :levels]
        known = recordings[run.sound][run.known_position : run.known_position + run.positions, :levels]
        assert (stretch == known).all()


def test_what_is_left_out_and_what_is_silent() -> None:
    """Guards against a recording that is its own baseline, and against silence that counts as copied."""
    rng = np.random.default_rng(0)
    recordings = [rng.integers(0, 50, (6 * BANDS, 3)) for _ in range(3)]
    known = KnownCodes(recordings, [7, 8, 9])
    loud = np.ones(6, dtype=bool)
    whole = known.longest(recordings[1], loud, 3)
    assert (whole.positions, whole.sound, whole.covered, whole.aligned) == (6 * BANDS, 1, 1.0, 1.0)
    assert known.longest(recordings[1], loud, 3, group=8).positions < BANDS
    loud[2:] = False
    assert known.longest(recordings[1], loud, 3).positions == 2 * BANDS
    assert known.longest(recordings[1], np.zeros(6, dtype=bool), 3).positions == 0
