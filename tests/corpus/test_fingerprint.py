"""Near-duplicates are found, different sounds are kept apart, and the split depends on content alone."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from distill.audio.reading import UnusableSound, decode_blocks
from distill.corpus import fingerprint as fingerprints
from distill.corpus.fingerprint import SAME_BELOW_DB, distances_db, fingerprint
from distill.corpus.split import group, held_out
from distill.settings.geometry import SAMPLE_RATE

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"


def hit(seed: int, seconds: float = 1.0) -> np.ndarray:
    """A decaying sound of three partials and noise that differs with the seed."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    partials = sum(
        rng.uniform(0.2, 1) * np.exp(-time * rng.uniform(2, 20)) * np.sin(2 * np.pi * rng.uniform(80, 5000) * time)
        for _ in range(3)
    )
    noise = rng.standard_normal(len(time)) * np.exp(-time * rng.uniform(5, 60)) * rng.uniform(0.05, 0.4)
    return (0.2 * (partials + noise)).astype(np.float32)


def through(samples: np.ndarray, container: str, subtype: str) -> np.ndarray:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1, 1), SAMPLE_RATE, format=container, subtype=subtype)
    buffer.seek(0)
    return soundfile.read(buffer, dtype="float32")[0]


def at_22_khz(samples: np.ndarray) -> np.ndarray:
    return soxr.resample(soxr.resample(samples, SAMPLE_RATE, 22_050), 22_050, SAMPLE_RATE)


COPIES = {
    "quieter": lambda samples: samples * 0.5,
    "delayed": lambda samples: np.concatenate([np.zeros(960, np.float32), samples]),
    "ogg": lambda samples: through(samples, "OGG", "VORBIS"),
    "mp3": lambda samples: through(samples, "MP3", "MPEG_LAYER_III"),
    "22 kHz": at_22_khz,
    "trimmed": lambda samples: samples[: len(samples) * 95 // 100],
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_near_and_different_sounds_are_not(kind: str) -> None:
    """Against a copy on the other side of the split, and against one big group."""
    sounds = [hit(seed) for seed in range(6)]
    prints = [fingerprint(sound) for sound in sounds] + [fingerprint(COPIES[kind](sound)) for sound in sounds]
    near = distances_db(prints) < SAME_BELOW_DB
    assert (near == np.tile(np.eye(6, dtype=bool), (2, 2))).all()


def test_distances_equal_the_plain_formula() -> None:
    """The oracle for the matrix products: one pair at a time, no masks folded into sums."""
    prints = [fingerprint(hit(seed, seconds)) for seed, seconds in [(0, 1.0), (1, 0.9), (2, 0.7), (3, 0.03)]]

    def plain(one: np.ndarray, other: np.ndarray) -> float:
        nearest = np.inf
        for onset in range(len(one)):
            lengths = [fingerprints._edges()[(each[onset, 0, :, 0] >= 0).sum()] for each in (one, other)]
            for lag in range(len(one[onset])) if min(lengths) >= 0.6 * max(lengths) else ():
                for left, right in ((one[onset, lag], other[onset, 0]), (one[onset, 0], other[onset, lag])):
                    left, right = left.astype(np.float64), right.astype(np.float64)
                    cells = (left >= 0) & (right >= 0) & ((left > 0) | (right > 0))
                    nearest = min(nearest, (left - right)[cells].std())
        return nearest

    expected = [[plain(one, other) for other in prints] for one in prints]
    np.testing.assert_allclose(distances_db(prints), expected, atol=0.02)


def test_a_long_sound_has_the_same_fingerprint_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against an onset that is lost or moved at the border of two blocks."""
    sound = np.concatenate([np.zeros(12_345, np.float32), hit(0)])
    whole = fingerprint(sound)
    monkeypatch.setattr(fingerprints, "BLOCK", 1000)
    np.testing.assert_allclose(fingerprint(sound), whole, atol=0.05)


def test_equal_content_joins_files_whatever_their_fingerprints() -> None:
    """Bytes equal, or decoded sound equal (a WAV and its FLAC), and both chained into one group."""
    prints = [fingerprint(hit(seed)) for seed in range(4)]
    assert group([("a", "x"), ("b", "y"), ("c", "y"), ("a", "z")], prints) == [0, 1, 1, 0]


@given(
    st.lists(
        st.tuples(st.text("0123456789abcdef", min_size=8, max_size=8), st.integers(0, 30)),
        min_size=2,
        unique_by=lambda pair: pair[0],
    )
)
def test_split_follows_content_not_order(files: list[tuple[str, int]]) -> None:
    """Against a split that moves with names or order, leaves a side empty, or depends on how groups are numbered."""
    hashes, groups = [value for value, _ in files], [number for _, number in files]
    if len(set(groups)) < 2:
        with pytest.raises(ValueError, match="one group"):
            held_out(hashes, groups)
        return
    val = held_out(hashes, groups)
    assert 1 <= len(val) == max(1, round(0.15 * len(set(groups)))) < len(set(groups))
    turned = held_out(hashes[::-1], [number + 100 for number in groups[::-1]])
    assert turned == {number + 100 for number in val}


def test_one_more_file_moves_few_others() -> None:
    """Against a split that is drawn anew when the corpus grows."""
    hashes = [f"{number:064x}" for number in range(101)]
    before, after = held_out(hashes[:100], range(100)), held_out(hashes, range(101))
    assert len(before ^ after) <= 2


@pytest.mark.corpus
@pytest.mark.skipif(not CORPORA.is_dir(), reason="no recordings beside the checkout")
@pytest.mark.parametrize("name", ["drums", "tabla", "loops", "digits"])
def test_real_recordings_stay_apart_and_their_copies_are_found(name: str) -> None:
    """The threshold's calibration: takes of one digit are different, an OGG copy is the same."""
    sounds = []
    for path in sorted(path for path in (CORPORA / name).iterdir() if path.is_file())[:30]:
        try:
            sounds.append(np.concatenate(list(decode_blocks(path))))
        except UnusableSound:
            continue
    originals = [fingerprint(sound) for sound in sounds]
    copies = [fingerprint(through(np.pad(sound, (960, 0)) * 0.5, "OGG", "VORBIS")) for sound in sounds]
    near = distances_db(originals + copies) < SAME_BELOW_DB
    assert (near[: len(sounds), len(sounds) :] == np.eye(len(sounds), dtype=bool)).all()
    assert (near[: len(sounds), : len(sounds)] == np.eye(len(sounds), dtype=bool)).all()
