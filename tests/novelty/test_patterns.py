"""Rare patterns of codes that a sound has in common with recordings."""

import math

import numpy as np

from distill.novelty.patterns import patterns, shared
from distill.settings.geometry import BANDS


def drawn(seed: int, columns: int, levels: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 40, (columns * BANDS, levels))


def test_patterns_are_those_that_a_plain_loop_finds() -> None:
    """Guards against neighbours of another band, and of the column after the next: the slow way finds the same."""
    codes = drawn(0, 5)
    grid = codes.reshape(5, BANDS, 2).tolist()
    found = set()
    for column in range(5):
        for band in range(BANDS):
            here, second = grid[column][band]
            found |= {(0, band, here, here), (3, band, here, second)}
            if column:
                found.add((1, band, grid[column - 1][band][0], here))
            if band:
                found.add((2, band, grid[column][band - 1][0], here))
    assert patterns(codes) == found
    assert all(kind != 3 for kind, *_ in patterns(codes[:, :1]))


def test_rare_patterns_decide_and_long_recordings_do_not() -> None:
    """Guards against the longest recording that is like everything, and against codes that all recordings have."""
    own = drawn(1, 6)
    everywhere = np.zeros((2 * BANDS, 2), dtype=np.int64)
    known = [np.concatenate([everywhere, drawn(seed, 6)]) for seed in range(2, 6)]
    known.append(np.concatenate([everywhere, drawn(7, 200)]))
    known.append(np.concatenate([everywhere, own[2 * BANDS : 4 * BANDS]]))
    assert shared(known, own).argmax() == len(known) - 1
    assert shared(known, everywhere).max() == 0.0
    once = shared([own, drawn(8, 6)], own)[0]
    rare = [pattern for pattern in patterns(own) if pattern not in patterns(drawn(8, 6))]
    assert math.isclose(once, len(rare) * math.log2(2) / math.sqrt(len(patterns(own))))
