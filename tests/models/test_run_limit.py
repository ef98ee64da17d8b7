"""The guarantee against verbatim runs, against a slow oracle."""

import numpy as np
import numpy.typing as npt
import pytest

from distill.models.run_limit import RunLimit, SoundUnderLimit
from distill.settings.geometry import BANDS
from verbatim import longest_common_run

Codes = npt.NDArray[np.integer]


def a_player_back(limit: RunLimit, recording: Codes, size: int, seed: int) -> Codes:
    """What would be the recording itself, were it let: whatever is forbidden is replaced by another code."""
    rng = np.random.default_rng(seed)
    sound, made = SoundUnderLimit(limit), []
    for wanted in recording.tolist():
        forbidden = sound.forbidden()
        code = rng.choice([code for code in range(size) if code not in forbidden]) if wanted in forbidden else wanted
        sound.feed(int(code))
        made.append(code)
    return np.array(made)


def common_run(made: Codes, recordings: list[Codes]) -> int:
    return longest_common_run(made[:, None], [each[:, None] for each in recordings], 1)


@pytest.mark.parametrize("longest", [8, 13])
def test_no_run_is_longer_than_allowed_and_none_shorter_is_cut(longest: int) -> None:
    """Guards against a hash that forgets a stretch, a run that begins inside a column, and a limit that bites too early."""
    rng = np.random.default_rng(longest)
    recordings = [rng.integers(0, 3, size * BANDS) for size in (5, 1, 7)]
    limit = RunLimit(recordings, longest)
    for number in (0, 2):
        made = a_player_back(limit, recordings[number], 6, number)
        assert common_run(made, recordings) == longest
        assert common_run(recordings[number], recordings) == len(recordings[number])


def test_what_is_forbidden_is_what_the_oracle_forbids() -> None:
    """Guards against codes forbidden that complete nothing: random rows, every code tried."""
    rng = np.random.default_rng(1)
    recordings = [rng.integers(0, 2, 6 * BANDS) for _ in range(3)]
    limit = RunLimit(recordings, 9)
    bit = False
    for row in range(8):
        sound, made = SoundUnderLimit(limit), recordings[row % 3][: 3 * BANDS + row]
        for code in made.tolist():
            sound.feed(code)
        wanted = set()
        for last in range(2):
            whole = np.concatenate([made, [last]])[-10:]
            if common_run(np.concatenate([np.full((len(made) + 1 - 10) % BANDS, 9), whole]), recordings) >= 10:
                wanted.add(last)
        assert sound.forbidden() == wanted
        bit |= bool(wanted)
    assert bit


def test_what_is_given_is_no_run() -> None:
    """Guards against a continuation that may not begin, because what it goes on from is a recording; and against bands
    that are miscounted behind what is given."""
    recording = np.random.default_rng(2).integers(0, 9, 5 * BANDS)
    sound = SoundUnderLimit(RunLimit([recording], BANDS))
    for _ in range(BANDS + 3):
        sound.feed(None)
    for code in recording[BANDS + 3 : 2 * BANDS + 3].tolist():
        assert sound.forbidden() == set()
        sound.feed(code)
    assert sound.forbidden() == {recording[2 * BANDS + 3]}
    sound.pass_over()
    assert sound.forbidden() == set()


def test_silence_is_no_run() -> None:
    """Guards against sounds that may not end, because recordings are silent at their end; the same code in another band is
    not silence."""
    codes = np.concatenate([np.arange(1, 4 * BANDS + 1), np.zeros(6 * BANDS, dtype=int)])
    silent = [{0}] * BANDS
    for quiet, forbidden in (((), {0}), (silent, set()), ([set(), *silent[1:]], {0})):
        sound = SoundUnderLimit(RunLimit([codes], 16, quiet))
        for _ in range(2 * BANDS):
            sound.feed(0)
        assert sound.forbidden() == forbidden
    sound = SoundUnderLimit(RunLimit([codes], 16, silent))
    for code in range(1, 17):
        sound.feed(code)
    assert sound.forbidden() == {17}


def test_less_than_a_column_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="a column"):
        RunLimit([], 3)
