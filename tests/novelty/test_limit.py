"""The guarantee against verbatim runs, against a slow oracle."""

import numpy as np
import numpy.typing as npt
import pytest

from distill.novelty.limit import RunLimit
from distill.settings.geometry import BANDS
from verbatim import longest_common_run

Codes = npt.NDArray[np.integer]


def a_player_back(limit: RunLimit, recording: Codes, size: int, seed: int) -> Codes:
    """What would be the recording itself, were it let: whatever is forbidden is replaced by another code."""
    rng = np.random.default_rng(seed)
    made = []
    for wanted in recording:
        codes = wanted.copy()
        forbidden = limit.forbidden(0, codes[: limit.levels - 1].tolist())
        if int(codes[limit.levels - 1]) in forbidden:
            codes[limit.levels - 1] = rng.choice([code for code in range(size) if code not in forbidden])
        limit.feed(0, codes.tolist())
        made.append(codes)
    return np.array(made)


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("longest", [8, 13])
def test_no_run_is_longer_than_allowed_and_none_shorter_is_cut(levels: int, longest: int) -> None:
    """Guards against a hash that forgets a stretch, a run that begins inside a column, and a limit that bites too early."""
    rng = np.random.default_rng(longest)
    recordings = [rng.integers(0, 3, (size * BANDS, 3)) for size in (5, 1, 7)]
    limit = RunLimit(recordings, longest, levels)
    for number in (0, 2):
        limit.forget(0)
        made = a_player_back(limit, recordings[number], 6, number)
        assert longest_common_run(made, recordings, levels) == longest
        assert longest_common_run(recordings[number], recordings, levels) == len(recordings[number])


def test_what_is_forbidden_is_what_the_oracle_forbids() -> None:
    """Guards against codes forbidden that complete nothing: random rows, every code tried."""
    rng = np.random.default_rng(1)
    recordings = [rng.integers(0, 2, (6 * BANDS, 2)) for _ in range(3)]
    limit = RunLimit(recordings, 9, levels=2)
    bit = False
    for row in range(8):
        made = recordings[row % 3][: 3 * BANDS + row].copy()
        for codes in made:
            limit.feed(row, codes.tolist())
        for first in range(2):
            wanted = set()
            for last in range(2):
                whole = np.concatenate([made, [[first, last]]])[-10:]
                shifted = np.concatenate([np.full(((len(made) + 1 - 10) % BANDS, 2), 9), whole])
                if longest_common_run(shifted, recordings, 2) >= 10:
                    wanted.add(last)
            assert limit.forbidden(row, [first]) == wanted
            bit |= bool(wanted)
    assert bit


def test_silence_is_no_run() -> None:
    """Guards against sounds that may not end, because recordings are silent at their end."""
    codes = np.concatenate([np.arange(4 * BANDS).reshape(-1, 1), np.zeros((6 * BANDS, 1), dtype=int)])
    loud = [np.arange(10) < 4]
    strict, lenient = RunLimit([codes], 16), RunLimit([codes], 16, loud=loud)
    for limit in (strict, lenient):
        for _ in range(20):
            limit.feed(0, [0])
    assert strict.forbidden(0) == {0}
    assert lenient.forbidden(0) == set()
    lenient.forget(0)
    for code in range(16):
        lenient.feed(0, [code])
    assert lenient.forbidden(0) == {16}


def test_less_than_a_column_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="a column"):
        RunLimit([], 3)
