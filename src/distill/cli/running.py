"""Running work from the command line: events on the screen, Ctrl-C, what to do next."""

import signal
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import TypeVar

from distill.events import Event

EventT = TypeVar("EventT", bound=Event)


def run(events: Generator[Event, None, None], stop: threading.Event | None = None) -> list[Event]:
    """Show events as they come and return those that are not steps.

    With `stop`, the first Ctrl-C asks the work to end and keep its best; a second one ends the program.
    """
    from distill.cli.show import Screen
    from distill.compute.processes import is_first
    from distill.events import Progress, StepMetrics

    kept: list[Event] = []
    before = signal.getsignal(signal.SIGINT)

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        assert stop is not None
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        if is_first():
            print("Stopping after this step; Ctrl-C again quits at once.", file=sys.stderr)

    if stop is not None:
        signal.signal(signal.SIGINT, interrupted)
    try:
        with Screen(quiet=not is_first()) as screen:
            for event in events:
                screen.show(event)
                if not isinstance(event, Progress | StepMetrics):
                    kept.append(event)
    finally:
        events.close()
        signal.signal(signal.SIGINT, before)
    return kept


def last(events: list[Event], kind: type[EventT]) -> EventT:
    """The last event of a kind."""
    return next(event for event in reversed(events) if isinstance(event, kind))


def spoken(model: str) -> str:
    """How the user would name the model: by its name if it is in the library, else by its path."""
    from distill.places import library_dir

    path = Path(model)
    return path.stem if path.parent == library_dir() else str(path)


def hint(text: str) -> None:
    """A line on stderr for whoever is at the keyboard; of several processes, the first one's."""
    from distill.compute.processes import is_first

    if is_first():
        print(text, file=sys.stderr)
