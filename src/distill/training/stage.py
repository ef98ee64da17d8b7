"""What the training of every stage has in common: what is said first, how the best epoch gets into the model's file as
it happens, and where an unfinished run is put down."""

import itertools
import math
import shlex
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from lightning_fabric import Fabric
from torch import Tensor

import distill
from distill.corpus.manifest import CorpusManifest
from distill.errors import DistillError
from distill.events import Event, Saved, TrainingStarted, Warned
from distill.files import Stamp, stamp
from distill.modelfile.card import LossPoint
from distill.modelfile.file import card_of, read_card, write_model
from distill.modelfile.locks import Claim, locked, stage_in_training
from distill.modelfile.moved import codec_digest, find_moved, in_trash, models_beside
from distill.modelfile.opened import OpenedModel, open_model
from distill.places import MODEL_SUFFIX
from distill.settings.auto import Resolved
from distill.training.fit import fit
from distill.training.run import Best, Task, Validation
from distill.training.unfinished import Checkpoints, UnfinishedRun


class StageTask(Task, Protocol):
    """A task whose curve is kept in the model."""

    @property
    def history(self) -> Sequence[LossPoint]: ...


@dataclass(frozen=True)
class Trained:
    """A training that has something to keep: finished, stopped, or under way."""

    best: Best
    last: Validation
    epochs: int
    """Epochs that were completed."""
    seconds: float
    items_per_second: float
    stopped_early: bool

    @classmethod
    def so_far(cls, best: Best) -> Self:
        """A run that has just reached its best epoch."""
        return cls(best, best.validation, best.epoch, 0.0, 0.0, False)

    def weights(self, module: str) -> dict[str, Tensor]:
        """The best weights of one module of the objective, under the module's own names."""
        prefix = f"{module}."
        return {name.removeprefix(prefix): t for name, t in self.best.state.items() if name.startswith(prefix)}


Sections = Callable[[Trained], Mapping[str, Any]]
"""What a stage adds to the model's file: keys of format version 2."""


class LossCurve(list[LossPoint]):
    """One point an epoch."""

    def plain(self) -> list[dict[str, Any]]:
        """Plain values, for the model's file and for a run that is put down."""
        return plain_curve(self)

    def restore(self, plain: Sequence[Mapping[str, Any]]) -> None:
        """The inverse of `plain`."""
        self[:] = [LossPoint(**point) for point in plain]


def plain_curve(history: Sequence[LossPoint]) -> list[dict[str, Any]]:
    """A curve as plain values."""
    return [point.model_dump() for point in history]


class ModelInTraining:
    """The file of a model that one stage trains: whatever else becomes of it meanwhile, its best epoch gets into it.

    It is written under its lock, into what it holds then. It is read once, when it is opened, and again only where
    somebody else has written it since. Where it was renamed or deleted it is found again; another model that has its
    name is left alone.
    """

    def __init__(self, claim: Claim, opened: OpenedModel | None) -> None:
        """
        Args:
            opened: the model to train a later stage of; None for one that is only made, in the place of what is there.
        """
        self.path = claim.model
        self.opened = opened
        self.codec_digest = None if opened is None else codec_digest(opened.contents)
        self._claim = claim
        self._held: Mapping[str, Any] = {} if opened is None else opened.contents
        self._seen = stamp(claim.model) if opened is None else opened.seen
        self._is_ours = opened is not None
        self._beside = models_beside(claim.model)
        self._home = claim.model

    def write(self, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> list[Event]:
        """Make the file hold what `change` makes of what it holds -> what is to be said of it.

        Raises:
            DistillError: it cannot be written.
        """
        news: list[Event] = []
        missing = False
        while True:
            with locked(self.path):
                now = stamp(self.path)
                if self._may_write(now, missing):
                    self._held = write_model(self.path, change(self._held))
                    self._seen, self._is_ours = stamp(self.path), True
                    if self.opened is None:
                        self.codec_digest = codec_digest(self._held)
                    return news
            missing = True
            news[:] = [Warned(self._move(taken=now is not None))]

    def as_written(self) -> OpenedModel:
        """What the file holds since it was last written, without reading it again."""
        return OpenedModel(self.path, self._held, card_of(self.path, self._held), self._seen)

    def _may_write(self, now: Stamp | None, missing: bool) -> bool:
        """Whether that place is the model's, or nobody's where it is nowhere else; asked under the lock."""
        if now is None:
            return missing or not self._is_ours
        if now == self._seen:
            return True
        if not self._is_ours:
            return False
        try:
            found = open_model(self.path)
        except DistillError:
            return False
        if codec_digest(found.contents) != self.codec_digest:
            return False
        self._held = found.contents
        return True

    def _move(self, taken: bool) -> str:
        """Go where the model is now, or where it can be saved without harm to another -> what to say of that."""
        was, stage = self.path, self._claim.stage
        found = find_moved(was, self.codec_digest or "", self._seen, self._beside) if self._is_ours else None
        if found is not None and not self._claim.follow(found):
            self._home = found
            self.path = self._home = self._unused(stage)
            return f"{was.stem} is called {found.stem} now, and is trained under that name. This one is saved as {self.path}."
        if found is not None:
            self.path, self._seen = found, None
            if in_trash(found):
                name = shlex.quote(found.stem.split(maxsplit=1)[-1])  # without the time of its deletion
                return (
                    f"{was.stem} was deleted meanwhile. Its {stage} is saved with it, in the trash: "
                    f"`distill library restore {name}` brings both back."
                )
            self._home = found
            return f"{was.stem} is called {found.stem} now. Its {stage} is saved there: {found}."
        if not taken and self._claim.follow(self._home):
            self.path = self._home
            return f"{was} was removed meanwhile. It is written again, with its {stage}: {self.path}."
        self.path = self._home = self._unused(stage)
        return f"{was} is another model meanwhile, and stays as it is. This one is saved as {self.path}."

    def _unused(self, stage: str) -> Path:
        """A name that no file has and nobody trains under."""
        named = self._home.stem if self.opened is None else f"{self._home.stem} with new {stage}"
        for number in itertools.count(2 if self.opened is None else 1):
            path = self._home.with_name(f"{named}{'' if number == 1 else f'-{number}'}{MODEL_SUFFIX}")
            if not path.exists() and stage_in_training(path) is None and self._claim.follow(path):
                return path
        raise AssertionError


@dataclass(frozen=True)
class Stage:
    """One stage of one model."""

    name: str
    """"codec", "prior", ...; the key of its settings' origin and of its curve."""
    model: ModelInTraining
    resolved: Resolved[Any]
    corpus: CorpusManifest
    resumed: UnfinishedRun | None = None
    """What the training goes on from."""
    created: str = ""
    """When the codec was begun, where that is what is trained: it tells its file from another of the same name."""
    put_down: bool = True
    """Whether the unfinished run is put down on the way, so that it can be resumed."""

    def save(self, history: Sequence[LossPoint], sections: Mapping[str, Any]) -> list[Event]:
        """Write the model's file: what it holds, with this stage's sections, settings and curve -> what to say of it."""

        def change(held: Mapping[str, Any]) -> Mapping[str, Any]:
            others = {} if self.model.opened is None else held  # a new codec makes a new model
            origins = {**others.get("settings_origin", {}), self.name: self.resolved.origin}
            curves = {**others.get("loss_curve_history", {}), self.name: plain_curve(history)}
            return {**others, "settings_origin": origins, "loss_curve_history": curves, **sections}

        return self.model.write(change)

    def held(self) -> float:
        """The score that an epoch must be better than to be saved: that of the last epoch which the file holds of the
        run to be resumed, where that is ahead of what was put down; else infinite.

        A run that was killed may have saved epochs since it was put down last, and one that was stopped the epoch that
        the stop cut short. They come again, unless it is stopped before that.
        """
        if self.resumed is None or not self.model.path.is_file():
            return math.inf
        put_down = self.resumed.state.get("task", {}).get("history", [])
        try:
            saved = plain_curve(read_card(self.model.path).loss_curve_history.get(self.name, ()))
        except DistillError:  # whatever it is, it is no epoch of this run
            return math.inf
        ahead = 0 < len(put_down) < len(saved) and saved[: len(put_down)] == put_down
        return float(saved[-1]["val"]) if ahead else math.inf

    def checkpoints(self) -> Checkpoints:
        """Where the training is put down, and taken up from."""
        facts = {
            "corpus": self.corpus.digest,
            "codec": None if self.model.opened is None else self.model.codec_digest,
            "version": distill.__version__,
        }
        about = {
            "facts": facts,
            "settings": self.resolved.settings.model_dump(),
            "origin": dict(self.resolved.origin),
            "created": self.created,
        }
        return Checkpoints(lambda: self.model.path, self.name, about, self.resumed, self.put_down)

    def started(self, task: Task, fabric: Fabric) -> TrainingStarted:
        """What is known before the first step."""
        return TrainingStarted(
            stage=self.name,
            device=fabric.device.type,
            parameters=sum(p.numel() for p in task.objective.parameters()),
            epochs=task.epochs,
            train_files=len(self.corpus.train),
            val_files=len(self.corpus.val),
            settings=self.resolved.settings.model_dump(),
            origin=dict(self.resolved.origin),
        )


class BestEpochs:
    """The epochs that are best on the way, on the disk as they happen."""

    def __init__(self, stage: Stage, sections: Sections) -> None:
        self.stage = stage
        self.sections = sections
        self.held = stage.held()
        self._said = False

    def keep(self, history: Sequence[LossPoint], best: Best) -> Sequence[Event]:
        """Save one -> what is to be said of it. One that cannot be saved now is saved with the next, or in the end."""
        if best.validation.score >= self.held:
            return []
        try:
            return self.stage.save(history, self.sections(Trained.so_far(best)))
        except DistillError as error:
            first, self._said = not self._said, True
            return [Warned(f"The best epoch so far is not saved yet. {error} The training goes on.")] if first else []


def train_stage(
    stage: Stage,
    task: StageTask,
    fabric: Fabric,
    sections: Sections,
    stop: threading.Event | None = None,
    worth_keeping: Callable[[Best], bool] | None = None,
) -> Generator[Event, None, Trained]:
    """Train `task` and leave its best epoch in the model's file.

    The epochs that are best on the way are the task's to save (`Task.keep`), with `BestEpochs`.

    Args:
        worth_keeping: whether the best epoch is to be saved; None: it is.

    Raises:
        DistillError: there is nothing to go on with, the training was stopped before there was anything to keep, or that
            cannot be saved.
    """
    yield stage.started(task, fabric)
    checkpoints, held = stage.checkpoints(), stage.held()
    result = yield from fit(task, fabric, stop, checkpoints)
    if result.best is None or result.last is None:
        if fabric.is_global_zero and not result.asked_to_stop:
            checkpoints.clear()
        raise DistillError(
            f"The training was stopped before the {stage.name} could be used, so nothing was saved. Run it again."
        )
    trained = Trained(
        result.best, result.last, result.epochs, result.seconds, result.items_per_second, result.stopped_early
    )
    behind = trained.best.validation.score > held
    if behind:
        yield Warned(f"{stage.model.path} holds a later epoch of this training that is better: it stays.")
    kept = not behind and (worth_keeping is None or worth_keeping(trained.best))
    if fabric.is_global_zero:
        if kept:
            yield from _saved_at_last(stage, task, sections(trained), checkpoints)
        if not result.asked_to_stop:
            checkpoints.clear()
    fabric.barrier()  # whoever reads the file next finds it whole
    if kept:
        yield Saved(str(stage.model.path), "model")
    return trained


def _saved_at_last(
    stage: Stage, task: StageTask, sections: Mapping[str, Any], checkpoints: Checkpoints
) -> Sequence[Event]:
    try:
        return stage.save(task.history, sections)
    except DistillError as error:
        if not checkpoints.path.is_file():
            raise
        raise DistillError(f"{error} The same training with --resume then saves it.") from error
