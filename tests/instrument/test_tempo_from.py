"""Loops that go with a recording: what is read from it, what stays as it was asked, and where it is asked."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import soundfile
import torch

import distill
from distill.errors import DistillError
from distill.instrument import looping
from distill.instrument.seams import seam_rank
from distill.instrument.tempo import read_tempo, with_tempo
from distill.modelfile.opened import LoadedVQModel
from distill.settings.generation import generation_settings
from distill.settings.geometry import SpectrogramConfig
from distill.ui.generate_fields import OF_TEMPO, loop_values
from tiny import RATE, hit


@pytest.fixture
def beats(tmp_path: Path) -> Path:
    """A loop of two bars of four at 133 beats a minute, at 44.1 kHz: 3.609 s."""
    length = round(8 * 60 / 133 * 44_100)
    sound = np.zeros(length + 44_100, np.float32)
    for number in range(8):
        place = round(number * 60 / 133 * 44_100)
        sound[place : place + 8820] += (1.0 if number % 4 == 0 else 0.6) * hit(number % 2 + 3, 0.3)[:8820]
    path = tmp_path / "a loop.wav"
    soundfile.write(path, 0.5 * sound[:length], 44_100, subtype="PCM_24")
    return path


def test_the_bars_of_a_loop_are_those_of_the_recording(beats: Path) -> None:
    """Guards against a loop that is some samples longer than the one that it is to go with."""
    tempo = read_tempo(beats)
    assert (tempo.beats, tempo.bars, tempo.beats_per_bar, tempo.read_from) == (8, 2, 4, "length")
    chosen, read = with_tempo(generation_settings(loop=True, tempo_from=beats))
    assert read is not None
    assert read.sentence.startswith("a loop.wav: 133 beats a minute by its onsets and length, a loop of 8 beats")
    assert (chosen.bars, chosen.beats, chosen.tempo_from) == (2, 4, None)
    assert chosen.bpm == pytest.approx(133, rel=1e-4)
    assert looping.loop_samples(chosen) == round(soundfile.info(beats).frames * RATE / 44_100)


@pytest.mark.parametrize(
    ("given", "bars", "per_bar"),
    [({"bars": 4}, 4, 4), ({"beats": 2}, 4, 2), ({"beats": 3}, 1, 3), ({"seconds": 9.0}, 2, 4)],
)
def test_what_was_asked_for_stays(beats: Path, given: dict[str, Any], bars: int, per_bar: int) -> None:
    chosen, _ = with_tempo(generation_settings(loop=True, tempo_from=beats, **given))
    assert (chosen.bars, chosen.beats) == (bars, per_bar)


def test_a_name_that_says_another_tempo_goes_first(beats: Path) -> None:
    """A name may say half the tempo that is heard, and is right: whoever gave it knows."""
    named = beats.rename(beats.with_name("dub 66.5bpm.wav"))
    tempo = read_tempo(named)
    assert tempo.bpm == pytest.approx(66.5, rel=1e-4)
    assert (tempo.beats, tempo.read_from) == (4, "name")
    wrong = named.rename(named.with_name("other 90bpm.wav"))
    assert (read_tempo(wrong).bpm, read_tempo(wrong).beats) == (90.0, None)


def test_what_has_no_tempo_says_what_would_work(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", hit(3, 0.8), RATE)
    with pytest.raises(
        DistillError, match=r"^--tempo-from one.wav: no tempo can be heard .* Say it with --bpm, such as"
    ):
        read_tempo(tmp_path / "one.wav")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "--tempo-from .*: it is for loops; add --loop"),
        ({"loop": True, "bpm": 100.0}, "--bpm 100 and --tempo-from .*: choose one of them"),
        ({"loop": True, "fade_in": 1.0}, "a loop keeps its length"),
    ],
)
def test_what_cannot_be_is_one_sentence(beats: Path, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DistillError, match=sentence):
        generation_settings(tempo_from=beats, **given)


def test_from_python_and_on_the_page(beats: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a face that makes other loops."""
    said: list[str] = []
    monkeypatch.setattr(gr, "Info", said.append)
    fields = dict(zip(OF_TEMPO, loop_values(f"{beats}"), strict=True))
    assert (fields["loop"], fields["bars"], fields["beats"]) == ("on", 2, 4)
    assert "133 beats a minute" in said[0]
    model = distill.load(tiny_model, "cpu")
    one = model.loop(tempo_from=beats, seed=1, synthesiser="griffin-lim").samples
    other = model.loop(bpm=float(fields["bpm"]), bars=2, beats=4, seed=1, synthesiser="griffin-lim").samples
    assert np.array_equal(one, other)


def test_a_seam_is_ranked_among_what_changes_within() -> None:
    """Guards against seams that are looked for one frame beside the end."""
    mel = torch.full((128, 100), -60.0)
    mel[:, ::10] = -20.0
    assert seam_rank(mel.roll(5, 1), SpectrogramConfig()) < 0.9
    mel[:, 0] = 0.0
    assert seam_rank(mel, SpectrogramConfig()) > 0.98
    assert seam_rank(mel.roll(3, 1), SpectrogramConfig()) < 0.98


def test_the_smoothest_of_a_few_loops_is_kept(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against the last one drawn being kept, and against loops that depend on what is drawn beside them."""
    drawn: list[torch.Tensor] = []
    rendered: list[torch.Tensor] = []
    loop_of = looping.loop_of

    def kept(loaded: LoadedVQModel, codes: torch.Tensor, *rest: Any) -> looping.DrawnLoop:
        drawn.append(codes)
        return loop_of(loaded, codes, *rest)

    def silence(_loaded: LoadedVQModel, loop: looping.DrawnLoop, *_: Any) -> Any:
        rendered.append(loop.codes)
        return np.zeros((1, 48_000), np.float32)

    monkeypatch.setattr(looping, "loop_of", kept)
    monkeypatch.setattr(looping, "seam_rank", lambda *_: (0.99, 0.97, 0.95)[len(drawn) % 3])
    monkeypatch.setattr("distill.instrument.verbs.render_loop", silence)
    model = distill.load(tiny_model, "cpu")
    model.loop(bpm=240, seed=1, synthesiser="griffin-lim")
    assert len(drawn) == looping.SEAM_TRIES
    assert torch.equal(rendered[0], drawn[1])
    monkeypatch.undo()
    every = model.loop(bpm=240, seed=1, count=3, synthesiser="griffin-lim").samples
    alone = model.loop(bpm=240, seed=3, synthesiser="griffin-lim").samples
    np.testing.assert_allclose(every[2], alone[0], atol=1e-6)
