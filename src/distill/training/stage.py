"""What the training of every stage has in common: what is said first, how the best epoch gets into the model's file as
it happens, and where an unfinished run is put down."""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from lightning_fabric import Fabric
from torch import Tensor

import distill
from distill.corpus.manifest import CorpusManifest
from distill.errors import DistillError
from distill.events import Event, Saved, TrainingStarted
from distill.modelfile.card import LossPoint
from distill.modelfile.file import write_model
from distill.settings.auto import Resolved
from distill.training.fit import fit
from distill.training.run import Best, Task, Validation
from distill.training.unfinished import UnfinishedRun


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


@dataclass(frozen=True)
class Stage:
    """One stage of one model."""

    name: str
    """"codec", "prior", ...; the key of its settings' origin and of its curve."""
    path: Path
    resolved: Resolved[Any]
    corpus: CorpusManifest
    contents: Mapping[str, Any] = field(default_factory=dict)
    """What the file holds already, and goes on holding."""

    def save(self, history: Sequence[LossPoint], sections: Mapping[str, Any]) -> None:
        """Write the model's file: what it held, with this stage's sections, settings and curve."""
        origins = {**self.contents.get("settings_origin", {}), self.name: self.resolved.origin}
        curves = {**self.contents.get("loss_curve_history", {}), self.name: plain_curve(history)}
        write_model(self.path, {**self.contents, "settings_origin": origins, "loss_curve_history": curves, **sections})

    def unfinished(self, resume: bool) -> UnfinishedRun:
        """Where the training is put down."""
        facts = {
            "settings": self.resolved.settings.model_dump(),
            "corpus": self.corpus.digest,
            "codec": self.contents.get("metadata", {}).get("created"),
            "version": distill.__version__,
        }
        return UnfinishedRun(self.path, self.name, facts, resume)

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


def train_stage(
    stage: Stage,
    task: StageTask,
    fabric: Fabric,
    sections: Sections,
    stop: threading.Event | None = None,
    resume: bool = False,
    worth_keeping: Callable[[Best], bool] | None = None,
) -> Generator[Event, None, Trained]:
    """Train `task` and leave its best epoch in the model's file.

    The epochs that are best on the way are the task's to save (`Task.keep`).

    Args:
        worth_keeping: whether the best epoch is to be saved; None: it is.

    Raises:
        DistillError: there is nothing to go on with, or the training was stopped before there was anything to keep.
    """
    yield stage.started(task, fabric)
    result = yield from fit(task, fabric, stop, stage.unfinished(resume))
    if result.best is None or result.last is None:
        raise DistillError(
            f"The training was stopped before the {stage.name} could be used, so nothing was saved. Run it again."
        )
    trained = Trained(
        result.best, result.last, result.epochs, result.seconds, result.items_per_second, result.stopped_early
    )
    if worth_keeping is not None and not worth_keeping(trained.best):
        return trained
    if fabric.is_global_zero:
        stage.save(task.history, sections(trained))
    fabric.barrier()  # whoever reads the file next finds it whole
    yield Saved(str(stage.path), "model")
    return trained
