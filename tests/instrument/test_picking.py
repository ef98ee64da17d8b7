"""A batch worth hearing: which sounds are left out, and why; what is left differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import distill
from distill import studio
from distill.audio.mel import log_mel_of
from distill.audio.mel_statistics import farthest_points, mel_statistics, side_by_side
from distill.audio.reading import read_audio
from distill.errors import DistillError
from distill.events import GenerationCompleteEvent, SoundsPicked
from distill.instrument.picking import Considered, choose, considered, is_clipped, is_cut_off, is_silent
from distill.settings.generation import generation_settings
from distill.settings.geometry import SpectrogramConfig
from distill.settings.knobs import LARGEST_SEED
from distill.studio import picking
from tiny import RATE, exhausted

SPECTROGRAM = SpectrogramConfig()


def heard(seed: int, samples: np.ndarray, log_likelihood: float | None = None, loudest_db: float = 0.0) -> Considered:
    return considered(seed, samples[None], loudest_db, log_likelihood, True, SPECTROGRAM)


def tone(hz: float, seconds: float = 0.4) -> np.ndarray:
    """A tone that dies away."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.8 * np.sin(2 * np.pi * hz * time) * np.exp(-time * 14)).astype(np.float32)


def test_faults_are_heard_and_sound_without_one_is_not_blamed() -> None:
    """Guards against low tones that count as clipped, and a fade that hides a cut."""
    steady = np.sin(2 * np.pi * 41.0 * np.arange(RATE) / RATE)
    assert is_silent(np.zeros((2, 100)))
    assert is_silent(np.zeros((1, 0)))
    assert not is_silent(steady[None] * 0.01)
    assert not is_clipped(steady[None])
    assert is_clipped(np.clip(steady * 1.5, -0.98, 0.98)[None])
    assert is_clipped(np.stack([steady, np.clip(steady * 1.5, -1, 1)]))
    faded = steady.copy()
    faded[-240:] *= np.linspace(1, 0, 240)
    assert is_cut_off(faded)
    assert not is_cut_off(tone(200.0))
    assert heard(0, tone(300.0)).fault == ""
    assert heard(0, tone(300.0), loudest_db=-50.0).fault == "silent"  # what is heard is noise that was turned up
    assert considered(0, faded[None].astype(np.float32), 0.0, None, False, SPECTROGRAM).fault == ""


def test_each_sound_is_left_out_for_the_first_reason_that_holds() -> None:
    """Guards against pairs that drop each other, and likelihoods of silence that hide those of sounds."""
    sounds = [heard(number, tone(250.0 * 1.1**number), -float(number)) for number in range(40)]
    sounds[3] = heard(3, np.zeros(4800, np.float32), 9.0)
    sounds[6] = replace(heard(6, 0.5 * tone(250.0 * 1.1**5)), log_likelihood=-6.0)
    choice = choose(sounds, {9: "kick.wav at 0.00 s", 3: "silence"}, 4, SPECTROGRAM.n_mels)
    why = {each.seed: (each.reason, each.detail) for each in choice.dropped}
    assert why == {
        3: ("silent", ""), 6: ("like another", "seed 5"), 9: ("like a recording", "kick.wav at 0.00 s"),
        39: ("unlikely", ""),
    }  # fmt: skip
    assert choice.good == 36
    assert len(set(choice.picked)) == 4
    alike = [
        replace(sounds[0], seed=number, fingerprint=None, log_likelihood=-abs(number - 20.5)) for number in range(50)
    ]
    odd = choose(alike, {}, 1, SPECTROGRAM.n_mels).dropped
    assert [(each.seed, each.reason) for each in odd] == [(21, "too likely"), (48, "unlikely"), (49, "unlikely")]
    assert choose([heard(1, np.zeros(100, np.float32))], {}, 4, SPECTROGRAM.n_mels).picked == ()


def test_what_is_picked_lies_far_apart() -> None:
    """Guards against the first good sounds, or the loudest, in place of unlike ones."""
    groups = [tone(150.0), tone(3000.0, 0.1), np.random.default_rng(0).standard_normal(9600).astype(np.float32) * 0.1]
    every = [np.float32(gain) * each for each in groups for gain in (1.0, 0.5, 0.25, 0.9)]
    mels = [log_mel_of(each, SPECTROGRAM).T for each in every]
    points = side_by_side(np.stack([mel_statistics(mel) for mel in mels]), SPECTROGRAM.n_mels)
    assert {place // 4 for place in farthest_points(points, 3)} == {0, 1, 2}
    assert farthest_points(points[:2], 5) in ([0, 1], [1, 0])
    assert np.isfinite(mel_statistics(torch.full((5, 128), -100.0))).all()
    assert np.isfinite(mel_statistics(torch.zeros(0, 128))).all()


def test_sounds_that_are_picked_are_those_of_their_seeds(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against sounds that are made anew with other noise, and against copies that are padded with."""
    real = picking.choose

    def copied(sounds: list[Considered], copies: dict[int, str], pick: int, bands: int) -> object:
        return real([replace(each, fault="") for each in sounds], {7: "hit 0.wav at 0.00 s"}, pick, bands)

    monkeypatch.setattr(picking, "choose", copied)
    events = list(studio.generate(str(tiny_model), tmp_path, generation_settings(pick=4, of=5, seed=4, seconds=0.4)))
    done = events[-1]
    assert isinstance(done, GenerationCompleteEvent)
    assert done.picked is not None
    assert len(done.sounds) == done.sounds[0].total <= 4
    assert 7 not in done.picked.seeds
    assert done.picked.of == 5
    assert {each.seed for each in done.picked.dropped} | set(done.picked.seeds) <= {4, 5, 6, 7, 8}
    for sound in done.sounds:
        alone = generation_settings(count=1, seed=sound.seed, seconds=0.4)
        same = list(studio.generate(str(tiny_model), tmp_path / "alone", alone))[-1]
        assert isinstance(same, GenerationCompleteEvent)
        np.testing.assert_array_equal(read_audio(Path(sound.path))[0], read_audio(Path(same.sounds[0].path))[0])


def test_copies_of_recordings_are_found_by_the_copy_test(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against seeds that the report's names are not, and against a model without codes that stops the work."""
    model = distill.load(tiny_model, "cpu")
    seen: list[dict[int, str]] = []
    real = picking.choose

    def noted(sounds: list[Considered], copies: dict[int, str], *rest: int) -> object:
        seen.append(copies)
        return real([replace(each, fault="") for each in sounds], copies, *rest)

    monkeypatch.setattr(picking, "choose", noted)
    monkeypatch.setattr("distill.novelty.verdict.VERBATIM_SECONDS", -1.0)
    monkeypatch.setattr("distill.novelty.verdict.VERBATIM_FACTOR", -1.0)
    with pytest.raises(DistillError, match=r"^Only 0 of 3 sounds are worth hearing, not 2\. Left out: 3 nearer to a"):
        model.pick(2, of=3, seconds=0.3, seed=1)
    assert set(seen[0]) == {1, 2, 3}
    assert all(" at " in each for each in seen[0].values())
    of_a_verb = picking._copies(model._loaded, generation_settings(vary="x.wav", pick=1), [])
    assert exhausted(of_a_verb) == ({}, "each begins with the sound of --vary")


def test_fewer_good_ones_are_said() -> None:
    """Guards against a batch that is filled up in silence."""
    short = SoundsPicked(12, 100, 1, (4,), ())
    assert short.is_short
    assert short.sentence.startswith("Only 1 of 100 sounds is worth hearing, not 12.")
    assert "--of" in short.sentence
    assert not SoundsPicked(1, 2, 2, (1,), ()).is_short


def test_impossible_picks_are_one_sentence() -> None:
    for given, said in [
        ({"pick": 5, "of": 4}, "--pick 5 and --of 4.*--of 5 or more"),
        ({"pick": 2, "replace": ("0.1-0.2", "x.wav")}, "--pick and --replace"),
        ({"pick": 2, "seed": LARGEST_SEED}, "--of 100"),
    ]:
        with pytest.raises(DistillError, match=said):
            generation_settings(**given)
    made = generation_settings(pick=3, of=20, seed=1).seeded()
    assert made.count == 20
    assert made.seeded() == made
    assert made.alone(5).pick is None
    assert made.alone(5).count == 1
