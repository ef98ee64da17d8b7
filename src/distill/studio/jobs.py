"""An event stream in a thread: started once, read from any index by anyone, stopped by asking.

What may run beside what is said here too: one training at a time, and one generation and one measurement of each owner.
"""

import contextlib
import itertools
import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Literal

from distill.errors import DistillError
from distill.events import Event, Progress, StepMetrics

State = Literal["running", "done", "failed"]
Work = Callable[[threading.Event], Generator[Event, None, Any]]
"""Makes the stream; it is to end soon after the event it is given is set."""

TRAININGS = frozenset({"codec", "prior", "synthesiser"})
"""Kinds of jobs that train a model: of all of them one runs at a time."""
LOOK, GENERATE, RECONSTRUCT, EVALUATE, NOVELTY = "look", "generate", "reconstruct", "evaluate", "novelty"
ONE_EACH = frozenset({GENERATE, EVALUATE, NOVELTY})
"""Kinds of which an owner has one running at a time."""
FINISHED_KEPT = 40
"""Finished jobs that can still be asked for."""


class Job:
    """One stream of events under way or finished."""

    def __init__(self, number: int, kind: str, title: str, owner: str, about: str, work: Work) -> None:
        self.number = number
        self.kind = kind
        self.title = title
        self.owner = owner
        self.about = about
        self.state: State = "running"
        self.error = ""
        """One sentence, where the job failed."""
        self.trace = ""
        """Where the failure is the program's own."""
        self.result: Any = None
        """What the stream returned."""
        self.started = time.monotonic()
        self.seconds = 0.0
        self.step: Progress | StepMetrics | None = None
        """The newest of the events that come too often to be kept."""
        self._events: list[Event] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), name=f"{kind} {number}", daemon=True)

    def drain(self, start: int = 0) -> tuple[list[Event], int]:
        """The events from number `start` on, and the number that comes next. Steps and progress are not among them."""
        found = self._events[start:]
        return found, start + len(found)

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self.state == "running"

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._stop.is_set()

    @property
    def elapsed(self) -> float:
        """Seconds at work."""
        return time.monotonic() - self.started if self.running else self.seconds

    def stop(self) -> None:
        """Ask it to end and keep what it has."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended -> whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self, work: Work) -> None:
        state: State = "failed"
        try:
            stream = work(self._stop)
            while True:
                event = next(stream)
                if isinstance(event, Progress | StepMetrics):
                    self.step = event
                else:
                    self._events.append(event)
        except StopIteration as end:
            self.result = end.value
            state = "done"
        except DistillError as error:
            self.error = str(error)
        except Exception as error:
            self.trace = traceback.format_exc()
            logging.getLogger(__name__).exception("%s failed", self.title)
            self.error = f"Something went wrong in the program ({type(error).__name__}): please report what it logged."
        finally:
            self.seconds = time.monotonic() - self.started
            self.state = state


class Jobs:
    """All jobs of a process."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def start(self, kind: str, title: str, work: Work, owner: str = "", about: str = "") -> Job:
        """Begin a job.

        Args:
            kind: what it does, in a word.
            title: what it works on, as the user would say it.
            owner: whose it is, for `latest`.
            about: the file or folder it works on.

        Raises:
            DistillError: it has to wait for another.
        """
        with self._lock:
            self._refuse_beside_others(kind, owner)
            job = Job(next(self._numbers), kind, title, owner, about, work)
            self._jobs.append(job)
            self._forget_old(kind in TRAININGS)
        job.begin()
        return job

    def _refuse_beside_others(self, kind: str, owner: str) -> None:
        for job in self._jobs:
            if job.running and kind in TRAININGS and job.kind in TRAININGS:
                raise DistillError(
                    f"{job.title} is still running. Wait until it is done, or stop it; then start this one."
                )
            if job.running and kind in ONE_EACH and (job.kind, job.owner) == (kind, owner):
                raise DistillError(f"{job.title} is under way already. Wait until it is done, or stop it.")

    def _forget_old(self, training: bool) -> None:
        """Drop the oldest finished jobs; trainings are few, and are not crowded out by others."""
        alike = [job for job in self._jobs if not job.running and (job.kind in TRAININGS) == training]
        for old in alike[: max(0, len(alike) - FINISHED_KEPT)]:
            self._jobs.remove(old)

    def latest(self, kind: str, owner: str | None = None, about: str | None = None) -> Job | None:
        """The newest job of a kind, of one owner and about one thing, or of any."""
        with self._lock:
            found = [
                job
                for job in self._jobs
                if job.kind == kind and owner in (None, job.owner) and about in (None, job.about)
            ]
        return found[-1] if found else None

    def running(self) -> list[Job]:
        """All that are at work."""
        with self._lock:
            return [job for job in self._jobs if job.running]

    def training(self) -> Job | None:
        """The training that is running, if one is."""
        return next((job for job in self.running() if job.kind in TRAININGS), None)

    def refuse_while_training(self, model: str) -> None:
        """For what must not change under a training.

        Raises:
            DistillError: a training of the model called that is running.
        """
        job = self.training()
        if job is not None and Path(job.about).stem == model:
            raise DistillError(f"{model} is being trained. Wait until that is done, or stop it first.")

    def stop_all(self, seconds: float) -> None:
        """Ask all to end and wait for them, at most `seconds` each."""
        for job in self.running():
            job.stop()
        for job in self.running():
            job.wait(seconds)


def until_stopped(stop: threading.Event, events: Generator[Event, None, Any]) -> Generator[Event, None, None]:
    """Events of work that does not look at `stop` itself, up to the first one after it is set."""
    with contextlib.closing(events):
        for event in events:
            yield event
            if stop.is_set():
                return
