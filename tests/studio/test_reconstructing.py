"""Sounds through the codec: what is said on the way, and what is written."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from distill import studio
from distill.events import Event, Progress, ReconstructionCompleteEvent
from distill.models import grain
from tiny import RATE, hit


def error_of(events: list[Event]) -> float:
    done = events[-1]
    assert isinstance(done, ReconstructionCompleteEvent)
    error = done.sounds[0].mel_l1_db
    assert error is not None
    return error


def test_minutes_show_progress_within_the_file(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against a program that says nothing until a long recording is done, and against a loss of its end."""
    take = tmp_path / "take.wav"
    soundfile.write(take, np.concatenate([hit(number, 0.5) for number in range(50)]), RATE)  # 25 s
    steps: dict[str, list[tuple[int, int]]] = {}
    for event in studio.reconstruct(str(tiny_model), [take], tmp_path / "out", "cpu", "neural"):
        if isinstance(event, Progress):
            assert event.item == "take.wav"
            steps.setdefault(event.task, []).append((event.done, event.total))
    assert [done for done, _ in steps["making the sound, in seconds"]] == [22, 25]
    assert soundfile.info(tmp_path / "out" / "take.wav").frames == 25 * RATE


def test_the_grain_is_part_of_what_is_written(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a reconstruction from the codes alone."""
    source = tmp_path / "new.wav"
    soundfile.write(source, hit(61, 0.6), RATE)
    whole = error_of(list(studio.reconstruct(str(tiny_model), [source], tmp_path, "cpu", "griffin-lim")))
    monkeypatch.setattr(grain, "coded_grain", lambda mel, _decoded: torch.zeros(mel.shape[1] // 2, 128))
    codes_alone = error_of(list(studio.reconstruct(str(tiny_model), [source], tmp_path, "cpu", "griffin-lim")))
    assert whole < 0.7 * codes_alone


def test_what_comes_back_is_as_loud_and_holds_no_more(tiny_model: Path, tmp_path: Path) -> None:
    """Guards against a kick that came back 7 dB softer, against a hiss above the file's own Nyquist frequency, and
    against a figure that says nothing of either."""
    time = np.arange(8_000) / 8_000
    kick = np.sin(2 * np.pi * 60 * time * (1 + np.exp(-time * 30))) * np.exp(-time * 4)
    source = tmp_path / "kick.wav"
    soundfile.write(source, 0.98 * kick, 8_000)  # as loud as samples from a library are
    done = list(studio.reconstruct(str(tiny_model), [source], tmp_path / "out", "cpu", "neural"))[-1]
    assert isinstance(done, ReconstructionCompleteEvent)
    (sound,) = done.sounds
    assert sound.fidelity is not None
    assert 0.0 <= sound.fidelity < 100.0
    back, rate = soundfile.read(sound.path)
    original, _ = soundfile.read(source)
    assert 10 * np.log10((back**2).mean() / (original**2).mean()) == pytest.approx(0.0, abs=0.5)
    power = np.abs(np.fft.rfft(back * np.hanning(len(back)))) ** 2
    assert power[np.fft.rfftfreq(len(back), 1 / rate) > 4_000].sum() < 1e-6 * power.sum()
