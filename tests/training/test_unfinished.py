"""A run that is put down is taken up as it was, or told why not; what cannot be put down or saved costs no training."""

import errno
import os
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from distill import files, studio
from distill.errors import DistillError
from distill.events import (
    CodecEpochMetrics,
    CodecStepMetrics,
    CodecTrainingCompleteEvent,
    Event,
    PriorEpochMetrics,
    PriorTrainingCompleteEvent,
    Progress,
    TrainingStarted,
    Warned,
)
from distill.modelfile.file import read_card, read_contents, write_model
from distill.modelfile.opened import load_model
from distill.training import unfinished
from distill.training.codec import preview
from distill.training.unfinished import unfinished_path
from tiny import TINY_CODEC, TINY_PRIOR

QUICK = {**TINY_PRIOR, "views": 1}
QUICK_CODEC = {**TINY_CODEC, "epochs": 3}


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)


def prior(**more: Any) -> Any:
    return studio.train_prior_for("kit", device="cpu", **more)


def stopped(overrides: dict[str, Any]) -> TrainingStarted:
    """A prior of `kit` that is stopped after its first epoch -> how it began."""
    running = prior(overrides=overrides, overwrite=True)
    began = None
    for event in running:
        began = event if isinstance(event, TrainingStarted) else began
        if isinstance(event, PriorEpochMetrics):
            break
    running.close()
    assert began is not None
    return began


def test_a_resumed_run_says_what_was_auto_and_what_was_set(library: Path) -> None:
    """Guards against a run that forgets where its settings came from, in what it says and in the file."""
    began = stopped(QUICK)
    assert {began.origin["epochs"], began.origin["dropout"], began.origin["seed"]} == {"set", "auto", "default"}
    again = [event for event in prior(resume=True) if isinstance(event, TrainingStarted)]
    assert [(each.origin, each.settings) for each in again] == [(began.origin, began.settings)]
    assert read_card(library / "kit.distill").settings_origin["prior"] == began.origin


def test_a_resumed_codec_too(sounds: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.distill"
    overrides = {**QUICK_CODEC, "learning_rate": 1e-3}
    del overrides["codebook_size"]
    running = studio.train(sounds, out=out, overrides=overrides, device="cpu")
    while not out.exists():
        next(running)
    next(running)
    running.close()
    before = read_card(out)
    list(studio.train(sounds, out=out, device="cpu", resume=True))
    after = read_card(out)
    assert before.settings_origin["codec"] == after.settings_origin["codec"]
    assert after.settings_origin["codec"]["codebook_size"] == "auto"
    assert after.settings_origin["codec"]["learning_rate"] == "set"
    assert after.metadata.created == before.metadata.created


def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put down on the way, as in the first seconds of a training."""
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 1e9)


def codec(path: Path, sounds: Path, until: tuple[int, int] | None = None, **more: Any) -> list[int]:
    """A codec of five epochs, ended at a step of an epoch if one is given -> the epochs that it validated."""
    overrides = None if more.get("resume") else {**TINY_CODEC, "epochs": 5, "batch_size": 4}
    epochs = []
    running = studio.train(sounds, out=path, overrides=overrides, device="cpu", **more)
    for event in running:
        if isinstance(event, CodecEpochMetrics):
            epochs.append(event.epoch)
        if isinstance(event, CodecStepMetrics) and until is not None and (event.epoch, event.step) >= until:
            if "stop" not in more:
                running.close()
                break
            more["stop"].set()
    return epochs


def score(path: Path) -> float:
    """Of the codec that a file holds."""
    return read_card(path).metadata.val_mel_l1_db


def test_whoever_stops_a_training_loses_the_epoch_under_way_alone(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a run that goes on from where it was put down last, many epochs ago: it is put down when it ends,
    as the last whole epoch left it, not as the steps after that have changed it."""
    seldom(monkeypatch)
    whole, cut = tmp_path / "whole.distill", tmp_path / "cut.distill"
    codec(whole, sounds)
    assert codec(cut, sounds, until=(4, 0)) == [1, 2, 3]  # after the first step of the fourth
    assert codec(cut, sounds, resume=True) == [4, 5]
    first, second = (read_contents(path, mapped=False)["model_state_dict"] for path in (whole, cut))
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())


def test_a_run_that_is_stopped_again_and_again_never_gets_worse(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a codec that is put in the place of a better one, of an epoch that the stop cut short."""
    seldom(monkeypatch)
    path = tmp_path / "m.distill"
    scores = []
    for resume in (False, True, True):
        codec(path, sounds, until=(2, 0), stop=threading.Event(), resume=resume)
        scores.append(score(path))
    assert scores == sorted(scores, reverse=True)


def test_a_run_that_was_killed_does_not_replace_what_it_saved_later(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against the epochs that come again: stopped before the best of them, they are worse than what the file has."""
    path = tmp_path / "m.distill"
    codec(path, sounds, until=(3, 0))
    place = unfinished_path(path, "codec")
    put_down = place.read_bytes()
    codec(path, sounds, until=(5, 0), resume=True)
    before = path.read_bytes()
    place.write_bytes(put_down)  # what a kill leaves that comes before the next time
    seldom(monkeypatch)
    events: list[Event] = []
    stop = threading.Event()
    for event in studio.train(sounds, out=path, device="cpu", resume=True, stop=stop):
        events.append(event)
        if isinstance(event, CodecStepMetrics):
            stop.set()
    assert path.read_bytes() == before
    assert sum(isinstance(event, Warned) and "is better: it stays" in event.message for event in events) == 1
    assert codec(path, sounds, resume=True) == [3, 4, 5]
    assert path.read_bytes() != before


def test_resume_replaces_no_other_model(sounds: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Guards against an imported model that has the name of an unfinished training."""
    out = tmp_path / "m.distill"
    running = studio.train(sounds, out=out, overrides=QUICK_CODEC, device="cpu")
    while not out.exists():
        next(running)
    next(running)
    running.close()
    contents = read_contents(tiny_model, mapped=False)
    write_model(out, {**contents, "metadata": {**contents["metadata"], "created": "2026-01-01T00:00:00+00:00"}})
    theirs = out.read_bytes()
    with pytest.raises(DistillError, match="another model than the one whose training is unfinished"):
        list(studio.train(sounds, out=out, device="cpu", resume=True))
    assert out.read_bytes() == theirs


def a_stranger(path: Path) -> None:
    torch.save({"facts": {}, "state": {}}, path)


def not_a_run(path: Path) -> None:
    path.write_bytes(b"PK nothing")


def rotten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def of_another_shape(path: Path) -> None:
    kept = torch.load(path, weights_only=True)
    kept["state"]["objective"] = {name: t[:1] for name, t in kept["state"]["objective"].items() if t.ndim}
    torch.save(kept, path)


def without_its_optimiser(path: Path) -> None:
    kept = torch.load(path, weights_only=True)
    del kept["state"]["optimizers"]
    torch.save(kept, path)


def of_other_settings(path: Path) -> None:
    kept = torch.load(path, weights_only=True)
    kept["settings"]["a setting to come"] = 1
    torch.save(kept, path)


DAMAGES = [a_stranger, not_a_run, rotten, of_another_shape, without_its_optimiser, of_other_settings]


def test_a_run_that_does_not_fit_is_told(library: Path) -> None:
    """Guards against tracebacks, and against going on with weights that have rotted."""
    stopped(QUICK)
    path = unfinished_path(library / "kit.distill", "prior")
    whole = path.read_bytes()
    for damage in DAMAGES:
        path.write_bytes(whole)
        damage(path)
        with pytest.raises(
            DistillError, match=r"unfinished training in .*prior\.pt is damaged, or .*Leave out --resume"
        ):
            list(prior(resume=True))


class Usage(NamedTuple):
    """What `shutil.disk_usage` says."""

    total: int
    used: int
    free: int


@pytest.mark.parametrize("why", ["no room", "full", "read-only"])
def test_a_run_that_cannot_be_put_down_is_trained_all_the_same(
    library: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Guards against a training that ends because the cache is full; it is said once, not every epoch."""
    real = os.fsync

    def full(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(".prior.pt"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    def read_only(*given: Any, **named: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    if why == "no room":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 1))
    elif why == "full":
        if not Path("/proc/self/fd").exists():
            pytest.skip("no names of open files")
        monkeypatch.setattr(files.os, "fsync", full)
    else:
        monkeypatch.setattr(shutil, "disk_usage", read_only)
    events = list(prior(overrides=QUICK, overwrite=True))
    notes = [event.message for event in events if isinstance(event, Warned) and "--resume" in event.message]
    assert len(notes) == 1
    assert ("permission" if why == "read-only" else "no space") in notes[0]
    assert isinstance(events[-1], PriorTrainingCompleteEvent)
    assert not unfinished_path(library / "kit.distill", "prior").exists()


def test_previews_that_cannot_be_written_cost_no_training(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a training that ends at its first preview because the cache is full; it is said once."""

    def full(*given: Any, **named: Any) -> None:
        raise DistillError("Cannot write it: there is no space left for it.")

    monkeypatch.setattr(preview, "write_audio", full)
    overrides = {**QUICK_CODEC, "preview_every": 1}
    events = list(studio.train(sounds, out=tmp_path / "m.distill", overrides=overrides, device="cpu"))
    assert sum(isinstance(event, Warned) and "no previews" in event.message for event in events) == 1
    assert isinstance(events[-1], CodecTrainingCompleteEvent)


def test_a_full_disk_loses_neither_the_model_nor_the_training(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a training that ends at its first best epoch; with room again, --resume saves what it had."""
    before = (library / "kit.distill").read_bytes()
    real, full = os.fsync, [True]

    def fsync(descriptor: int) -> None:
        if full[0] and "kit.distill" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("no names of open files")
    monkeypatch.setattr(files.os, "fsync", fsync)
    events: list[Event] = []
    with pytest.raises(DistillError, match=r"no space left .*--resume then saves it"):
        for event in prior(overrides=QUICK, overwrite=True):
            events.append(event)
    assert sum(isinstance(event, PriorEpochMetrics) for event in events) == QUICK["epochs"]
    assert sum(isinstance(event, Warned) and "not saved yet" in event.message for event in events) == 1
    assert (library / "kit.distill").read_bytes() == before
    full[0] = False
    done = list(prior(resume=True))[-1]
    assert isinstance(done, PriorTrainingCompleteEvent)
    metadata = load_model(library / "kit.distill").card.prior_metadata
    assert metadata is not None
    assert metadata.best_perplexity == done.best_perplexity
    assert sorted(path.name for path in library.iterdir()) == ["kit.distill"]


def test_a_folder_that_cannot_be_written_is_known_before_a_sound_is_read(
    library: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against an epoch, or hours, before a read-only library is found out."""
    real = os.open

    def refuse(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT and Path(str(path)).parent == library:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    for training in (
        studio.train(sounds, "mine", overrides=TINY_CODEC, device="cpu"),
        prior(overrides=QUICK, overwrite=True),
        studio.train_synth_for("kit", device="cpu"),
    ):
        with pytest.raises(DistillError, match="there is no permission"):
            first = next(training)
            assert not isinstance(first, Progress)
    assert studio.info("kit")[1].has_prior  # reading needs no permission
