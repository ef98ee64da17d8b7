"""`distill make`: the whole way from a folder of recordings to new sounds, which can be stopped anywhere and gone on with."""

import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from distill.errors import DistillError, Stopped
from distill.events import (
    CodecTrainingCompleteEvent,
    Event,
    GenerationCompleteEvent,
    PriorTrainingCompleteEvent,
    Progress,
    SoundWritten,
    StepMetrics,
    TimeEstimated,
    Warned,
)
from distill.library.models import name_of_folder, new_model_path, spoken
from distill.modelfile.card import ModelCard
from distill.modelfile.file import read_card
from distill.places import shell_quoted
from distill.settings.generation import GenerationSettings
from distill.studio.codec_training import train
from distill.studio.generating import generate
from distill.studio.opening import can_resume
from distill.studio.prior_training import train_prior_for
from distill.training.codec.train import CODEC_STAGE
from distill.training.prior.train import PRIOR_STAGE

Effort = Literal["draft", "standard", "thorough"]
EventT = TypeVar("EventT", bound=Event)

PRIOR_SHARE = 0.5
"""Seconds of the prior for one of the codec, until the prior's own steps say it: 0.25 to 0.48 were measured on three
corpora at the settings of default length."""
SECONDS_A_SOUND = 0.5
"""Seconds that one sound of a second takes, until the first is written."""
STEPS_OF_AN_ESTIMATE = 10
"""Steps after which the time that is left is told."""


@dataclass(frozen=True)
class MakingCompleteEvent(Event):
    """Codec, prior and sounds are there."""

    model: str
    sounds: tuple[SoundWritten, ...]
    seed: int
    seconds: float
    """Of this run alone."""

    @property
    def next_steps(self) -> str:
        """What to do now, as commands."""
        folder = Path(self.sounds[0].path).parent
        name = spoken(Path(self.model))
        return "\n".join(
            [
                f"{len(self.sounds)} new sounds are in {folder}; the model is {self.model}.",
                f"More, others each time:  distill generate {name} --count 16 --out {shell_quoted(folder)}",
                f"How good its ear is:     distill evaluate {name}",
                "On a page:               distill ui",
            ]
        )


def make(
    folder: Path,
    name: str | None = None,
    out: Path | None = None,
    settings: GenerationSettings | None = None,
    effort: Effort = "standard",
    device: str = "auto",
    stop: threading.Event | None = None,
    codec_settings: dict[str, Any] | None = None,
    prior_settings: dict[str, Any] | None = None,
) -> Generator[Event, None, None]:
    """Train a codec and a prior on a folder, and write new sounds; what is there already is gone on with.

    Args:
        folder: the recordings.
        name: of the model in the library; None: the folder's.
        out: folder for the sounds; None: `NAME-sounds` in the current folder.
        settings: which sounds; None: 16 of at most a second.
        effort: how long both trainings are.
        stop: set it to end soon and keep what there is; the same call goes on.
        codec_settings, prior_settings: further settings of the trainings.

    Raises:
        Stopped: `stop` was set; the sentence says what is there.
        DistillError: the folder cannot be used, or the name is another folder's model.
    """
    path = new_model_path(name_of_folder(folder) if name is None else name)
    wanted = GenerationSettings(count=16) if settings is None else settings
    target = Path(f"{path.stem}-sounds") if out is None else out
    if target.exists() and not target.is_dir():
        raise DistillError(f"{target} is a file. Choose a folder for the sounds with --out.")
    begun = time.monotonic()
    going = _Course(wanted.count * SECONDS_A_SOUND)
    preset = {} if effort == "standard" else {"preset": effort}
    card = _card_of(path, folder)
    if card is None or can_resume(path, CODEC_STAGE):
        resume = can_resume(path, CODEC_STAGE)
        if resume:
            yield Warned("An unfinished training of the codec is gone on with, as it was begun.")
        chosen = {} if resume else {**preset, **(codec_settings or {})}
        work = train(folder, path.stem, None, chosen, device, resume=resume, stop=stop)
        again = f"distill train {shell_quoted(folder)} --name {shell_quoted(path.stem)} --overwrite"
        with _told(stop, CODEC_STAGE, again if resume else ""):
            codec = yield from _passed(work, CodecTrainingCompleteEvent, going, CODEC_STAGE)
        _end_if_stopped(stop, codec.stopped_early, f"The codec trained so far is kept ({path}).")
        card = read_card(path)
    if not card.has_prior or can_resume(path, PRIOR_STAGE):
        resume = can_resume(path, PRIOR_STAGE)
        if resume:
            yield Warned("An unfinished training of the prior is gone on with, as it was begun.")
        chosen = {} if resume else {**preset, **(prior_settings or {})}
        work = train_prior_for(os.fspath(path), None, chosen, device, resume=resume, stop=stop)
        again = f"distill train-prior {spoken(path)} --overwrite"
        with _told(stop, PRIOR_STAGE, again if resume else ""):
            prior = yield from _passed(work, PriorTrainingCompleteEvent, going, PRIOR_STAGE)
        _end_if_stopped(stop, prior.stopped_early, f"The prior trained so far is kept ({path}).")
    work = generate(os.fspath(path), target, wanted, device, stop)
    made = yield from _passed(work, GenerationCompleteEvent, going, "sounds")
    if len(made.sounds) < wanted.count and made.picked is None:
        raise Stopped(f"Stopped after {len(made.sounds)} of {wanted.count} sounds: model and sounds are kept.")
    yield MakingCompleteEvent(str(path), made.sounds, made.seed, time.monotonic() - begun)


def _card_of(path: Path, folder: Path) -> ModelCard | None:
    """The card of the model that is there; None where there is none.

    Raises:
        DistillError: there is no such folder, or the model was trained on another.
    """
    if not folder.is_dir():
        raise DistillError(f"There is no folder {folder}: give the folder that holds your recordings.")
    if not path.exists():
        return None
    card = read_card(path)
    if Path(card.corpus_manifest.folder).resolve() != folder.resolve():
        raise DistillError(
            f"{path.stem} is a model of another folder ({card.corpus_manifest.folder}). Choose another --name."
        )
    return card


def _end_if_stopped(stop: threading.Event | None, stopped_early: bool, kept: str) -> None:
    if stopped_early or (stop is not None and stop.is_set()):
        raise Stopped(f"Stopped. {kept} The same command goes on from here.")


@contextmanager
def _told(stop: threading.Event | None, stage: str, again: str) -> Iterator[None]:
    """Stage's errors in the words of this command: what a stop leaves, and how a run that nothing can go on with is ended.

    Args:
        again: the command that trains this stage anew, where an unfinished run was to be gone on with.
    """
    try:
        yield
    except Stopped:
        raise
    except DistillError as error:
        if stop is not None and stop.is_set():
            raise Stopped(f"Stopped before the {stage} could be used. The same command goes on.") from error
        if again and "--resume" in str(error):
            sentence = str(error).split(" Leave out --resume")[0]
            raise DistillError(f"{sentence} `{again}` starts it anew; or choose another --name.") from error
        raise


class _Course:
    """How far the whole way is, by the seconds that each part has left."""

    def __init__(self, sounds_seconds: float) -> None:
        self.begun = time.monotonic()
        self.sounds_seconds = sounds_seconds
        self.furthest = 0
        self.told = False
        self.steps = 0

    def events(self, stage: str, event: Event) -> Generator[Event, None, None]:
        """What is shown for a step or a count of one stage: one bar for all of it."""
        if isinstance(event, StepMetrics):
            self.steps += 1
            after = event.seconds_left
            if stage == CODEC_STAGE:
                elapsed = time.monotonic() - self.begun
                after += PRIOR_SHARE * (elapsed + event.seconds_left)
            left = after + self.sounds_seconds
            if self.steps >= STEPS_OF_AN_ESTIMATE and not self.told:
                self.told = True
                yield TimeEstimated(left)
            yield self._at(left, f"{stage}, about {max(1, round(left / 60))} min left")
        elif isinstance(event, SoundWritten):
            yield event
            yield self._at(self.sounds_seconds * (1 - event.done / event.total), f"sound {event.done} of {event.total}")
        elif isinstance(event, Progress):
            yield Progress("making", self.furthest, 100, f"{event.task} {event.done} of {event.total}")
        else:
            yield event

    def _at(self, left: float, item: str) -> Progress:
        elapsed = time.monotonic() - self.begun
        share = elapsed / max(elapsed + left, 1e-9)
        self.furthest = max(self.furthest, min(100, round(100 * share)))
        return Progress("making", self.furthest, 100, item)


def _passed(
    events: Generator[Event, None, None], kind: type[EventT], course: _Course, stage: str
) -> Generator[Event, None, EventT]:
    """Pass events on, steps as those of the whole way, and return the last one of a kind."""
    found: EventT | None = None
    try:
        for event in events:
            if isinstance(event, kind):
                found = event
            yield from course.events(stage, event)
    finally:
        events.close()
    course.steps = 0
    assert found is not None
    return found
