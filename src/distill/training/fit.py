"""The one training loop. A task says what to learn; `fit` runs it on Lightning Fabric and yields what happens."""

import threading
import time
from collections.abc import Generator, Mapping, Sequence
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

    put_down: bool
    """Whether anything is put down there."""

    def due(self) -> bool:
        """Whether it is worth the time to put a state down now; asked after every epoch."""

    def save(self, state: Mapping[str, Any]) -> Sequence[Event]:
        """Put a state down -> what is to be said of it."""


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
    at_hand = _AtHand(run, checkpoints)
    try:
        while run.epoch < task.epochs and not run.stopped and not run.out_of_patience():
            losses = yield from run.train_epoch(stop)
            if not losses:
                run.epoch -= 1
                break
            yield from [*run.validate(losses), *at_hand.epoch_ended()]
    except BaseException:  # closing included: nobody listens any more
        at_hand.put_down()
        raise
    if run.stopped:
        yield from at_hand.put_down()
    elapsed = time.monotonic() - run.started
    early = run.epoch < task.epochs
    return FitResult(run.best, run.validation, run.epoch, elapsed, early, run.items_per_second, run.stopped)


class _AtHand:
    """The last whole epoch of a run, kept in memory where it was not worth the time to put it down.

    A run is gone on with from the end of an epoch: whoever stops it loses the epoch that was under way, not all since
    the state was put down last.
    """

    def __init__(self, run: Run, checkpoints: CheckpointStore | None) -> None:
        self.run = run
        self.checkpoints = checkpoints if run.fabric.is_global_zero else None
        self.state: dict[str, Any] | None = None

    def epoch_ended(self) -> Sequence[Event]:
        """Put the state down or keep it -> what is to be said of that."""
        if self.checkpoints is None or not self.checkpoints.put_down or self.run.stopped:
            return []
        if self.checkpoints.due():
            self.state = None
            return self.checkpoints.save(self.run.state())
        self.state = self.run.snapshot()
        return []

    def put_down(self) -> Sequence[Event]:
        """Put down what is kept -> what is to be said of that."""
        if self.checkpoints is None or self.state is None:
            return []
        state, self.state = self.state, None
        return self.checkpoints.save(state)


def _take_up(run: Run, checkpoints: CheckpointStore) -> None:
    state = checkpoints.load()
    if state is None:
        return
    try:
        run.restore(state)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise checkpoints.unfit() from error
