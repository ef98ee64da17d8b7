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
