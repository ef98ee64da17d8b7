"""Running work from the command line: events on the screen, Ctrl-C, what to do next."""

import signal
import sys
import threading
from collections.abc import Generator
from types import FrameType
from typing import TypeVar

from distill.events import Event

EventT = TypeVar("EventT", bound=Event)


def run(events: Generator[Event, None, None], stop: threading.Event) -> list[Event]:
    """Show events as they come and return those that are not steps.

    The first Ctrl-C sets `stop`, which asks the work to end and keep what it has; a second one ends the program.
    """
    from distill.cli.show import Screen
    from distill.compute.processes import is_first
    from distill.events import Progress, StepMetrics

    kept: list[Event] = []

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        hint("Stopping after this step or file; Ctrl-C again quits at once.")

    on_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupted) if on_main_thread else None
    try:
        with Screen(quiet=not is_first()) as screen:
            for event in events:
                screen.show(event)
                if not isinstance(event, Progress | StepMetrics):
                    kept.append(event)
    finally:
        events.close()
        if on_main_thread:
            signal.signal(signal.SIGINT, before)
    return kept


def last(events: list[Event], kind: type[EventT]) -> EventT:
    """The last event of a kind."""
    return next(event for event in reversed(events) if isinstance(event, kind))


def hint(text: str) -> None:
    """A line on stderr for whoever is at the keyboard; of several processes, the first one's."""
    from distill.cli.show import printable
    from distill.compute.processes import is_first

    if is_first() and sys.stderr is not None:
        print(printable(text), file=sys.stderr)
