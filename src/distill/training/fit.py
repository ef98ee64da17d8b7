"""The one training loop. A task says what to learn; `fit` runs it on Lightning Fabric and yields what happens."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lightning_fabric import Fabric

from distill.compute.threads import threads, training_threads
from distill.events import Event
from distill.training.run import Best, Run, Task, Validation


@dataclass(frozen=True)
class FitResult:
    """What a finished or stopped training leaves."""

    best: Best | None
    last: Validation | None
    epochs: int
    """Epochs that were completed."""
    seconds: float
    stopped_early: bool
    items_per_second: float
    asked_to_stop: bool
    """Whether it was ended from outside, so that there is something to go on with."""


class CheckpointStore(Protocol):
    """A place where an unfinished run is put down."""

    def load(self) -> dict[str, Any] | None:
        """What lies there, if anything."""

    def unfit(self) -> Exception:
        """What to raise where that is no state of this training."""

    def save(self, state: Callable[[], dict[str, Any]]) -> Sequence[Event]:
        """Put a state down -> what is to be said of it; asked after every epoch, done as often as it is worth the time."""


def fit(
    task: Task,
    fabric: Fabric,
    stop: threading.Event | None = None,
    checkpoints: CheckpointStore | None = None,
) -> Generator[Event, None, FitResult]:
    """Run a task to its end, or until `stop` is set.

    Whatever way it ends, closing included, the best epoch has gone through `task.keep`.

    Args:
        checkpoints: where the run is put down after its epochs, and what it goes on from if something lies there.
    """
    with threads(training_threads()):
        result = yield from _fit(task, fabric, stop, checkpoints)
    return result


def _fit(
    task: Task, fabric: Fabric, stop: threading.Event | None, checkpoints: CheckpointStore | None
) -> Generator[Event, None, FitResult]:
    run = Run(task, fabric)
    if checkpoints is not None:
        _take_up(run, checkpoints)
    while run.epoch < task.epochs and not run.stopped and not run.out_of_patience():
        losses = yield from run.train_epoch(stop)
        if not losses:
            run.epoch -= 1
            break
        events = run.validate(losses)
        if checkpoints is not None and not run.stopped and fabric.is_global_zero:
            events = [*events, *checkpoints.save(run.state)]
        yield from events
    elapsed = time.monotonic() - run.started
    early = run.epoch < task.epochs
    return FitResult(run.best, run.validation, run.epoch, elapsed, early, run.items_per_second, run.stopped)


def _take_up(run: Run, checkpoints: CheckpointStore) -> None:
    state = checkpoints.load()
    if state is None:
        return
    try:
        run.restore(state)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise checkpoints.unfit() from error
