"""Where a long recording is cut: onsets, silences, quiet places."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from distill.corpus import slice as slicing
from distill.corpus.slice import (
    FADE_IN_SECONDS,
    FADE_OUT_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    cut,
    onsets,
    slices,
)
from distill.settings.geometry import SAMPLE_RATE
from distill.synthetic.families import cymbal, faded, membrane, noise_hit, pluck, scaled
from distill.synthetic.variety import sequenced
from tiny import hit

Samples = npt.NDArray[np.float32]


def noise(seconds: float, level_db: float, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    return (10 ** (level_db / 20) * rng.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def with_hits(at_seconds: Sequence[float], seconds: float, hit_seconds: float = 0.3) -> Samples:
    """Different hits at known times over a soft hiss."""
    track = noise(seconds, -70.0)
    for number, at in enumerate(at_seconds):
        start, struck = round(at * SAMPLE_RATE), faded(hit(number % 5, hit_seconds), 0.0, 0.1)
        track[start : start + len(struck)] += 0.5 * struck[: len(track) - start]
    return track


def seconds_of(pieces: list[tuple[int, int]]) -> list[tuple[float, float]]:
    return [(start / SAMPLE_RATE, stop / SAMPLE_RATE) for start, stop in pieces]


def f_measure(found: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> float:
    """Within 50 ms; hits are further apart than 100 ms, so that nearest ones are pairs."""
    pairs = sum(bool(np.abs(found - time).min(initial=np.inf) <= 0.05) for time in truth)
    return 2 * pairs / (len(found) + len(truth))


@pytest.mark.parametrize("bpm", [80, 104, 133])
def test_onsets_of_a_loop_are_found(bpm: int) -> None:
    """The promise: F-measure 0.85 or more at 50 ms, where hits ring into each other and some are soft."""
    rng = np.random.default_rng(bpm)
    kit = [membrane(55.0, 0.6, 0.8, 0.2), noise_hit(0.25, 900.0, 9000.0, rng), cymbal(0.4, 5000.0, 0.5, rng)]
    kit.append(pluck(220.0, 0.9, 0.7, rng))
    velocities = rng.uniform(0.25, 1.0, (4, 16)) * (rng.random((4, 16)) < 0.35)
    velocities[0, 0] = 1.0
    step = 15.0 / bpm
    loop = sequenced([scaled(each) for each in kit], velocities, step, 8.0)
    struck = [n * step for n in range(int(7.9 / step)) if velocities[:, n % 16].any()]
    found = onsets((loop + 0.001 * rng.standard_normal(len(loop))).astype(np.float32)) / SAMPLE_RATE
    assert f_measure(found[found < 7.9], np.array(struck)) >= 0.85


def test_sounds_with_pauses_are_one_piece_each_without_the_silence() -> None:
    """Against pieces that begin after their attack, keep seconds of hiss, or are shorter than can be learned from."""
    struck = [0.5, 1.7, 3.0, 3.9, 6.2, 9.0]
    pieces = seconds_of(slices(with_hits(struck, 12.0)))
    assert len(pieces) == len(struck)
    for at, (start, stop) in zip(struck, pieces, strict=True):
        assert at - 0.03 < start < at
        assert SHORTEST_SECONDS <= stop - start < 0.6


def test_a_short_click_is_a_whole_piece() -> None:
    track = noise(5.0, -80.0)
    for at in (1.0, 2.5, 4.0):
        track[round(at * SAMPLE_RATE)] = 0.9
    lengths = [stop - start for start, stop in seconds_of(slices(track))]
    assert lengths == pytest.approx([SHORTEST_SECONDS] * 3, abs=0.02)


def test_sound_without_pauses_is_cut_at_onsets() -> None:
    """Against cuts in the middle of notes, and sound that is in no piece."""
    struck = np.arange(0.2, 12.0, 0.6)
    pieces = seconds_of(slices(with_hits(struck, 12.4, hit_seconds=1.2)))
    assert len(pieces) == len(struck)
    for at, (start, _), (_, before) in zip(struck[1:], pieces[1:], pieces, strict=False):
        assert start == before
        assert at - 0.012 < start <= at - FADE_IN_SECONDS


def test_quick_notes_stay_together() -> None:
    """Against 10 pieces a second of a drum roll, each a fraction of a crop."""
    lengths = [stop - start for start, stop in seconds_of(slices(with_hits(np.arange(0.2, 8.0, 0.1), 8.4)))]
    assert min(lengths[:-1]) >= 0.5
    assert max(lengths) < 1.5


def test_a_texture_is_cut_where_it_is_quietest() -> None:
    """Against pieces of minutes, and cuts in the loudest part of a swell."""
    period = np.sin(2 * np.pi * np.arange(480) / 480) + 0.3 * np.sin(6 * np.pi * np.arange(480) / 480)
    swell = 0.4 - 0.3 * np.cos(2 * np.pi * np.arange(7 * SAMPLE_RATE) / (7 * SAMPLE_RATE))  # quietest at 0, 7, ... s
    texture = np.tile((np.tile(period, 7 * 100) * swell).astype(np.float32), 14) + noise(98.0, -60.0)
    pieces = seconds_of(slices(texture))
    assert all(SHORTEST_SECONDS <= stop - start <= LONGEST_SECONDS for start, stop in pieces)
    assert [start for start, _ in pieces[1:]] == [stop for _, stop in pieces[:-1]]
    assert [start for start, _ in pieces[1:]] == pytest.approx(range(7, 98, 7), abs=0.5)


def test_noise_has_hardly_any_onsets() -> None:
    """Against a steady rain in a thousand pieces: noise rises by chance all the time."""
    assert len(onsets(noise(60.0, -20.0))) < 10


def test_a_short_texture_gives_enough_pieces_to_hold_some_out() -> None:
    assert len(slices(noise(31.0, -20.0))) >= 10


def test_pieces_are_the_same_whatever_is_read_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against onsets that are lost or doubled where one block of a long recording ends; the oracle is one block."""
    track = with_hits(np.arange(0.3, 9.5, 0.37), 10.0)
    track.astype("<f2").tofile(tmp_path / "audio.f16")
    stored = np.memmap(tmp_path / "audio.f16", dtype="<f2", mode="r", shape=(len(track),))
    whole, places = slices(stored), onsets(stored)
    assert len(places) == 25
    monkeypatch.setattr(slicing, "BLOCK_HOPS", 100)
    assert slices(stored) == whole
    np.testing.assert_array_equal(onsets(stored), places)


@pytest.mark.parametrize("samples", [1, 100, 9000])
def test_tiny_and_silent_sounds_do_no_harm(samples: int) -> None:
    """Against a percentile of nothing, and a window that is longer than the sound."""
    assert slices(np.zeros(samples, np.float32)) in ([], [(0, samples)])
    assert slices(noise(samples / SAMPLE_RATE, -10.0)) in ([], [(0, samples)])
    onsets(noise(samples / SAMPLE_RATE, -10.0))


def test_a_piece_out_of_sound_begins_and_ends_without_a_click() -> None:
    recording = np.ones(SAMPLE_RATE, np.float32)
    piece = cut(recording, (1000, 20_000))
    ramps = round(FADE_IN_SECONDS * SAMPLE_RATE), round(FADE_OUT_SECONDS * SAMPLE_RATE)
    assert (len(piece), piece[0], piece[-1]) == (19_000, 0.0, 0.0)
    assert (piece[ramps[0] : -ramps[1]] == 1.0).all()
    assert (cut(recording, (0, SAMPLE_RATE)) == 1.0).all(), "at its own ends a recording is left as it is"
