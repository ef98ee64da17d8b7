"""The measuring half of `benchmarks/wishes.py`: instruments that obey, and such that do not, are told apart."""

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import signal

from distill.audio.notes import midi_to_hz, parse_pitch
from distill.audio.reading import read_audio
from distill.audio.traits import sound_traits
from distill.corpus.kinds import find_kinds
from tiny import CORPORA, RATE, hit

SOUNDS = 24


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark, as a module."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    return importlib.import_module("wishes")


def low_passed(samples: np.ndarray, hz: float) -> np.ndarray:
    return signal.sosfilt(signal.butter(4, hz, fs=RATE, output="sos"), samples)


def obedient(sound: Callable[[int], np.ndarray]) -> Callable[[Mapping[str, Any], int], np.ndarray]:
    """An instrument that does what is wished with sounds: gain, filter, cut, repeat; each in its own way."""

    def make(wished: Mapping[str, Any], seed: int) -> np.ndarray:
        ((name, wish),) = wished.items()
        made = sound(seed)
        if name == "loudness":
            return made / np.sqrt((made**2).mean()) * 10 ** ((40 * wish - 50) / 20)
        if name == "brightness":
            return low_passed(np.random.default_rng(seed).standard_normal(RATE // 2) * 0.1, 200 * 2 ** (6 * wish))
        if name == "length":
            return np.tile(made, 20)[: round((0.1 + wish) * RATE)]
        assert name == "onsets"
        return np.tile(made[: round(0.25 * RATE)], 1 + round(wish * 10))

    return make


def test_an_instrument_that_obeys_scores_high(wishes: Any) -> None:
    """Guards against a trait that is measured on the wrong sound, or the wrong way round."""
    found = wishes.followed(obedient(hit), SOUNDS)
    assert set(found) == {"loudness", "brightness", "length", "onsets"}
    assert min(found.values()) > 0.95, found


def test_an_instrument_that_is_deaf_scores_nothing(wishes: Any) -> None:
    """Guards against wishes that rise with the seed, as whatever a seed makes may do."""
    found = wishes.followed(lambda wished, seed: hit(seed) * np.float32(1 + seed), SOUNDS)
    assert max(map(abs, found.values())) < 0.45, found
    alike = wishes.followed(lambda wished, seed: hit(1), 8)
    assert set(alike.values()) == {0.0}


def test_what_a_corpus_has_no_range_in_is_not_asked_for(wishes: Any) -> None:
    """Guards against a model that is blamed for notes with one onset each."""
    known = [wishes.measured(hit(number, 0.2 + 0.03 * number)) for number in range(10)]
    assert wishes.varied(known) == ["loudness", "brightness", "length"]
    known[:2] = [wishes.measured(np.tile(hit(number, 0.3), 3)) for number in range(2)]
    assert wishes.varied(known) == ["loudness", "brightness", "length", "onsets"]


@pytest.mark.parametrize(("cents", "right"), [(30, 100.0), (80, 0.0), (1210, 0.0)])
def test_pitch_is_right_within_50_cents(wishes: Any, cents: float, right: float) -> None:
    def sung(wished: Mapping[str, Any], seed: int) -> np.ndarray:
        hz = midi_to_hz(parse_pitch(wished["pitch"]) + cents / 100)
        return 0.3 * np.sin(2 * np.pi * hz * np.arange(RATE // 2) / RATE)

    found = wishes.in_tune(sung, [57.1, 60.0, 62.9, 71.0], 6)
    assert found["pitch_within_50_cents"] == right and found["pitch_heard"] == 100.0
    assert found["pitch_in_any_octave"] == (0.0 if cents == 80 else 100.0)
    mute = wishes.in_tune(lambda wished, seed: np.zeros(9_000), [60.0], 2)
    assert set(mute.values()) == {0.0}


def test_kinds_are_recognised_by_the_nearest_recording(wishes: Any) -> None:
    """Guards against kinds that are compared by number with those of another order."""
    sounds = {
        "low": lambda n: low_passed(hit(n), 300),
        "high": lambda n: np.diff(hit(n), prepend=0.0) + 1e-4 * hit(n + 1),
    }
    names = [f"{kind}/{number}.wav" for number in range(5) for kind in sounds]
    mels = np.stack([wishes.measured(sounds[name.split("/")[0]](int(name[-5]))).mean_mel for name in names])
    kinds = find_kinds(names, mels)
    found = wishes.recognised(lambda wished, seed: 0.1 * sounds[wished["kind"]](seed % 9), kinds, mels, 8)
    assert found == {"kind": 100.0, "kind_of_recordings": 100.0, "kind_by_chance": 50.0}
    wrong = {"low": sounds["high"], "high": sounds["low"]}
    assert wishes.recognised(lambda wished, seed: wrong[wished["kind"]](seed % 9), kinds, mels, 8)["kind"] == 0.0


@pytest.mark.corpus
@pytest.mark.skipif(not CORPORA.is_dir(), reason="no recordings beside the checkout")
def test_changed_recordings_rank_right(wishes: Any) -> None:
    """Guards against measures that hold for made sounds alone."""
    hits = [np.asarray(read_audio(path)[0]) for path in sorted((CORPORA / "tabla").glob("*.flac"))[:8]]
    found = wishes.followed(obedient(lambda seed: hits[seed % len(hits)]), 16)
    assert min(found.values()) > 0.9, found


@pytest.mark.corpus
@pytest.mark.skipif(not CORPORA.is_dir(), reason="no recordings beside the checkout")
def test_recordings_have_the_pitch_that_their_names_say() -> None:
    """Guards against a pitch detector that holds for made sounds alone; octaves are named differently by instrument."""
    off = []
    for path in (CORPORA / "notes").glob("*.flac"):
        if said := re.search(r"_([a-g])(_?)(\d)$", path.stem):
            named = parse_pitch(f"{said[1]}{'#' if said[2] else ''}{said[3]}")
            off.append((sound_traits(read_audio(path)[0]).pitch - named + 6) % 12 - 6)
    assert (np.abs(off) < 0.5).mean() > 0.88 and len(off) == 59
