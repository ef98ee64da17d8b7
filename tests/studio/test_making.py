"""One command from a folder to sounds: it goes the whole way, keeps what is there, and goes on."""

import threading
from pathlib import Path
from typing import Any

import pytest

from distill import studio
from distill.errors import DistillError, Stopped
from distill.events import (
    CodecEpochMetrics,
    Event,
    PriorEpochMetrics,
    Progress,
    SoundWritten,
    TimeEstimated,
    TrainingStarted,
)
from distill.library.models import new_model_path
from distill.modelfile.file import read_card
from distill.settings.generation import GenerationSettings
from distill.studio.making import MakingCompleteEvent
from tiny import TINY_CODEC, TINY_PRIOR, write_sounds

ONE = GenerationSettings(count=2, seconds=0.2, seed=3, synthesiser="griffin-lim")


@pytest.fixture
def own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILL_LIBRARY", str(tmp_path / "library"))
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    return write_sounds(tmp_path / "hits")


def making(folder: Path, out: Path, stop: threading.Event | None = None, name: str | None = None) -> Any:
    return studio.make(folder, name, out, ONE, "standard", "cpu", stop, dict(TINY_CODEC), dict(TINY_PRIOR))


def stages_of(events: list[Event]) -> list[str]:
    return [event.stage for event in events if isinstance(event, TrainingStarted)]


def test_stopped_anywhere_it_keeps_what_is_there_and_goes_on(own_library: Path, tmp_path: Path) -> None:
    """Guards against a second run that begins anew, refuses, or makes sounds with half a model."""
    out = tmp_path / "new"
    seen: list[Event] = []
    for kind in (CodecEpochMetrics, PriorEpochMetrics, SoundWritten):
        stop = threading.Event()
        with pytest.raises(Stopped):
            for event in making(own_library, out, stop):
                seen.append(event)
                if isinstance(event, kind):
                    stop.set()
        assert isinstance(seen[-1], Event)
    assert stages_of(seen) == ["codec", "codec", "prior", "prior"]
    assert [event.epoch for event in seen if isinstance(event, CodecEpochMetrics)] == [1, 2, 3, 4]
    assert [event.epoch for event in seen if isinstance(event, PriorEpochMetrics)] == [1, 2, 3]
    assert read_card(new_model_path("hits")).has_prior
    again = list(making(own_library, out))
    assert stages_of(again) == []  # straight to sounds
    done = again[-1]
    assert isinstance(done, MakingCompleteEvent)
    assert len(done.sounds) == 2
    assert len(list(out.iterdir())) == 3  # the one that was written before the stop is still there
    assert "distill generate hits" in done.next_steps


def test_one_bar_for_the_whole_way(own_library: Path, tmp_path: Path) -> None:
    """Guards against a bar for every stage, one that runs backwards, and no word of the minutes."""
    events = list(making(own_library, tmp_path / "new"))
    shown = [event for event in events if isinstance(event, Progress)]
    assert {event.task for event in shown} == {"making"}
    assert [event.done for event in shown] == sorted(event.done for event in shown)
    assert shown[-1].done == 100
    assert sum(isinstance(event, TimeEstimated) for event in events) <= 1


def test_an_unfinished_run_of_other_sounds_is_named_in_the_words_of_this_command(
    own_library: Path, tmp_path: Path
) -> None:
    """Guards against advice about --resume, which this command does not have."""
    stop = threading.Event()
    with pytest.raises(Stopped, match="The same command goes on"):
        for event in making(own_library, tmp_path / "new", stop):
            if isinstance(event, CodecEpochMetrics):
                stop.set()
    other = write_sounds(tmp_path / "other", 6)
    with pytest.raises(DistillError, match=r"distill train .* --overwrite") as refused:
        list(making(other, tmp_path / "new", name="hits"))
    assert "--resume" not in str(refused.value)


def test_a_name_that_is_another_folders_model(own_library: Path, tmp_path: Path) -> None:
    """Guards against sounds of another model under the name that was asked for."""
    other = write_sounds(tmp_path / "other", 6)
    for _ in studio.train(own_library, "hits", overrides={**TINY_CODEC, "epochs": 1}, device="cpu"):
        pass
    with pytest.raises(DistillError, match="another folder"):
        next(making(other, tmp_path / "new", name="hits"))
    with pytest.raises(DistillError, match="no folder"):
        next(making(tmp_path / "gone", tmp_path / "new"))
    with pytest.raises(DistillError, match="is a file"):
        next(making(own_library, own_library / "hit 0.wav"))


def test_a_folder_with_too_little(own_library: Path, tmp_path: Path) -> None:
    """Guards against a training that begins with too few sounds, and against a model left behind by one that did not."""
    few = write_sounds(tmp_path / "few", 2)
    with pytest.raises(DistillError, match="few holds 2 usable sounds, and at least 5 are needed"):
        list(making(few, tmp_path / "new"))
    assert not new_model_path("few").exists()
    assert not (tmp_path / "new").exists()
